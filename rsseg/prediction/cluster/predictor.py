"""What a worker keeps from one task to the next: its engine, and the plans of the last scenes."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rsseg.errors import ClusterError, RssegError
from rsseg.geo.opening import gdal_cache
from rsseg.geo.scene_list import told_name
from rsseg.prediction.cluster.job import Job, Report
from rsseg.prediction.cluster.places import require_room, writer_of
from rsseg.prediction.cluster.terms import require_same
from rsseg.prediction.computing import pipeline
from rsseg.prediction.engines.engine import Engine
from rsseg.prediction.many_scenes.last_engine import LastEngine
from rsseg.prediction.many_scenes.scenes import bands_of
from rsseg.prediction.outputs.finishing import outputs_of
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.planning.locating import located
from rsseg.prediction.planning.manifest import Manifest, manifest_of
from rsseg.prediction.planning.plan import Plan
from rsseg.prediction.predict import plan
from rsseg.prediction.workers import Workers

if TYPE_CHECKING:
    from rsseg.vectorise_cluster.whole import WholeMap

_KEPT = 16
"""Plans that a worker keeps: the next task is of one of the last scenes."""


@dataclass(frozen=True)
class _Kept:
    """A plan, its journal, and the files that it needs as long as it is kept."""

    work: Plan
    journal: dict[str, object]
    files: ExitStack


class Predictor:
    """Computes shards for one task at a time; further ones wait."""

    def __init__(self) -> None:
        self.windows = 0
        self._one = threading.Lock()
        self._scoring = Workers(1, "rsseg-score")
        self._engines = LastEngine()
        self._plans: dict[Job, _Kept] = {}

    def report(self, job: Job, worker: str) -> Report:
        """What this worker makes of a job.

        Args:
            job: Agreed on or not.
            worker: Address of this worker.

        Raises:
            SceneError: If the scene cannot be seen.
            OutputError: If shards cannot be written.
            ClusterError: If this worker computes otherwise than was agreed on.
        """
        require_room(job)
        with self._one:
            for known in [known for known in self._plans if known.out == job.out]:
                self._forget(known)  # a run begins, and files may have changed since the last one
            work, engine = self._plan(job)
        return Report(
            worker=worker,
            host=platform.node(),
            scene=work.scene,
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

    def compute(
        self, job: Job, indices: Sequence[int], ended: Callable[[], bool]
    ) -> tuple[int, int, int, float]:
        """Compute shards, and put them where the job's lie.

        Args:
            job: What has been agreed on.
            indices: Of the shards.
            ended: Asked after every window: True if nobody wants the shards any more.

        Returns:
            Shards, pixels and windows computed, and seconds of the engine.

        Raises:
            SceneError: If the scene cannot be read.
            OutputError: If a shard cannot be written.
            ClusterError: If this worker computes otherwise than was agreed on.
        """
        assert job.plan is not None
        with self._one:
            work, engine = self._plan(job)
            parts = writer_of(job)
            todo = [work.shards[index] for index in indices if not parts.has(work.shards[index])]
            if not todo:
                return 0, 0, 0, 0.0
            before = self.windows

            def count(done: int, total: int) -> None:
                self.windows += 1
                if ended():
                    raise ClusterError("the run was ended")

            with gdal_cache(work.gdal_cache), _named(job, work):
                some = replace(work, shards=tuple(todo))
                timing = pipeline.run(some, engine, self._scoring, parts, count)
        pixels = sum((s.bottom - s.top) * (s.right - s.left) for s in todo)
        return len(todo), pixels, self.windows - before, timing.forward

    def join(self, job: Job, ended: Callable[[], bool]) -> dict[int, int]:
        """Make the outputs of a scene whose shards are all there; pixels by file code.

        Args:
            job: What has been agreed on.
            ended: Asked when an output is whole: True if nobody wants it any more.

        Raises:
            OutputError: If an output cannot be written.
            ClusterError: If shards are not to be seen here.
        """
        with self._one:
            work, _ = self._plan(job)
            with gdal_cache(work.gdal_cache):
                return joined(Parts(job.out), manifest_of(work, job.out), job.out, ended)

    def outline(self, whole: WholeMap, ended: Callable[[], bool]) -> tuple[int, int]:
        """Make the polygons of a map; how many there are, and the bytes of the file.

        Args:
            whole: The map.
            ended: Asked after every strip: True if nobody wants them any more.

        Raises:
            ClusterError: If this worker has other libraries than the command.
            RssegError: If it does not see the map, or cannot write the file.
        """
        from rsseg.vectorise_cluster.whole import outline

        def count(done: int, total: int) -> None:
            self.windows += 1  # a sign of life
            if ended():
                raise ClusterError("the run was ended")

        with self._one:
            return outline(whole, count)

    def _plan(self, job: Job) -> tuple[Plan, Engine]:
        """The plan of a job, and the engine it asks for."""
        known = replace(job, plan=None)
        kept = self._plans.pop(known, None) or self._planned(job)
        while len(self._plans) >= _KEPT:
            self._forget(next(iter(self._plans)))
        self._plans[known] = kept  # the last one is forgotten last
        forward = job.forward if job.plan is None else job.plan["forward"]
        engine = self._scoring.submit(self._engines, kept.work, forward).result()
        self.windows += 1  # a sign of life: what takes long is done
        if job.plan is not None:
            require_same(job.plan, kept.journal | {"forward": engine.batch})
        return kept.work, engine

    def _planned(self, job: Job) -> _Kept:
        with ExitStack() as stack:
            bands = bands_of(job.model)
            path, options = stack.enter_context(located(job.scene, job.options, bands, job.assets))
            work = plan(path, bundle=job.model, options=options)
            return _Kept(work, work.journal, stack.pop_all())

    def _forget(self, job: Job) -> None:
        self._plans.pop(job).files.close()


def joined(
    parts: Parts, manifest: Manifest, out: Path, ended: Callable[[], bool]
) -> dict[int, int]:
    """Make the outputs of shards that workers have finished; pixels by file code.

    The shards stay until whoever keeps a record of the outputs has done so.

    Args:
        parts: The shards.
        manifest: What they become.
        out: The map.
        ended: Asked when an output is whole: True leaves none after all.

    Raises:
        ClusterError: If shards are not to be seen here.
        OutputError: If an output cannot be written.
    """
    if missing := parts.missing(manifest, patient=True):
        raise ClusterError(
            f"{len(missing)} shards that workers have finished are not in {parts.place}",
            remedy="it must be the same place on all machines",
        )
    return outputs_of(parts, manifest, out, ended)


@contextmanager
def _named(job: Job, work: Plan) -> Iterator[None]:
    """Errors name the scene as the user did, not a file that was made of its assets."""
    try:
        yield
    except RssegError as error:
        if not isinstance(job.scene, str):
            error.args = (str(error).replace(work.scene, told_name(job.scene)),)
        raise
