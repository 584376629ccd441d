"""Read, score, blend and write at the same time, with bounded queues between.

A few threads read windows ahead; the calling thread scores and blends them; one thread writes
finished strips.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.geo.scene import Scene
from rsseg.geo.tiling import Shard
from rsseg.prediction.engine import Engine
from rsseg.prediction.mosaic import Mosaic, profiles
from rsseg.prediction.parts import Parts
from rsseg.prediction.plan import READERS, Plan


@dataclass(frozen=True)
class Timing:
    """Seconds of the pipeline, and of the engine within it."""

    pipeline: float
    forward: float


def run(
    plan: Plan, engine: Engine, parts: Parts, on_progress: Callable[[int, int], None]
) -> Timing:
    """Compute every strip that is not there yet.

    Args:
        plan: What to do.
        engine: The network on its device.
        parts: Where finished strips go.
        on_progress: Called with windows done and windows in all.

    Raises:
        SceneError: If the scene cannot be read.
        OutputError: If a strip cannot be written.
    """
    began, clock = time.perf_counter(), _Stopwatch()
    steps = list(_steps([shard for shard in plan.shards if not parts.has(shard)]))
    columns, total = len(plan.tiling.columns), len(plan.tiling)
    done = max(0, total - len(steps) * columns)
    mosaic = _mosaic(plan, engine)
    rows: list[npt.NDArray[np.uint8]] = []
    with _Reader(plan) as reader, _Writer(parts) as writer:
        windows = reader.ahead([step.row for step in steps])
        scored = _score(windows, engine, plan.batch, clock)
        for step in steps:
            if step.restart:
                mosaic.start(step.row)
            for window, scores in islice(scored, columns):
                mosaic.mark(window.column, window.valid)
                if scores is not None:
                    mosaic.add(window.column, scores)
                done = min(done + 1, total)
                on_progress(done, total)
            probabilities, valid = mosaic.finish()
            if plan.tiling.rows[step.row] >= step.shard.start:
                rows.append(plan.layers.of_scores(probabilities, valid, engine.to_host))
            if step.row + 1 == step.shard.last:
                writer.put(step.shard, np.concatenate(rows, axis=1))
                rows = []
    return Timing(time.perf_counter() - began, clock.seconds)


@dataclass(frozen=True)
class _Step:
    """One row of windows, computed for a shard; ``restart`` where the row before is missing."""

    shard: Shard
    row: int
    restart: bool


def _steps(pending: Sequence[Shard]) -> Iterator[_Step]:
    """Rows of windows in order; those that two neighbouring shards share are computed once."""
    before: Shard | None = None
    for shard in pending:
        follows = before is not None and before.index + 1 == shard.index
        first = before.last if before is not None and follows else shard.first
        for row in range(first, shard.last):
            yield _Step(shard, row, restart=not follows and row == first)
        before = shard


@dataclass(frozen=True)
class _Window:
    """A window that was read: its place in the row, and its pixels unless none is valid."""

    column: int
    pixels: npt.NDArray[Any] | None
    valid: npt.NDArray[np.bool_]


class _Stopwatch:
    """Adds up the seconds spent inside it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self.seconds += time.perf_counter() - self._began


def _score(
    windows: Iterator[_Window], engine: Engine, size: int, clock: _Stopwatch
) -> Iterator[tuple[_Window, Any]]:
    """Each window in order with its class scores ``(K, h, w)``, None if no pixel of it is valid.

    Windows go through the engine in groups of ``size``, across the ends of rows.
    """
    while group := list(islice(windows, size)):
        pixels = [window.pixels for window in group if window.pixels is not None]
        scores: Iterator[Any] = iter(())
        if pixels:
            with clock:
                scores = iter(engine(np.stack(pixels)))
        for window in group:
            yield window, None if window.pixels is None else next(scores)


def _mosaic(plan: Plan, engine: Engine) -> Mosaic:
    down, across = (
        [engine.to_device(profile) for profile in axis]
        for axis in profiles(plan.tiling, plan.options.blend)
    )
    rows = min(plan.tiling.size, plan.tiling.height)
    sums = np.zeros((len(plan.bundle.legend), rows, plan.tiling.width), np.float32)
    return Mosaic(plan.tiling, (down, across), engine.to_device(sums))


class _Reader:
    """Threads that read windows in order, a bounded number ahead of the engine."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="rsseg-read")
        self._local = threading.local()
        self._scenes: list[Scene] = []

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for scene in self._scenes:
            scene.close()

    def ahead(self, rows: Sequence[int]) -> Iterator[_Window]:
        """All windows of these rows of windows, in order."""
        places = ((row, column) for row in rows for column in range(len(self._plan.tiling.columns)))
        waiting: deque[Future[_Window]] = deque()
        for row, column in places:
            waiting.append(self._pool.submit(self._read, row, column))
            if len(waiting) > self._plan.ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _read(self, row: int, column: int) -> _Window:
        tiling = self._plan.tiling
        place = tiling.window(tiling.rows[row], tiling.columns[column])
        side, fill = self._plan.side, self._plan.bundle.normalisation.raw_mean
        scene = self._scene()
        pixels, valid = scene.read(place, (side, side), fill)
        if side != tiling.size:
            valid = scene.valid(place)
        return _Window(column, pixels if valid.any() else None, valid)

    def _scene(self) -> Scene:
        scene: Scene | None = getattr(self._local, "scene", None)
        if scene is None:
            scene = self._local.scene = Scene(self._plan.scene, self._plan.bands)
            self._scenes.append(scene)
        return scene


class _Writer:
    """A thread that writes strips, one waiting at most."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="rsseg-write")
        self._last: Future[None] | None = None

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown()
        if exception[0] is None:
            self._wait()

    def put(self, shard: Shard, layers: npt.NDArray[np.uint8]) -> None:
        """Hand over a strip once the one before is written."""
        self._wait()
        self._last = self._pool.submit(self._parts.write, shard, layers)

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()
