"""Many scenes on their way through a cluster, few of them at a time.

A scene is asked about on a worker, looked for on the disk, computed in tasks, joined by a worker,
and recorded; then a worker makes its polygons if they are asked for. The next ones are asked about
while the tasks of one run, so that idle workers always find some. Looking and recording are done by
threads of the client, beside the tasks; so is the joining of scenes that would keep a worker for
long.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rsseg.cluster.failing import Failed
from rsseg.cluster.watching import Watch
from rsseg.errors import ClusterError, OutputError
from rsseg.prediction.cluster.job import Done, Job, Joined, Outlined, Report, Work, job_of
from rsseg.prediction.cluster.open_scene import Bare, Found, OpenScene
from rsseg.prediction.cluster.result import notes_of
from rsseg.prediction.many_scenes.outcomes import SceneOutcome
from rsseg.prediction.many_scenes.scene_entries import SceneEntries
from rsseg.prediction.many_scenes.scenes import STEPS
from rsseg.prediction.outputs.staging import MAP, Place
from rsseg.prediction.workers import Workers

Order = tuple[int, Job, Work]
"""A scene's number, its job, and what is to be done of it."""

_KEEPING = 4
"""Scenes that wait for the client, at most: if that is the limit, no further ones are begun."""

_SMALL = 100
"""Shards of a scene that a worker joins, at most: some hundred megapixels, seconds of work."""


class SceneQueue:
    """Gives orders for workers and takes what comes of them.

    Args:
        entries: The scenes.
        model: The model file; None for the embedded model.
        assets: Assets of items that the user asks for.
        watch: Asked for the number of threads.
        cluster: Its name, for results.
        store: Where shards of a map lie in an object store; None for a folder that all see.
    """

    def __init__(
        self,
        entries: SceneEntries,
        model: str | Path | None,
        assets: tuple[str, ...],
        watch: Watch,
        cluster: str,
        store: Callable[[Place], str | None] = lambda place: None,
    ) -> None:
        self._store = store
        self._waiting = enumerate(entries)
        self._left = self._count = len(entries)
        self._model, self._assets, self._watch, self._cluster = model, assets, watch, cluster
        self._open: dict[int, OpenScene] = {}
        self._told: set[str] = set()
        self._ready: deque[SceneOutcome] = deque()
        self._looking = Workers(1, "rsseg-look")
        self._keeping = Workers(1, "rsseg-finish")

    def __enter__(self) -> SceneQueue:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, *rest: object) -> None:
        self._looking.__exit__(kind, error, *rest)
        self._keeping.__exit__(kind, error, *rest)
        for scene in self._open.values():  # some folders were opened a moment ago
            future = scene.looking
            if future is not None and future.done() and future.exception() is None:
                result = future.result()
                scene.found = result if isinstance(result, Found) else scene.found
        found = [scene.found.parts for scene in self._open.values() if scene.found is not None]
        kept = [parts.place for parts in found if parts.keep_after(error)]
        if kept and error is not None:
            error.add_note(
                f"finished shards are kept in {kept[0]}"
                + (f" and {len(kept) - 1} folders beside it" if len(kept) > 1 else "")
                + ": the same command goes on"
            )

    def orders(self) -> Iterator[Order | None]:
        """What workers are to do; None where there is nothing at the moment."""
        while self._left or self._open:
            self._settle()
            order = self._next_finish() or self._next_scene() or self._next_task()
            if order is not None or self._left or self._open:
                yield order

    def take(
        self, number: int, answer: Report | Done | Joined | Outlined | Failed | ClusterError
    ) -> None:
        """Take what has come of an order.

        Args:
            number: Of the scene.
            answer: What a worker says, or that workers were lost by it.

        Raises:
            ClusterError: If a worker has failed so that it would fail with all scenes.
        """
        scene = self._open[number]
        scene.flying -= 1
        if isinstance(answer, Report):
            scene.report = answer
            scene.looking = self._looking.submit(scene.look, answer, self._watch.threads)
            return
        if isinstance(answer, Joined):
            self._keep(scene, answer.pixels)
            return
        if isinstance(answer, Outlined):
            scene.keeping = self._keeping.submit(
                scene.complete, answer, lambda: self._keeping.given_up
            )
            return
        if isinstance(answer, Done):
            scene.done.append(answer)
        elif isinstance(answer, Failed) and answer.whole:
            raise ClusterError(str(answer))
        else:
            scene.failure = str(answer)
        if scene.flying:
            return
        if scene.failure is not None:
            self._fail(number, scene.failure)
        elif not scene.tasks:
            self._computed(number, scene)

    def outcomes(self) -> Iterator[SceneOutcome]:
        """Scenes that are ready."""
        self._settle()
        while self._ready:
            yield self._ready.popleft()

    @property
    def steps(self) -> int:
        """How far all are, in `STEPS` for each scene."""
        ended = self._count - self._left - len(self._open)
        return round(STEPS * (ended + sum(scene.share for scene in self._open.values())))

    def _next_finish(self) -> Order | None:
        """A map to be joined, or polygons of one to be made."""
        for number, scene in self._open.items():
            if scene.joins:
                scene.joins, scene.flying = False, 1
                return number, scene.job, "join"
            if scene.bare is not None and scene.outlines:
                scene.outlines, scene.flying = False, 1
                return number, scene.job, scene.bare.order
        return None

    def _next_scene(self) -> Order | None:
        """Ask about the next scene, unless enough are known of."""
        ahead = sum(scene.ahead for scene in self._open.values())
        keeping = sum(
            scene.keeping is not None or scene.failing is not None for scene in self._open.values()
        )
        if ahead > self._watch.threads or keeping >= _KEEPING:
            return None
        for number, entry in self._waiting:
            left, self._left = self._left, self._left - 1
            try:
                store = self._store(entry.places[MAP])
                job = job_of(
                    entry.scene, entry.out, self._model, entry.options, self._assets, store
                )
            except Exception as error:
                self._ready.append(entry.failure(error))
                continue
            self._open[number] = OpenScene(entry, job, time.perf_counter(), left, flying=1)
            return number, job, "report"
        return None

    def _next_task(self) -> Order | None:
        for number, scene in self._open.items():
            if scene.tasks:
                if not scene.done and not scene.flying:
                    scene.started = time.perf_counter()
                scene.flying += 1
                return number, scene.job, scene.tasks.popleft()
        return None

    def _settle(self) -> None:
        """Go on with what the threads have done."""
        for number, scene in list(self._open.items()):
            if scene.failing is not None and scene.failing.done():
                del self._open[number]
                self._ready.append(scene.failing.result())
                continue
            future = scene.keeping or scene.looking
            if future is None or not future.done():
                continue
            scene.looking = scene.keeping = None
            try:
                result = future.result()
            except Exception as error:
                self._fail(number, error)
                continue
            if isinstance(result, Found):
                scene.found = result
                if not result.tasks:  # all shards were there
                    scene.started = time.perf_counter()
                    self._computed(number, scene)
            elif isinstance(result, Bare):
                scene.bare, scene.outlines = result, True
            else:
                del self._open[number]
                self._ready.append(scene.entry.outcome(result))

    def _computed(self, number: int, scene: OpenScene) -> None:
        """All shards of a scene are there."""
        assert scene.report is not None
        assert scene.found is not None
        scene.computed = time.perf_counter()
        # shards of a store are joined here, where the map is sent from
        scene.joins = len(scene.report.shards) <= _SMALL and scene.job.store is None
        if not scene.joins:
            self._keep(scene)
            return
        try:
            scene.found.run.begun()  # if this process is killed, a worker may still make the map
        except OutputError as error:
            self._fail(number, error)

    def _fail(self, number: int, error: Exception | str) -> None:
        scene = self._open[number]
        if scene.bare is not None:
            scene.bare.mapped.run.given_up()
        elif scene.found is not None:
            scene.found.run.given_up()
        scene.failure, scene.joins = str(error), False
        scene.failing = self._looking.submit(scene.failed, error)  # a store may not answer

    def _keep(self, scene: OpenScene, pixels: dict[int, int] | None = None) -> None:
        """Have a scene recorded, and joined before if no worker has."""
        notes = self._new_notes()
        scene.keeping = self._keeping.submit(
            scene.keep, pixels, self._cluster, notes, lambda: self._keeping.given_up
        )

    def _new_notes(self) -> tuple[str, ...]:
        """What to know of the workers, each sentence once."""
        new = [note for note in notes_of(self._watch) if note not in self._told]
        self._told.update(new)
        return tuple(new)
