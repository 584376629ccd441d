"""The side of the workers: what they are asked, and what they answer."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from rsseg.errors import BundleError, ClusterError, MissingExtra, RssegError
from rsseg.geo.remote import public_text
from rsseg.prediction.cluster.job import Done, Failed, Job, Joined, Report, Terms, Work
from rsseg.prediction.cluster.predictor import Predictor
from rsseg.prediction.cluster.terms import terms_of
from rsseg.prediction.options import PredictOptions

_LOG = logging.getLogger("distributed.worker")

COUNT = "rsseg_windows"
"""Name under which a worker tells the scheduler how many windows it has computed."""

_KEY = "rsseg"
"""Where a worker keeps its `Predictor`."""

_WHOLE = (BundleError, ClusterError, MissingExtra)
"""Errors that the next scene would meet as well."""


def tell_terms(folder: Path, model: Path | None, options: PredictOptions) -> Terms | Failed:
    """What the worker that runs this computes with, see `terms_of`."""
    worker = get_worker()
    try:
        return Terms(worker.address, platform.node(), terms_of(folder, model, options))
    except Exception as error:
        return _failed(worker, error)


def report(job: Job) -> Report | Failed:
    """What the worker that runs this makes of a job."""
    worker = get_worker()
    try:
        return _predictor(worker).report(job, worker.address)
    except Exception as error:
        return _failed(worker, error)


def compute(job: Job, indices: Sequence[int]) -> Done | Failed:
    """Compute shards on the worker that runs this."""
    began, worker = time.perf_counter(), get_worker()
    try:
        shards, pixels, windows, forward = _predictor(worker).compute(
            job, indices, _cancelled(worker)
        )
    except Exception as error:
        return _failed(worker, error)
    seconds = time.perf_counter() - began
    return Done(worker.address, platform.node(), shards, pixels, windows, seconds, forward)


def join(job: Job) -> Joined | Failed:
    """Make the map of a scene on the worker that runs this."""
    worker = get_worker()
    try:
        return Joined(_predictor(worker).join(job, _cancelled(worker)))
    except Exception as error:
        return _failed(worker, error)


def serve(number: int, job: Job, work: Work) -> tuple[int, Report | Done | Joined | Failed]:
    """Do something of a scene of several.

    Args:
        number: Of the scene, given back.
        job: Of the scene.
        work: What is to be done.
    """
    if work == "report":
        return number, report(job)
    return number, join(job) if work == "join" else compute(job, work)


class OwnCores(WorkerPlugin):
    """Gives each worker of a machine its own share of the cores, also one that is started again.

    Args:
        count: Workers on this machine, whose names are 0, 1, ...
    """

    name = "rsseg-cores"

    def __init__(self, count: int) -> None:
        self._count = count

    def setup(self, worker: Worker) -> None:
        """Hold all threads of the worker, and those they start, to its cores."""
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            share = cores[int(worker.name) % len(cores) :: min(self._count, len(cores))]
            for thread in os.listdir("/proc/self/task"):
                os.sched_setaffinity(int(thread), share)


def _predictor(worker: Worker) -> Predictor:
    """What this worker keeps; made at its first task, or when another thread's just was."""
    kept = vars(worker)
    if _KEY not in kept:
        kept.setdefault(_KEY, Predictor())
        others: Any = worker.metrics.get(COUNT)  # what another tool tells
        worker.metrics[COUNT] = lambda worker: (
            vars(worker)[_KEY].windows + (0 if others is None else others(worker))
        )
    predictor: Predictor = kept[_KEY]
    return predictor


def _cancelled(worker: Worker) -> Callable[[], bool]:
    """Whether nobody waits for the task of this thread any more: its client is gone or has ended.

    Dask lets a task run to its end even so.
    """
    key = worker.get_current_task()

    def ask() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return ask


def _failed(worker: Worker, error: Exception) -> Failed:
    """What to tell the client; of a mistake of ours the worker's log has the traceback."""
    told = str(error)
    if not isinstance(error, RssegError):
        _LOG.exception("a task of rsseg failed")
        told = f"{type(error).__name__}: {error}"
    reason = public_text("; ".join([told, *getattr(error, "__notes__", [])]))
    return Failed(worker.address, platform.node(), reason, isinstance(error, _WHOLE))
