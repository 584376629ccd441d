"""What comes of a prediction, beside the map."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Self


@dataclass(frozen=True)
class MapResult:
    """A finished map, and how it came to be, whoever computed it.

    Args:
        out: The class raster.
        width: Its columns.
        height: Its rows.
        classes: Pixels by class name.
        nodata_pixels: Pixels without a class.
        windows: Windows that touch the area mapped.
        seconds: Wall time of all.
        startup_seconds: Planning and loading the engine; on the command line imports as well. On a
            cluster until the first task.
        pipeline_seconds: From the first read to the last shard on disk; on a cluster from the first
            task to the last.
        forward_seconds: The engine, or all engines together, busy within that.
        finish_seconds: Joining the shards, overviews and sidecars.
        mpx_per_s: Megapixels of the map over ``seconds``.
        peak_rss_mb: Highest resident memory of the process so far; a cluster's client computes
            nothing.
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

    def after(self, seconds: float) -> Self:
        """The same with so many seconds of start-up before it, such as imports."""
        whole = self.seconds + seconds
        return replace(
            self,
            seconds=whole,
            startup_seconds=self.startup_seconds + seconds,
            mpx_per_s=self.mpx_per_s * self.seconds / whole,
        )


@dataclass(frozen=True)
class PredictResult(MapResult):
    """A map that this process has computed.

    Args:
        waiting_seconds: The engine without work within ``pipeline_seconds``, because windows were
            still read.
    """

    waiting_seconds: float
