"""``vectorise`` on a cluster: its workers outline strips, the client joins and writes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

from distributed import Client

from rsseg.cluster.connecting import Cluster, connected, name_of
from rsseg.cluster.failing import good
from rsseg.cluster.ordered_front import ordered_front
from rsseg.cluster.watching import Patience, Watch
from rsseg.vectorise import VectoriseOptions, VectoriseResult
from rsseg.vectorise.formats import format_of
from rsseg.vectorise.joined_rows import rows_in_strips
from rsseg.vectorise.outlines import ahead
from rsseg.vectorise.reading import ClassStrips
from rsseg.vectorise.strips import Work, strips_of
from rsseg.vectorise.table import Table
from rsseg.vectorise.tool import begin, write
from rsseg.vectorise_cluster.job import Done, terms_of
from rsseg.vectorise_cluster.result import ClusterResult, shares_of
from rsseg.vectorise_cluster.worker import compute

Progress = Callable[[int, int], None]


def vectorise_on_cluster(
    raster: str | Path,
    out: str | Path,
    *,
    cluster: str | Cluster,
    options: VectoriseOptions | None = None,
    patience: Patience | None = None,
    on_progress: Progress = lambda done, total: None,
) -> ClusterResult:
    """Write the polygons of a class raster, outlined by the workers of a Dask cluster.

    Every worker reads its strips itself, so all see the raster by the same name; the file is
    written here. Its bytes are those that `vectorise` writes. A run that fails leaves no output
    and touches none that is there.

    Args:
        raster: One band of 8-bit codes.
        out: As for `vectorise`.
        cluster: The address of a scheduler, ``local:N`` for N processes on this machine, or a
            cluster that other tools use as well.
        options: Choices; ``memory`` bounds the rows at work on each worker.
        patience: How long to wait for workers that hang.
        on_progress: Called with pixels done and pixels in all, over all readings, in a thread.

    Raises:
        ClusterError: If the cluster is not there, or a worker cannot do its work: it does not see
            the raster, sees another one, or has other libraries.
        SceneError: If a raster cannot be read, is of another kind or has no place.
        GridMismatch: If the confidence lies on another grid.
        OptionError: If an option cannot be met, or ``cluster`` is neither.
        MissingExtra: If the library for the format is not installed.
        OutputError: If the output is there already or cannot be written.
    """
    began, out, options = time.perf_counter(), Path(out), options or VectoriseOptions()
    name = name_of(cluster)
    table = begin(raster, out, options)
    confidence = None if options.confidence is None else _everywhere(options.confidence)
    work = Work(
        _everywhere(raster), replace(options, confidence=confidence), format_of(out).lon_lat
    )
    ClassStrips(work.raster, confidence, options.memory)
    done: list[Done] = []
    with connected(cluster) as client:
        watch, started = Watch(client, patience or Patience()), time.perf_counter()
        strips = strips_of(work.raster)
        written = _carry_out(client, work, table, watch, done, raster, out, on_progress)
        ended = time.perf_counter()
    return ClusterResult(
        **vars(replace(written, notes=(*written.notes, *watch.notes))),
        cluster=name,
        strips=len(strips),
        seconds=ended - began,
        pipeline_seconds=ended - started,
        workers=shares_of(done, ended - started),
    )


def _carry_out(
    client: Client,
    work: Work,
    table: Table,
    watch: Watch,
    done: list[Done],
    raster: str | Path,
    out: Path,
    on_progress: Progress,
) -> VectoriseResult:
    """Have the workers outline all strips, note their tasks, and write what comes of them."""
    strips, terms, stopped = strips_of(work.raster), terms_of(work), Event()
    height, width = ClassStrips(work.raster).shape
    shaping, seen = table.shaping, 0
    total = height * width * (1 + (shaping.sieve > 1) + (shaping.min_area > 1))

    def on_time() -> None:
        if stopped.is_set():
            raise CancelledError

    def on_pixels(pixels: int) -> None:
        nonlocal seen
        seen += pixels
        on_progress(seen, total)

    def spread(function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        tasks = (
            (terms, function, work, rows, (rows[1] - rows[0]) * width, changes)
            for work, rows, changes in calls
        )
        for answer in ordered_front(client, compute, tasks, watch, on_time):
            done.append(replace(good(answer), found=None))
            yield answer.found

    batches = ahead(rows_in_strips(work, table, strips, spread, on_pixels), stopped)
    with closing(batches):
        return write(raster, out, work.options, table, batches)


def _everywhere(path: str | Path) -> str:
    """A name by which workers find it as well."""
    return str(Path(path).absolute()) if Path(path).exists() else str(path)
