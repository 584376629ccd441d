"""The side of the workers: each makes the polygons of strips that it reads itself."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from distributed import Worker, get_worker

from rsseg.cluster.failing import Failed, failed
from rsseg.cluster.ordered_front import KEYS
from rsseg.cluster.watching import COUNT
from rsseg.vectorise.adjacency import Bytes
from rsseg.vectorise.strips import Rowspan, Work
from rsseg.vectorise_cluster.job import Done, Terms, require_same


class Signs:
    """What a worker tells the scheduler, so that one which hangs is known: a growing number.

    It grows with each strip that is begun or done, and as its rows are read. A worker that has
    nothing to do but to keep results until they are fetched does not hang either.

    Args:
        before: What it told before; None if nothing.
    """

    def __init__(self, before: Callable[[Worker], int] | None = None) -> None:
        self._before = before
        self._lock = threading.Lock()
        self._count = self._running = 0

    def __call__(self, worker: Worker) -> int:
        """The number, asked for with each heartbeat."""
        keeps = any(str(key).startswith(KEYS) for key in worker.data)
        with self._lock:
            self._count += int(keeps and not self._running)
            count = self._count
        return count + (self._before(worker) if self._before is not None else 0)

    def __enter__(self) -> Callable[[int], None]:
        self._change(1)
        return lambda pixels: self._change(0)

    def __exit__(self, *_: object) -> None:
        self._change(-1)

    def _change(self, running: int) -> None:
        with self._lock:
            self._count += 1
            self._running += running


def compute(
    terms: Terms,
    function: Callable[..., Any],
    work: Work,
    rows: Rowspan,
    pixels: int,
    changes: Sequence[Bytes],
) -> Done | Failed:
    """Work on a strip on the worker that runs this.

    Args:
        terms: What has been agreed on.
        function: `neighbours_in` or `polygons_in`.
        work: What is to be made.
        rows: The strip.
        pixels: Of the strip.
        changes: Codes of its labels, for each change.
    """
    began, worker = time.perf_counter(), get_worker()
    try:
        with _signs(worker) as on_pixels:
            require_same(terms, work)
            found = function(work, rows, changes, on_pixels)
    except Exception as error:
        return failed(worker, error)
    seconds = time.perf_counter() - began
    return Done(worker.address, platform.node(), pixels, seconds, found)


def _signs(worker: Worker) -> Signs:
    """Those of this worker, which may tell of other work as well."""
    known = worker.metrics.get(COUNT)
    if not isinstance(known, Signs):
        known = worker.metrics[COUNT] = Signs(known)
    return known
