"""The prediction tool on a cluster: its workers compute the shards, the client makes the map."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from distributed import Client

from rsseg.errors import ClusterError
from rsseg.legend import NODATA
from rsseg.prediction.cluster.connecting import connected, local_workers
from rsseg.prediction.cluster.front import moving_front, result_of
from rsseg.prediction.cluster.job import Done, Failed, Job, Report
from rsseg.prediction.cluster.result import ClusterResult, shares_of
from rsseg.prediction.cluster.watching import PREFIX, Patience, Watch
from rsseg.prediction.cluster.worker import compute, report
from rsseg.prediction.dealing import runs
from rsseg.prediction.finishing import finish
from rsseg.prediction.memory import peak_memory
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs import require_all_writable
from rsseg.prediction.parts import Parts
from rsseg.prediction.workers import Workers

Answer = TypeVar("Answer")
Progress = Callable[[int, int], None]
_MOMENT = 0.05


def predict_on_cluster(
    scene: str | Path,
    out: str | Path,
    *,
    cluster: str,
    bundle: str | Path | None = None,
    options: PredictOptions | None = None,
    patience: Patience | None = None,
    on_progress: Progress = lambda done, total: None,
) -> ClusterResult:
    """Write the class map of a scene, computed by the workers of a Dask cluster.

    Every worker reads the scene and the model itself and writes its shards into
    ``OUT.tif.parts``, so all see these by the same names. The bytes are those of one machine.
    A run that fails or is killed leaves no output; the same call goes on from its finished shards,
    on this cluster, another one, or none.

    Args:
        scene: A raster of any size.
        out: GeoTIFF to write.
        cluster: The address of a scheduler, or ``local:N`` for N processes on this machine.
        bundle: A model file; None for the embedded model.
        options: Window, overlap, blending, engine and so on; ``memory`` bounds each worker.
        patience: How long to wait for workers that hang.
        on_progress: Called with windows done and windows in all.

    Raises:
        ClusterError: If the cluster is not there, its workers do not agree in what they compute,
            or one cannot do its work: the scene, the model or the folder are not to be seen there.
        OptionError: If choices exclude each other.
        OutputError: If the output is there already or cannot be written.
    """
    began = time.perf_counter()
    options, out = options or PredictOptions(), Path(out).absolute()
    count = local_workers(cluster)
    require_all_writable(out, scene, options)
    if count is not None and options.memory is None:
        options = replace(options, memory=options.memory_limit // count)
    job = Job(
        scene=str(Path(scene).absolute()) if Path(scene).exists() else str(scene),
        out=out,
        model=_absolute(bundle),
        options=replace(
            options,
            overwrite=False,
            restart=False,
            aoi=_absolute(options.aoi),
            confidence=_absolute(options.confidence),
            probabilities=_absolute(options.probabilities),
        ),
        forward=None if options.restart else Parts(out).recorded("forward"),
    )
    with connected(cluster) as client:
        watch = Watch(client, patience or Patience())
        first, job = _agree(client, job, watch)
        return _carry_out(client, job, first, watch, cluster, options, began, on_progress)


def _carry_out(
    client: Client,
    job: Job,
    first: Report,
    watch: Watch,
    cluster: str,
    options: PredictOptions,
    began: float,
    on_progress: Progress,
) -> ClusterResult:
    """Have the workers compute what is missing, and make the map of it."""
    assert job.plan is not None
    out, manifest, parts = job.out, first.manifest, Parts(job.out)
    parts.open(job.plan, manifest, restart=options.restart)
    started = time.perf_counter()
    done: list[Done] = []
    try:
        with Workers(1, "rsseg-finish") as finishing:
            todo = [shard for shard in first.shards if not parts.has(shard)]
            tasks = [
                tuple(s.index for s in run)
                for run in runs(todo, max(1, watch.threads), first.block)
            ]

            def tell() -> None:
                on_progress(min(watch.windows, first.windows), first.windows)

            for answer in moving_front(client, compute, ((job, t) for t in tasks), watch, tell):
                done.append(_good(answer))
            computed = time.perf_counter()
            on_progress(first.windows, first.windows)
            if missing := parts.missing(manifest, patient=True):
                raise ClusterError(
                    f"{len(missing)} shards that workers have finished are not in {parts.folder}",
                    remedy="it must be the same folder on all machines",
                )
            pixels = finishing.submit(
                finish, parts, manifest, out, lambda: finishing.given_up
            ).result()
    except BaseException as error:
        if parts.keep_if_useful():
            error.add_note(f"finished shards are kept in {parts.folder}: the same command goes on")
        raise
    ended = time.perf_counter()
    grid = manifest.grid
    return ClusterResult(
        out=str(out),
        width=grid.width,
        height=grid.height,
        classes={known.name: pixels[known.code] for known in manifest.legend},
        nodata_pixels=pixels[NODATA],
        windows=first.windows,
        seconds=ended - began,
        startup_seconds=started - began,
        pipeline_seconds=computed - started,
        forward_seconds=sum(each.forward_seconds for each in done),
        finish_seconds=ended - computed,
        mpx_per_s=grid.width * grid.height / 1e6 / (ended - began),
        peak_rss_mb=peak_memory() / 1e6,
        engine=first.engine,
        device=first.device,
        precision=first.precision,
        cluster=cluster,
        shards=len(first.shards),
        shards_before=len(first.shards) - len(todo),
        workers=shares_of(done, computed - started),
        notes=(*first.notes, *_notes(watch)),
    )


def _agree(client: Client, job: Job, watch: Watch) -> tuple[Report, Job]:
    """The plan of the first worker that answers, to which all others come as well.

    It measures what has to be measured; the others are told.

    Raises:
        ClusterError: If no worker answers, one cannot do the job, or comes to another plan.
    """
    workers = _workers(client, watch)
    answers: list[Report] = []
    while workers and not answers:
        answers = _ask_each(client, job, [workers.pop(0)], watch)
    if not answers:
        raise ClusterError("no worker of the cluster answers", remedy="start others")
    first = answers[0]
    options = replace(first.options, overwrite=False, restart=False)
    agreed = replace(job, options=options, plan=first.plan)
    _ask_each(client, agreed, workers, watch)
    return first, agreed


def _workers(client: Client, watch: Watch) -> list[str]:
    """Addresses of the workers; waits for the first one."""
    while not watch.workers:
        watch.look()
        time.sleep(_MOMENT)
    return sorted(watch.workers)


def _ask_each(client: Client, job: Job, workers: Sequence[str], watch: Watch) -> list[Report]:
    """What workers make of a job; those that are lost meanwhile are left out."""
    futures = {
        worker: client.submit(
            report, job, key=f"{PREFIX}{uuid.uuid4().hex}", workers=[worker], pure=False
        )
        for worker in workers
    }
    answers = []
    while futures:
        watch.look()
        for worker, future in list(futures.items()):
            if future.done():
                try:
                    answer = result_of(future)
                except TimeoutError:  # its worker hangs: it goes on, or is taken out
                    continue
                del futures[worker]
                answers.append(_good(answer))
            elif worker not in watch.workers:
                del futures[worker]
        time.sleep(_MOMENT)
    return answers


def _absolute(path: str | Path | None) -> Path | None:
    """A name by which workers find it as well."""
    return None if path is None else Path(path).absolute()


def _good(answer: Answer | Failed) -> Answer:
    """The answer of a worker.

    Raises:
        ClusterError: If it has failed.
    """
    if isinstance(answer, Failed):
        raise ClusterError(f"the worker {answer.worker} on {answer.host} failed: {answer.reason}")
    return answer


def _notes(watch: Watch) -> Iterator[str]:
    """What to know of the way the workers worked."""
    if watch.lost:
        yield (
            f"{len(watch.lost)} workers hung and were taken out of the cluster: "
            f"{', '.join(watch.lost)}"
        )
    if watch.threads > len(watch.workers):
        yield (
            f"{len(watch.workers)} workers have {watch.threads} threads, and compute in one each; "
            "start them by dask worker --nthreads 1, as many as there are engines to be"
        )
