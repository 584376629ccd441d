"""Scores averaged over positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rsseg.prediction.engines.symmetries import SYMMETRIES, Symmetric


class Recording:
    """An engine that reuses its result, as engines may; scores by a function of the windows."""

    name, device, precision, batch, streams = "recording", "cpu", "fp32", 3, 2

    def __init__(self, score: Any, to: Any = np.asarray) -> None:
        self._score, self._to, self.seen = score, to, []
        self._result: Any = None

    def __call__(self, windows: np.ndarray) -> Any:
        assert windows.flags.c_contiguous
        self.seen.append(windows.copy())
        if self._result is not None:
            self._result[...] = float("nan")
        self._result = self._to(self._score(windows).astype(np.float32))
        return self._result

    def to_device(self, array: Any) -> Any:
        return array

    def to_host(self, array: Any) -> Any:
        return np.asarray(array)


WINDOWS = np.random.default_rng(0).integers(0, 255, (2, 3, 6, 6), np.uint8)
BOTH = pytest.mark.parametrize("to", [np.asarray, torch.from_numpy])


@BOTH
@pytest.mark.parametrize("tta", ["flip", "d4"])
def test_a_pointwise_engine_gives_what_it_gives_without(tta: str, to: Any) -> None:
    plain = (WINDOWS / 255).astype(np.float32)
    mean = Symmetric(Recording(lambda windows: windows / 255, to), tta)(WINDOWS)
    np.testing.assert_allclose(mean, plain, atol=1e-6)


@BOTH
@pytest.mark.parametrize(("tta", "count"), [("none", 1), ("flip", 4), ("d4", 8)])
def test_every_position_is_scored_once(tta: str, count: int, to: Any) -> None:
    engine = Recording(lambda windows: windows / 255, to)
    Symmetric(engine, tta)(WINDOWS)
    assert len(engine.seen) == len(SYMMETRIES[tta]) == count
    assert len({windows.tobytes() for windows in engine.seen}) == count
    for windows in engine.seen:
        assert np.array_equal(np.sort(windows, axis=None), np.sort(WINDOWS, axis=None))


def test_the_mean_turns_with_the_window() -> None:
    """Scores that depend on place: d4's mean is the same however the window is turned."""
    weight = np.random.default_rng(1).random((6, 6))
    symmetric = Symmetric(Recording(lambda windows: windows * weight / 255), "d4")
    plain = symmetric(WINDOWS)
    for turn in range(1, 4):
        turned = np.ascontiguousarray(np.rot90(WINDOWS, turn, (2, 3)))
        np.testing.assert_allclose(symmetric(turned), np.rot90(plain, turn, (2, 3)), atol=1e-6)
    mirrored = np.ascontiguousarray(WINDOWS[..., ::-1])
    np.testing.assert_allclose(symmetric(mirrored), plain[..., ::-1], atol=1e-6)


def test_it_stands_for_its_engine() -> None:
    engine = Recording(lambda windows: windows)
    symmetric = Symmetric(engine, "flip")
    assert (symmetric.name, symmetric.device, symmetric.precision) == ("recording", "cpu", "fp32")
    assert (symmetric.batch, symmetric.streams) == (3, 2)
