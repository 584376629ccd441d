"""Read, score, blend and write at the same time, with bounded queues between.

Threads read windows ahead; others have the engine score them, a call ahead; the calling thread
blends; one writes finished blocks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.geo.scene import Scene
from rsseg.geo.shards import Shard
from rsseg.legend import NODATA
from rsseg.prediction.blending.mosaic import Mosaic, Piece, Profiles, profiles
from rsseg.prediction.computing.descent import Descent, descents
from rsseg.prediction.computing.scoring import ReadWindow, Scorer
from rsseg.prediction.engines.engine import Engine
from rsseg.prediction.parts.folder import PartWriter
from rsseg.prediction.planning.plan import Plan
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
    parts: PartWriter,
    on_progress: Callable[[int, int], None],
) -> Timing:
    """Compute every shard that is not there yet.

    Args:
        plan: What to do.
        engine: The network on its device.
        scoring: The thread that the engine was made in; more are added if it has several streams.
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
    scoring.grow(engine.streams)
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
    swath, tiling, kinds = descent.swath, plan.tiling, plan.layers
    mosaic = Mosaic(
        tiling,
        weights,
        len(plan.bundle.legend),
        lambda shape: engine.to_device(np.zeros(shape, np.float32)),
        range(swath.left, swath.right),
        collect=plan.placement.device != "cpu",
    )
    layers = np.empty((len(kinds), min(tiling.size, tiling.height), swath.width), np.uint8)
    blocks = _Blocks(swath.left)

    def fill(pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            there = layers[:, piece.rows, piece.columns]
            kinds.fill(there, piece.probabilities, engine.to_host)

    before: int | None = None
    for row, step in descent.steps.items():
        if before is None or before + 1 != row:
            mosaic.start(row)
        before = row
        for window, scores in islice(windows, len(step.columns)):
            if window.read is not None:
                mosaic.mark(window.column, window.read[1])
                fill(mosaic.add(window.column, scores))
            yield
        fill(mosaic.rest())
        valid = mosaic.valid
        finished = layers[:, : len(valid)]
        if not valid.all():
            np.copyto(finished, NODATA, where=~valid)
        for shard, block in blocks.whole(step.shards, tiling.rows[row], finished):
            writer.put(shard, block)
        mosaic.advance()


class _Blocks:
    """Shards of a swath whose rows come in.

    Args:
        left: First column of the swath.
    """

    def __init__(self, left: int) -> None:
        self._left = left
        self._begun: dict[int, npt.NDArray[np.uint8]] = {}

    def whole(
        self, shards: Iterable[Shard], first: int, rows: npt.NDArray[np.uint8]
    ) -> Iterator[tuple[Shard, npt.NDArray[np.uint8]]]:
        """Those of the shards that finished rows ``(B, n, W)`` from ``first`` on make whole."""
        for shard in shards:
            size = len(rows), shard.bottom - shard.top, shard.right - shard.left
            block = self._begun.pop(shard.index, None)
            if block is None:
                block = np.empty(size, np.uint8)
            top, bottom = max(shard.top, first), min(shard.bottom, first + rows.shape[1])
            columns = slice(shard.left - self._left, shard.right - self._left)
            here = slice(top - shard.top, bottom - shard.top)
            block[:, here] = rows[:, top - first : bottom - first, columns]
            if bottom == shard.bottom:
                yield shard, block
            else:
                self._begun[shard.index] = block


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

    def __init__(self, parts: PartWriter, limit: int) -> None:
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
