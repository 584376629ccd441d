"""The side of the workers: each loads a model once, and computes runs of shards with it."""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from distributed import Worker, WorkerPlugin, get_worker

from rsseg.errors import OptionError, RssegError
from rsseg.geo.opening import gdal_cache
from rsseg.prediction import pipeline
from rsseg.prediction.cluster.job import Done, Failed, Job, Report
from rsseg.prediction.engine import Engine
from rsseg.prediction.journal import changes
from rsseg.prediction.manifest import manifest_of
from rsseg.prediction.parts import Parts
from rsseg.prediction.plan import Plan
from rsseg.prediction.predict import plan
from rsseg.prediction.scene_run import LastEngine
from rsseg.prediction.workers import Workers
from rsseg.writable import require_writable

_LOG = logging.getLogger("distributed.worker")

COUNT = "rsseg_windows"
"""Name under which a worker tells the scheduler how many windows it has computed."""

_KEY = "rsseg"
"""Where a worker keeps its `Predictor`."""

_TELLING = ("engine", "precision", "device", "library", "scene", "model")
"""Entries of a plan that explain why others differ, the first of them best."""

_KEPT = 4
"""Plans that a worker keeps: the next task is of one of the last scenes."""


class Predictor:
    """What a worker keeps from one task to the next: its engine, and the plans of the last scenes.

    An engine serves one task at a time; further ones wait.
    """

    def __init__(self) -> None:
        self.windows = 0
        self._one = threading.Lock()
        self._scoring = Workers(1, "rsseg-score")
        self._engines = LastEngine()
        self._plans: dict[Job, tuple[Plan, dict[str, object]]] = {}

    def plan(self, job: Job) -> tuple[Plan, Engine]:
        """The plan of a job, and the engine it asks for.

        Raises:
            SceneError: If the scene cannot be seen.
            OptionError: If it comes to another plan than was agreed on.
        """
        known = replace(job, plan=None)
        work, journal = self._plans.get(known, (None, {}))
        if work is None:
            work = plan(job.scene, bundle=job.model, options=job.options)
            journal = work.journal
            while len(self._plans) >= _KEPT:
                del self._plans[next(iter(self._plans))]
            self._plans[known] = work, journal
        forward = job.forward if job.plan is None else job.plan["forward"]
        engine = self._scoring.submit(self._engines, work, forward).result()
        self.windows += 1  # a sign of life: what takes long is done
        own = journal | {"forward": engine.batch}
        if job.plan is not None and (changed := changes(job.plan, own)):
            key = next((name for name in _TELLING if name in changed), changed[0])
            raise OptionError(
                f"it differs from the others in {', '.join(changed)}",
                expected=f"{key} {job.plan.get(key)}",
                got=own.get(key),
                remedy="choose by --device, --engine and --precision what all have, or use equals",
            )
        return work, engine

    def compute(self, job: Job, indices: Sequence[int]) -> tuple[int, int, int, float]:
        """Compute shards, and put them into the parts folder.

        Args:
            job: What has been agreed on.
            indices: Of the shards.

        Returns:
            Shards, pixels and windows computed, and seconds of the engine.
        """
        assert job.plan is not None
        with self._one:
            work, engine = self.plan(job)
            parts = Parts(job.out)
            parts.visit(job.plan)
            todo = [work.shards[index] for index in indices if not parts.has(work.shards[index])]
            if not todo:
                return 0, 0, 0, 0.0
            before = self.windows
            with gdal_cache(work.gdal_cache):
                some = replace(work, shards=tuple(todo))
                timing = pipeline.run(some, engine, self._scoring, parts, self._count)
        pixels = sum((s.bottom - s.top) * (s.right - s.left) for s in todo)
        return len(todo), pixels, self.windows - before, timing.forward

    def report(self, job: Job, worker: str) -> Report:
        """What this worker makes of a job."""
        require_writable(job.out, overwrite=True)
        with self._one:
            self._plans.clear()  # a run begins, and files may have changed since the last one
            work, engine = self.plan(job)
        return Report(
            worker=worker,
            host=platform.node(),
            engine=engine.name,
            device=engine.device,
            precision=engine.precision,
            plan=work.journal | {"forward": engine.batch},
            options=work.options,
            shards=work.shards,
            block=work.block[1],
            windows=work.windows,
            manifest=manifest_of(work, job.out),
            notes=work.notes,
        )

    def _count(self, done: int, total: int) -> None:
        self.windows += 1


def report(job: Job) -> Report | Failed:
    """What the worker that runs this makes of a job."""
    worker = get_worker()
    try:
        return _predictor(worker).report(job, worker.address)
    except Exception as error:
        return Failed(worker.address, platform.node(), _sentence(error))


def compute(job: Job, indices: Sequence[int]) -> Done | Failed:
    """Compute shards on the worker that runs this."""
    began, worker = time.perf_counter(), get_worker()
    try:
        shards, pixels, windows, forward = _predictor(worker).compute(job, indices)
    except Exception as error:
        return Failed(worker.address, platform.node(), _sentence(error))
    seconds = time.perf_counter() - began
    return Done(worker.address, platform.node(), shards, pixels, windows, seconds, forward)


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
        worker.metrics[COUNT] = lambda worker: vars(worker)[_KEY].windows
    predictor: Predictor = kept[_KEY]
    return predictor


def _sentence(error: Exception) -> str:
    """What to tell the client; of a mistake of ours the worker's log has the traceback."""
    told = str(error)
    if not isinstance(error, RssegError):
        _LOG.exception("a task of rsseg failed")
        told = f"{type(error).__name__}: {error}"
    return "; ".join([told, *getattr(error, "__notes__", [])])
