"""A scene on its way through a cluster: how far it is, and what the client does of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rsseg.errors import ClusterError
from rsseg.late_files import in_time
from rsseg.prediction.cluster.job import Done, Job, Outlined, Report
from rsseg.prediction.cluster.places import parts_of, remove_left, settled
from rsseg.prediction.cluster.predictor import joined
from rsseg.prediction.cluster.result import Times, cluster_result
from rsseg.prediction.computing.dealing import runs
from rsseg.prediction.many_scenes.outcomes import SceneOutcome
from rsseg.prediction.many_scenes.scene_entries import SceneEntry
from rsseg.prediction.many_scenes.scene_run import Finished, Mapped, SceneRun
from rsseg.prediction.outputs.records import sizes
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.planning.prospect import Prospect

if TYPE_CHECKING:
    from rsseg.vectorise_cluster.whole import WholeMap


@dataclass(frozen=True)
class Found:
    """A scene whose map is to be made.

    Args:
        run: What is to be done with the map.
        parts: Its shards.
        tasks: Indices of the shards that are missing.
        before: Shards that were there before.
    """

    run: SceneRun
    parts: Parts
    tasks: deque[tuple[int, ...]]
    before: int


@dataclass(frozen=True)
class Bare:
    """A scene whose map is there, and whose polygons a worker is to make.

    Args:
        mapped: The map.
        order: What the worker is told.
    """

    mapped: Mapped
    order: WholeMap


@dataclass
class OpenScene:
    """A scene on its way.

    Args:
        entry: The scene.
        job: What workers are told of it.
        began: When it was begun, by ``time.perf_counter``.
        left: Scenes that were still to be begun then, itself included.
        report: What a worker makes of it.
        looking: What is there of it, in a while.
        found: That there is something to compute.
        flying: Orders that workers have.
        done: Tasks that are done.
        started: When the first of them was given out.
        computed: When the last of them was done.
        failure: Why it has failed.
        joins: Whether a worker is to join it.
        bare: Its map, if polygons of it are to be made.
        outlines: Whether a worker is to be told of that.
        keeping: What becomes of it, in a while.
        failing: What is told of its failure, in a while.
    """

    entry: SceneEntry
    job: Job
    began: float
    left: int
    report: Report | None = None
    looking: Future[Finished | Found | Bare] | None = None
    found: Found | None = None
    flying: int = 0
    done: list[Done] = field(default_factory=list)
    started: float = 0.0
    computed: float = 0.0
    failure: str | None = None
    joins: bool = False
    bare: Bare | None = None
    outlines: bool = False
    keeping: Future[Finished | Bare] | None = None
    failing: Future[SceneOutcome] | None = None

    @property
    def tasks(self) -> deque[tuple[int, ...]]:
        """Those that no worker has been given yet."""
        return deque() if self.found is None or self.failure is not None else self.found.tasks

    @property
    def ahead(self) -> bool:
        """Whether it still gives tasks, or will."""
        if self.failure is not None or self.bare is not None:
            return False
        return self.found is None or bool(self.found.tasks)

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        if self.report is None or self.found is None:
            return 0.0
        computed = self.found.before + sum(each.shards for each in self.done)
        return computed / max(1, len(self.report.shards))

    def look(self, report: Report, threads: int) -> Finished | Found | Bare:
        """What is there; opens the parts folder if there is something to compute.

        Args:
            report: What a worker makes of the scene.
            threads: Of the workers.

        Raises:
            OutputError: If an output is there that is not its own, or cannot be written.
        """
        grid, legend = report.manifest.grid, report.manifest.legend
        journal = {key: value for key, value in report.plan.items() if key != "forward"}
        run = self.entry.run(Prospect(report.scene, grid, legend, journal, self.entry.options))
        before = run.before()
        if before is not None:
            remove_left(self.job, journal)
            return self._less_polygons(before)
        run = run.allowed()
        report = settled(self.job, report)
        self.job = self.job.agreed(report)
        parts = parts_of(self.job)
        parts.open(report.plan, report.manifest, restart=self.entry.options.restart)
        todo = [shard for shard in report.shards if not parts.has(shard)]
        # as many workers to a scene as there are for each of those that are left
        workers = max(1, threads // self.left)
        dealt = runs(todo, workers, report.block, even=self.left <= threads)
        tasks = deque(tuple(shard.index for shard in each) for each in dealt)
        return Found(run, parts, tasks, len(report.shards) - len(todo))

    def keep(
        self,
        pixels: dict[int, int] | None,
        cluster: str,
        notes: tuple[str, ...],
        given_up: Callable[[], bool],
    ) -> Finished | Bare:
        """Record the map, and deliver it unless polygons are missing; join it if no worker has.

        Args:
            pixels: By file code; None if it is not joined.
            cluster: The cluster's name.
            notes: What the user should know.
            given_up: Asked when an output is whole: True leaves none after all.

        Raises:
            OutputError: If an output cannot be written.
        """
        assert self.report is not None
        assert self.found is not None
        parts, out = self.found.parts, self.job.out
        if pixels is None:
            self.found.run.begun()  # if this process is killed before there is a record
            pixels = joined(parts, self.report.manifest, out, given_up)
        times = Times(self.began, self.started, self.computed, time.perf_counter())
        made = cluster_result(
            self.report, str(out), pixels, self.done, self.found.before, times, cluster, notes
        )
        try:
            there = self.found.run.finished(made)
        except BaseException:
            if self.found.run.recorded():  # it is made, and could not be sent
                parts.remove()
            raise
        parts.remove()
        return self._less_polygons(there)

    def complete(self, made: Outlined, given_up: Callable[[], bool]) -> Finished:
        """Record polygons that a worker has made, once they are seen here, and deliver all.

        Args:
            made: What the worker says.
            given_up: Asked while they are not seen: True if there is no use in waiting.

        Raises:
            ClusterError: If they are not to be seen here.
            OutputError: If an output cannot be written.
        """
        assert self.bare is not None
        path = self.bare.mapped.polygons
        if not in_time(
            lambda: sizes({"polygons": path})["polygons"] == made.size, hopeless=given_up
        ):
            raise ClusterError(
                f"polygons that a worker has finished are not in {path.parent}",
                remedy="it must be the same folder on all machines",
            )
        return self.bare.mapped.finished(made.polygons)

    def failed(self, error: Exception | str) -> SceneOutcome:
        """What is told of a failure; finished shards are kept, and where they are is told too.

        Args:
            error: Why it has failed.
        """
        parts = None if self.found is None else self.found.parts
        if parts is not None and parts.keep_if_useful():
            note = f"finished shards are kept in {parts.place}: the same command goes on"
            if isinstance(error, Exception):
                error.add_note(note)
            else:
                error = f"{error}; {note}"
        return self.entry.failure(error)

    def _less_polygons(self, there: Finished | Mapped) -> Finished | Bare:
        if not isinstance(there, Mapped):
            return there
        if self.job.store is not None:  # no worker sees the map
            return there.vectorised()
        from rsseg.vectorise_cluster.whole import whole_map

        return Bare(there, whole_map(there.raster, there.polygons, there.confidence))
