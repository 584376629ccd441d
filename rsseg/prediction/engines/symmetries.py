"""Scores averaged over mirrored and turned windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.prediction.engines.engine import Engine

SYMMETRIES: dict[str, tuple[tuple[bool, bool, bool], ...]] = {
    "none": ((False, False, False),),
    "flip": tuple((False, down, across) for down in (False, True) for across in (False, True)),
    "d4": tuple(
        (turned, down, across)
        for turned in (False, True)
        for down in (False, True)
        for across in (False, True)
    ),
}
"""By name: whether rows and columns change places, and which of them are then mirrored."""


class Symmetric:
    """An engine that scores each window in several positions and gives the mean.

    Args:
        engine: Scores windows as they are.
        tta: Name of the positions, see `SYMMETRIES`.
    """

    def __init__(self, engine: Engine, tta: str) -> None:
        self._engine, self._positions = engine, SYMMETRIES[tta]
        self.name, self.device, self.precision = engine.name, engine.device, engine.precision
        self.to_device, self.to_host = engine.to_device, engine.to_host
        self.batch, self.streams = engine.batch, engine.streams

    @property
    def seconds(self) -> float:
        """Time the device was busy with calls so far."""
        return self._engine.seconds

    def __call__(self, windows: npt.NDArray[Any]) -> Any:
        """Mean probabilities ``(N, K, h, w)`` of raw windows ``(N, B, h, w)``."""
        total: Any = None
        for turned, down, across in self._positions:
            moved = windows.swapaxes(2, 3) if turned else windows
            moved = moved[:, :, :: -1 if down else 1, :: -1 if across else 1]
            scores = self._engine(np.ascontiguousarray(moved))
            axes = tuple(axis for axis, flipped in ((2, down), (3, across)) if flipped)
            back = _flipped(scores, axes)
            back = back.swapaxes(2, 3) if turned else back
            # a copy: the engine's next call overwrites its result
            total = back * (1 / len(self._positions)) + (0 if total is None else total)
        return total


def _flipped(scores: Any, axes: tuple[int, ...]) -> Any:
    if not axes:
        return scores
    return np.flip(scores, axes) if isinstance(scores, np.ndarray) else scores.flip(axes)
