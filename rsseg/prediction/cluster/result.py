"""What comes of a prediction on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rsseg.cluster.shares import busy, by_worker
from rsseg.cluster.watching import Watch
from rsseg.legend import NODATA
from rsseg.prediction.cluster.job import Done, Report
from rsseg.prediction.memory import peak_memory
from rsseg.prediction.result import MapResult


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
        seconds: That it was at work.
        forward_seconds: Its engine busy.
        busy: Share of the run's time that it was at work.
    """

    worker: str
    host: str
    tasks: int
    shards: int
    pixels: int
    windows: int
    seconds: float
    forward_seconds: float
    busy: float


@dataclass(frozen=True)
class ClusterResult(MapResult):
    """A map that the workers of a cluster have computed.

    Args:
        cluster: Its address, or ``local:N``.
        shards: Shards of the map.
        shards_before: Those that were there before.
        workers: What each worker has done.
    """

    cluster: str
    shards: int
    shards_before: int
    workers: tuple[WorkerShare, ...]


@dataclass(frozen=True)
class Times:
    """When a run came how far, in seconds of one clock.

    Args:
        began: At its begin.
        started: At its first task.
        computed: At the end of its last task.
        ended: When the map was there.
    """

    began: float
    started: float
    computed: float
    ended: float


def cluster_result(
    first: Report,
    out: str,
    pixels: dict[int, int],
    done: Sequence[Done],
    before: int,
    times: Times,
    cluster: str,
    notes: Sequence[str] = (),
) -> ClusterResult:
    """The result of a run.

    Args:
        first: What a worker has made of the scene.
        out: The map.
        pixels: Its pixels by code.
        done: All tasks.
        before: Shards that were there before.
        times: When it came how far.
        cluster: Its address, or ``local:N``.
        notes: What the user should know beside what the plan says.
    """
    grid, legend = first.manifest.grid, first.manifest.legend
    seconds, pipeline = times.ended - times.began, times.computed - times.started
    return ClusterResult(
        out=out,
        width=grid.width,
        height=grid.height,
        classes={known.name: pixels[known.code] for known in legend},
        nodata_pixels=pixels[NODATA],
        windows=first.windows,
        seconds=seconds,
        startup_seconds=times.started - times.began,
        pipeline_seconds=pipeline,
        forward_seconds=sum(each.forward_seconds for each in done),
        finish_seconds=times.ended - times.computed,
        mpx_per_s=grid.width * grid.height / 1e6 / seconds,
        peak_rss_mb=peak_memory() / 1e6,
        engine=first.engine,
        device=first.device,
        precision=first.precision,
        notes=(*first.notes, *notes),
        cluster=cluster,
        shards=len(first.shards),
        shards_before=before,
        workers=shares_of(done, pipeline),
    )


def shares_of(done: Sequence[Done], seconds: float) -> tuple[WorkerShare, ...]:
    """What each worker has done in so many seconds, in the order of their addresses."""
    return tuple(
        WorkerShare(
            worker=tasks[0].worker,
            host=tasks[0].host,
            tasks=len(tasks),
            shards=sum(task.shards for task in tasks),
            pixels=sum(task.pixels for task in tasks),
            windows=sum(task.windows for task in tasks),
            seconds=sum(task.seconds for task in tasks),
            forward_seconds=sum(task.forward_seconds for task in tasks),
            busy=busy(tasks, seconds),
        )
        for tasks in by_worker(done)
    )


def notes_of(watch: Watch) -> Iterator[str]:
    """What to know of the way the workers worked."""
    yield from watch.notes
    if watch.threads > len(watch.workers):
        yield (
            f"{len(watch.workers)} workers have {watch.threads} threads, and compute in one each; "
            "start them by dask worker --nthreads 1, as many as there are engines to be"
        )
