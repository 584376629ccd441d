"""What comes of a prediction, beside the map."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class PredictResult:
    """A finished map, and how it came to be.

    Args:
        out: The class raster.
        width: Its columns.
        height: Its rows.
        classes: Pixels by class name.
        nodata_pixels: Pixels without a class.
        windows: Windows that touch the area mapped.
        seconds: Wall time of all.
        startup_seconds: Planning and loading the engine; on the command line imports as well.
        pipeline_seconds: From the first read to the last shard on disk.
        forward_seconds: The engine busy within that.
        waiting_seconds: The engine without work within that, because windows were still read.
        finish_seconds: Joining the shards, overviews and sidecars.
        mpx_per_s: Megapixels of the map over ``seconds``.
        peak_rss_mb: Highest resident memory of the process so far.
        engine: ``openvino`` or ``torch``.
        device: Where it ran.
        precision: What it computed in.
        notes: What the user should know, one sentence each.
    """

    out: str
    width: int
    height: int
    classes: dict[str, int]
    nodata_pixels: int
    windows: int
    seconds: float
    startup_seconds: float
    pipeline_seconds: float
    forward_seconds: float
    waiting_seconds: float
    finish_seconds: float
    mpx_per_s: float
    peak_rss_mb: float
    engine: str
    device: str
    precision: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields in plain types."""
        return asdict(self)

    def after(self, seconds: float) -> PredictResult:
        """The same with so many seconds of start-up before it, such as imports."""
        whole = self.seconds + seconds
        return replace(
            self,
            seconds=whole,
            startup_seconds=self.startup_seconds + seconds,
            mpx_per_s=self.mpx_per_s * self.seconds / whole,
        )
