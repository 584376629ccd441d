"""The engine at work in threads of its own, a call of each ahead of what is blended."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.prediction.engines.engine import Engine
from rsseg.prediction.workers import Workers

_SKIPPED = 64
"""Groups without a valid pixel that may wait behind one that is scored."""


@dataclass(frozen=True)
class ReadWindow:
    """Its place in the row, and its pixels and their validity unless none is valid."""

    column: int
    read: tuple[npt.NDArray[Any], npt.NDArray[np.bool_]] | None


_Scored = tuple[list[ReadWindow], Future[Any] | None]
"""Windows, and the call that scores them unless none is valid."""


class Scorer:
    """The engine in its thread, which is given windows before the last ones are blended.

    Args:
        engine: The network on its device.
        scoring: The threads that it is used in.
        size: Windows to hand it at a time.
    """

    def __init__(self, engine: Engine, scoring: Workers, size: int) -> None:
        self._engine, self._scoring, self._size = engine, scoring, size
        self._lock, self._calls = threading.Lock(), 0
        self._idle, self._since = 0.0, time.perf_counter()
        self.waited = 0.0
        """Seconds that the engine had nothing to do because windows were not read yet."""

    def scored(self, windows: Iterator[ReadWindow]) -> Iterator[tuple[ReadWindow, Any]]:
        """Each window in order with its class scores ``(K, h, w)``, None if no pixel is valid.

        Windows go through the engine in groups, across the ends of rows. While one group is blended
        the next ones are scored; scores are good as long as that. Groups without a valid pixel do
        not count: the engine gets the next one behind them.
        """
        waiting: deque[_Scored] = deque()
        while group := self._next(windows):
            pixels = [window.read[0] for window in group if window.read is not None]
            waiting.append((group, self._scoring.submit(self._call, pixels) if pixels else None))
            while len(waiting) > _SKIPPED or _calls(waiting) > self._engine.streams:
                yield from _with_scores(*waiting.popleft())
        while waiting:
            yield from _with_scores(*waiting.popleft())

    def _next(self, windows: Iterator[ReadWindow]) -> list[ReadWindow]:
        before = self._count(0)
        group = list(islice(windows, self._size))
        self.waited += self._count(0) - before
        return group

    def _call(self, pixels: list[npt.NDArray[Any]]) -> Any:
        self._count(1)
        try:
            return self._engine(pixels[0][None] if len(pixels) == 1 else np.stack(pixels))
        finally:
            self._count(-1)

    def _count(self, more: int) -> float:
        """Note that a call begins or ends; seconds that the engine was idle so far.

        With one of two streams at work it is half idle.
        """
        with self._lock:
            now = time.perf_counter()
            free = max(0, self._engine.streams - self._calls)
            self._idle += (now - self._since) * free / self._engine.streams
            self._since, self._calls = now, self._calls + more
            return self._idle


def _calls(waiting: Iterable[_Scored]) -> int:
    return sum(call is not None for _, call in waiting)


def _with_scores(
    group: list[ReadWindow], call: Future[Any] | None
) -> Iterator[tuple[ReadWindow, Any]]:
    scores: Iterator[Any] = iter(()) if call is None else iter(call.result())
    for window in group:
        yield window, None if window.read is None else next(scores)
