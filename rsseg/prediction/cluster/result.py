"""What comes of a prediction on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rsseg.prediction.cluster.job import Done


@dataclass(frozen=True)
class WorkerShare:
    """What one worker has done.

    Args:
        worker: Its address.
        host: Its machine.
        tasks: Tasks it has done.
        shards: Shards it has computed.
        pixels: Their pixels.
        windows: Windows that went through its pipeline.
        forward_seconds: Its engine busy.
        busy: Share of the run's time that it was at work.
    """

    worker: str
    host: str
    tasks: int
    shards: int
    pixels: int
    windows: int
    forward_seconds: float
    busy: float


@dataclass(frozen=True)
class ClusterResult:
    """A finished map, and how it came to be.

    Args:
        out: The class raster.
        width: Its columns.
        height: Its rows.
        classes: Pixels by class name.
        nodata_pixels: Pixels without a class.
        windows: Windows that touch the area mapped.
        seconds: Wall time of all.
        startup_seconds: Until the first task: cluster, plan, engines.
        pipeline_seconds: From the first task to the last.
        forward_seconds: The engines busy within that, all together.
        finish_seconds: Joining the shards, overviews and sidecars.
        mpx_per_s: Megapixels of the map over ``seconds``.
        peak_rss_mb: Highest resident memory of this process, which computes nothing.
        engine: ``openvino`` or ``torch``, on all workers.
        device: Where they ran.
        precision: What they computed in.
        cluster: Its address, or ``local:N``.
        shards: Shards of the map.
        shards_before: Those that were there before.
        workers: What each worker has done.
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
    cluster: str
    shards: int
    shards_before: int
    workers: tuple[WorkerShare, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields in plain types."""
        return asdict(self)

    def after(self, seconds: float) -> ClusterResult:
        """The same with so many seconds of start-up before it, such as imports."""
        whole = self.seconds + seconds
        return replace(
            self,
            seconds=whole,
            startup_seconds=self.startup_seconds + seconds,
            mpx_per_s=self.mpx_per_s * self.seconds / whole,
        )


def shares_of(done: Sequence[Done], seconds: float) -> tuple[WorkerShare, ...]:
    """What each worker has done in so many seconds, in the order of their addresses."""
    by_worker: dict[str, list[Done]] = {}
    for each in done:
        by_worker.setdefault(each.worker, []).append(each)
    return tuple(
        WorkerShare(
            worker=address,
            host=tasks[0].host,
            tasks=len(tasks),
            shards=sum(task.shards for task in tasks),
            pixels=sum(task.pixels for task in tasks),
            windows=sum(task.windows for task in tasks),
            forward_seconds=sum(task.forward_seconds for task in tasks),
            busy=min(1.0, sum(task.seconds for task in tasks) / max(seconds, 1e-9)),
        )
        for address, tasks in sorted(by_worker.items())
    )
