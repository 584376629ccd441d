"""The side of the workers: what they are asked, and what they answer."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Worker, get_worker

from rsseg.cluster.failing import Failed, failed
from rsseg.cluster.watching import COUNT
from rsseg.errors import BundleError, ClusterError, MissingExtra
from rsseg.prediction.cluster.job import Done, Job, Joined, Outlined, Report, Terms, Work
from rsseg.prediction.cluster.predictor import Predictor
from rsseg.prediction.cluster.terms import terms_of
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs.staging import Place

if TYPE_CHECKING:
    from rsseg.vectorise_cluster.whole import WholeMap

_KEY = "rsseg"
"""Where a worker keeps its `Predictor`."""

_WHOLE = (BundleError, ClusterError, MissingExtra)
"""Errors that the next scene would meet as well."""


def tell_terms(
    folders: Sequence[Place], model: Path | None, options: PredictOptions
) -> Terms | Failed:
    """What the worker that runs this computes with, see `terms_of`."""
    worker = get_worker()
    try:
        return Terms(worker.address, platform.node(), terms_of(folders, model, options))
    except Exception as error:
        return failed(worker, error, whole=isinstance(error, _WHOLE))


def report(job: Job) -> Report | Failed:
    """What the worker that runs this makes of a job."""
    worker = get_worker()
    try:
        return _predictor(worker).report(job, worker.address)
    except Exception as error:
        return failed(worker, error, whole=isinstance(error, _WHOLE))


def compute(job: Job, indices: Sequence[int]) -> Done | Failed:
    """Compute shards on the worker that runs this."""
    began, worker = time.perf_counter(), get_worker()
    try:
        shards, pixels, windows, forward = _predictor(worker).compute(
            job, indices, _cancelled(worker)
        )
    except Exception as error:
        return failed(worker, error, whole=isinstance(error, _WHOLE))
    seconds = time.perf_counter() - began
    return Done(worker.address, platform.node(), shards, pixels, windows, seconds, forward)


def join(job: Job) -> Joined | Failed:
    """Make the map of a scene on the worker that runs this."""
    worker = get_worker()
    try:
        return Joined(_predictor(worker).join(job, _cancelled(worker)))
    except Exception as error:
        return failed(worker, error, whole=isinstance(error, _WHOLE))


def outline(whole: WholeMap) -> Outlined | Failed:
    """Make the polygons of a map on the worker that runs this."""
    worker = get_worker()
    try:
        return Outlined(*_predictor(worker).outline(whole, _cancelled(worker)))
    except Exception as error:
        return failed(worker, error, whole=isinstance(error, _WHOLE))


def serve(
    number: int, job: Job, work: Work
) -> tuple[int, Report | Done | Joined | Outlined | Failed]:
    """Do something of a scene of several.

    Args:
        number: Of the scene, given back.
        job: Of the scene.
        work: What is to be done.
    """
    if work == "report":
        return number, report(job)
    if work == "join":
        return number, join(job)
    return number, compute(job, work) if isinstance(work, tuple) else outline(work)


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
