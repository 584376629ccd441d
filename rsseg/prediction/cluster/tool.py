"""The prediction tool on a cluster: its workers compute the shards, the client makes the map."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from distributed import Client

from rsseg.cluster.connecting import Cluster, connected, local_workers, name_of
from rsseg.cluster.failing import good
from rsseg.cluster.front import moving_front
from rsseg.cluster.watching import Patience, Watch
from rsseg.prediction.cluster.agreeing import agree_on_plan
from rsseg.prediction.cluster.job import Done, Job, Report, job_of
from rsseg.prediction.cluster.places import parts_of
from rsseg.prediction.cluster.predictor import joined
from rsseg.prediction.cluster.result import ClusterResult, Times, cluster_result, notes_of
from rsseg.prediction.cluster.worker import compute
from rsseg.prediction.computing.dealing import runs
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs.checks import require_all_writable
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.workers import Workers

Progress = Callable[[int, int], None]


def predict_on_cluster(
    scene: str | Path,
    out: str | Path,
    *,
    cluster: str | Cluster,
    bundle: str | Path | None = None,
    options: PredictOptions | None = None,
    store: str | None = None,
    patience: Patience | None = None,
    on_progress: Progress = lambda done, total: None,
) -> ClusterResult:
    """Write the class map of a scene, computed by the workers of a Dask cluster.

    Every worker reads the scene and the model itself and writes its shards into
    ``OUT.tif.parts`` or an object store, so all see these by the same names. The bytes are those of
    one machine. A run that fails or is killed leaves no output; the same call goes on from its
    finished shards, on this cluster, another one, or none if they lie in a folder.

    Args:
        scene: A raster of any size.
        out: GeoTIFF to write.
        cluster: The address of a scheduler, ``local:N`` for N processes on this machine, or a
            cluster that other tools use as well.
        bundle: A model file; None for the embedded model.
        options: Window, overlap, blending, engine and so on; ``memory`` bounds each worker.
        store: Where workers put shards in an object store, such as ``s3://bucket/map.tif.parts``;
            then they see no folder of this machine. None for ``OUT.tif.parts``.
        patience: How long to wait for workers that hang.
        on_progress: Called with windows done and windows in all.

    Raises:
        ClusterError: If the cluster is not there, its workers do not agree in what they compute,
            or one cannot do its work: the scene, the model or the folder are not to be seen there.
        OptionError: If choices exclude each other.
        OutputError: If the output is there already or cannot be written.
    """
    began = time.perf_counter()
    options, out = for_workers(options or PredictOptions(), cluster), Path(out).absolute()
    require_all_writable(out, scene, options)
    job = job_of(str(scene), out, bundle, options, store=store)
    # a store may hang, and Ctrl-C must not: other threads ask it
    with connected(cluster) as client, Workers(1, "rsseg-look") as looking:
        watch = Watch(client, patience or Patience())
        first, job = agree_on_plan(client, job, watch)
        parts = parts_of(job)
        plan = job.plan
        assert plan is not None
        looking.submit(lambda: parts.open(plan, first.manifest, restart=options.restart)).result()
        before = sum(map(parts.has, first.shards))
        try:
            started = time.perf_counter()
            done = _compute(client, job, first, parts, watch, on_progress)
            computed = time.perf_counter()
            with Workers(1, "rsseg-finish") as finishing:
                pixels = finishing.submit(
                    joined, parts, first.manifest, out, lambda: finishing.given_up
                ).result()
        except BaseException as error:
            if looking.submit(parts.keep_after, error).result():
                error.add_note(
                    f"finished shards are kept in {parts.place}: the same command goes on"
                )
            raise
        looking.submit(parts.remove).result()
        times = Times(began, started, computed, time.perf_counter())
        notes = tuple(notes_of(watch))
        return cluster_result(first, str(out), pixels, done, before, times, name_of(cluster), notes)


def for_workers(options: PredictOptions, cluster: str | Cluster) -> PredictOptions:
    """The options of each worker: those of one machine share its memory.

    Raises:
        OptionError: If the cluster's name is none.
    """
    count = local_workers(name_of(cluster))
    if count is None or options.memory is not None:
        return options
    return replace(options, memory=options.memory_limit // count)


def _compute(
    client: Client,
    job: Job,
    first: Report,
    parts: Parts,
    watch: Watch,
    on_progress: Progress,
) -> list[Done]:
    """Have the workers compute the shards that are missing."""
    todo = [shard for shard in first.shards if not parts.has(shard)]
    tasks = runs(todo, max(1, watch.threads), first.block)

    def tell() -> None:
        on_progress(min(watch.windows, first.windows), first.windows)

    calls = ((job, tuple(shard.index for shard in run)) for run in tasks)
    done = [good(answer) for answer in moving_front(client, compute, calls, watch, tell)]
    on_progress(first.windows, first.windows)
    return done
