"""What comes of polygons made on a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rsseg.cluster.shares import busy, by_worker
from rsseg.vectorise import VectoriseResult
from rsseg.vectorise_cluster.job import Done


@dataclass(frozen=True)
class WorkerShare:
    """What one worker has done.

    Args:
        worker: Its address.
        host: Its machine.
        tasks: Tasks it has done.
        pixels: Pixels of their strips, each counted as often as it was read.
        busy: Share of the run's time that it was at work.
    """

    worker: str
    host: str
    tasks: int
    pixels: int
    busy: float


@dataclass(frozen=True)
class ClusterResult(VectoriseResult):
    """What was written, and how it came to be.

    Args:
        cluster: Its address, or ``local:N``.
        strips: Strips of the map.
        seconds: Wall time of all.
        pipeline_seconds: From the first task to the last polygon on disk.
        workers: What each worker has done.
    """

    cluster: str = ""
    strips: int = 0
    seconds: float = 0.0
    pipeline_seconds: float = 0.0
    workers: tuple[WorkerShare, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts."""
        return asdict(self)


def shares_of(done: Iterable[Done], seconds: float) -> tuple[WorkerShare, ...]:
    """What each worker has done in so many seconds, in the order of their addresses."""
    return tuple(
        WorkerShare(
            worker=tasks[0].worker,
            host=tasks[0].host,
            tasks=len(tasks),
            pixels=sum(task.pixels for task in tasks),
            busy=busy(tasks, seconds),
        )
        for tasks in by_worker(done)
    )
