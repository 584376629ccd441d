"""Read, score, blend and write at the same time, with bounded queues between.

A few threads read windows ahead; one has the engine score them, a call ahead; the calling thread
blends; one writes finished blocks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.geo.scene import Scene
from rsseg.geo.shards import Shard
from rsseg.legend import NODATA
from rsseg.prediction.descent import Descent, descents
from rsseg.prediction.engine import Engine
from rsseg.prediction.mosaic import Mosaic, Profiles, profiles
from rsseg.prediction.parts import Parts
from rsseg.prediction.plan import Plan
from rsseg.prediction.scoring import ReadWindow, Scorer
from rsseg.prediction.workers import Workers

_WORTH_TELLING = 0.1
"""Share of the time that the network may wait for windows before that is said."""


@dataclass(frozen=True)
class Timing:
    """Seconds of the pipeline, and within it of the engine at work and waiting for windows."""

    pipeline: float
    forward: float
    waiting: float

    @property
    def notes(self) -> tuple[str, ...]:
        """That reading was the limit, if it was."""
        if self.waiting < max(_WORTH_TELLING * self.pipeline, 1):
            return ()
        share = f"{self.waiting:.0f} of {self.pipeline:.0f} s"
        return (f"reading the scene is the limit: the network waited for it {share}",)


def run(
    plan: Plan,
    engine: Engine,
    scoring: Workers,
    parts: Parts,
    on_progress: Callable[[int, int], None],
) -> Timing:
    """Compute every shard that is not there yet.

    Args:
        plan: What to do.
        engine: The network on its device.
        scoring: The one thread that the engine is used in.
        parts: Where finished shards go.
        on_progress: Called with windows done and windows in all, repeated ones included.

    Raises:
        SceneError: If the scene cannot be read.
        OutputError: If a shard cannot be written.
    """
    began, busy = time.perf_counter(), engine.seconds
    todo = descents(plan.tiling, plan.swaths, [s for s in plan.shards if not parts.has(s)])
    weights = _weights(plan, engine)
    total = plan.passes
    done = total - sum(len(descent) for descent in todo)
    with _Reader(plan) as reader, _Writer(parts, plan.shards_across) as writer:
        scorer = Scorer(engine, scoring, plan.batch)
        windows = scorer.scored(reader.ahead(todo))
        for descent in todo:
            for _ in _go_down(plan, descent, engine, weights, windows, writer):
                done += 1
                on_progress(done, total)
    pipeline, forward = time.perf_counter() - began, engine.seconds - busy
    return Timing(pipeline, forward, min(scorer.waited, max(0.0, pipeline - forward)))


def _go_down(
    plan: Plan,
    descent: Descent,
    engine: Engine,
    weights: Profiles,
    windows: Iterator[tuple[ReadWindow, Any]],
    writer: _Writer,
) -> Iterator[None]:
    """Blend the windows of a swath, and hand its shards over; a step for each window."""
    swath, tiling = descent.swath, plan.tiling
    shape = len(plan.bundle.legend), min(tiling.size, tiling.height), swath.width
    mosaic = Mosaic(tiling, weights, engine.to_device(np.zeros(shape, np.float32)), swath.left)
    blocks: dict[int, npt.NDArray[np.uint8]] = {}
    before: int | None = None
    for row, step in descent.steps.items():
        if before is None or before + 1 != row:
            mosaic.start(row)
        before = row
        for window, scores in islice(windows, len(step.columns)):
            if window.read is not None:
                mosaic.mark(window.column, window.read[1])
                mosaic.add(window.column, scores)
            yield
        probabilities, valid = mosaic.finished()
        first = tiling.rows[row]
        last = first + len(valid)
        for shard in step.shards:
            block = blocks.get(shard.index)
            if block is None:
                size = shard.bottom - shard.top, shard.right - shard.left
                block = blocks[shard.index] = np.empty((len(plan.layers), *size), np.uint8)
            top, bottom = max(shard.top, first), min(shard.bottom, last)
            rows = slice(top - first, bottom - first)
            columns = slice(shard.left - swath.left, shard.right - swath.left)
            block[:, top - shard.top : bottom - shard.top] = plan.layers.of_scores(
                probabilities[:, rows, columns], valid[rows, columns], engine.to_host
            )
            if bottom == shard.bottom:
                writer.put(shard, blocks.pop(shard.index))
        mosaic.advance()


def _weights(plan: Plan, engine: Engine) -> Profiles:
    down, across = (
        [engine.to_device(profile) for profile in axis]
        for axis in profiles(plan.tiling, plan.options.blend)
    )
    return down, across


class _Reader:
    """Threads that read windows in order, a bounded number ahead of the engine."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._local = threading.local()
        self._workers = Workers(plan.readers, "rsseg-read", self._close)

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._workers.__exit__(kind, *rest)

    def ahead(self, todo: list[Descent]) -> Iterator[ReadWindow]:
        """All windows of these descents, in order."""
        waiting: deque[Future[ReadWindow]] = deque()
        for descent in todo:
            for row, column in descent.windows():
                waiting.append(self._workers.submit(self._read, row, column))
                if len(waiting) > self._plan.ahead:
                    yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _read(self, row: int, column: int) -> ReadWindow:
        tiling, wanted = self._plan.tiling, self._plan.area.polygons
        place = tiling.window(tiling.rows[row], tiling.columns[column])
        inside = place.crop(tiling.height, tiling.width)
        mask = None if wanted is None else wanted.read(inside) != NODATA
        if mask is not None and not mask.any():
            return ReadWindow(column, None)
        side, fill = self._plan.side, self._plan.bundle.normalisation.raw_mean
        scene = self._scene()
        pixels, valid = scene.read(place, (side, side), fill)
        if side == tiling.size:
            valid = valid[: int(inside.height), : int(inside.width)]
        else:
            valid = scene.valid(inside)
        if mask is not None:
            valid &= mask
        return ReadWindow(column, (pixels, valid) if valid.any() else None)

    def _scene(self) -> Scene:
        scene: Scene | None = getattr(self._local, "scene", None)
        if scene is None:
            scene = self._local.scene = Scene(self._plan.scene, self._plan.bands)
        return scene

    def _close(self) -> None:
        scene: Scene | None = getattr(self._local, "scene", None)
        if scene is not None:
            scene.close()


class _Writer:
    """A thread that writes finished blocks, a bounded number waiting."""

    def __init__(self, parts: Parts, limit: int) -> None:
        self._parts, self._limit = parts, limit
        self._workers = Workers(1, "rsseg-write")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._workers.__exit__(None)  # what is finished is worth keeping, whatever happened
        if kind is None:
            self._wait(0)

    def put(self, shard: Shard, layers: npt.NDArray[np.uint8]) -> None:
        """Hand over a block once few enough are waiting."""
        self._wait(self._limit - 1)
        self._waiting.append(self._workers.submit(self._parts.write, shard, layers))

    def _wait(self, left: int) -> None:
        while len(self._waiting) > left:
            self._waiting.popleft().result()
