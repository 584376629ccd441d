"""Blending: weights share each pixel out, and both array libraries do the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsseg.geo.tiling import Tiling
from rsseg.prediction.layers import ranked
from rsseg.prediction.mosaic import Mosaic, profiles
from rsseg.prediction.options import BLENDS


@st.composite
def tilings(draw: st.DrawFn, longest: int = 400, largest: int = 128) -> Tiling:
    """Tilings of any length, size and stride that leave no gaps."""
    size = draw(st.integers(1, largest))
    return Tiling(
        draw(st.integers(1, longest)),
        draw(st.integers(1, longest)),
        size,
        draw(st.integers(1, size)),
    )


@given(tiling=tilings(), blend=st.sampled_from(BLENDS))
def test_profiles_share_each_pixel_out(tiling: Tiling, blend: str) -> None:
    axes = zip(
        profiles(tiling, blend),
        (tiling.rows, tiling.columns),
        (tiling.height, tiling.width),
        strict=True,
    )
    for weights, starts, length in axes:
        assert len(weights) == len(starts)
        total = np.zeros(max(length, tiling.size))
        for weight, start in zip(weights, starts, strict=True):
            assert weight.shape == (tiling.size,)
            assert weight.dtype == np.float32
            assert (weight > 0).all(), "a window alone at a pixel must not weigh nothing"
            total[start : start + tiling.size] += weight
        np.testing.assert_allclose(total, 1, rtol=0, atol=1e-6)


def test_uniform_profiles_are_counts() -> None:
    down, _ = profiles(Tiling(30, 30, 20, 10), "uniform")
    np.testing.assert_array_equal(down[0], np.repeat([1, 0.5], 10).astype(np.float32))
    np.testing.assert_array_equal(down[1], np.repeat([0.5, 1], 10).astype(np.float32))


def test_taper_trusts_the_middle_of_a_window_more_than_its_border() -> None:
    (first, second), _ = profiles(Tiling(120, 120, 80, 40), "taper")
    overlap = first[40:]
    assert (np.diff(overlap) < 0).all()
    np.testing.assert_allclose(overlap, second[:40][::-1], atol=1e-6)


def blend_all(tiling: Tiling, blend: str, scores: np.ndarray, library: str) -> list[Any]:
    """What every row of windows finishes, for scores ``(rows, columns, K, size, size)``."""
    to = torch.from_numpy if library == "torch" else np.asarray
    weights = tuple([to(profile) for profile in axis] for axis in profiles(tiling, blend))
    rows = min(tiling.size, tiling.height)
    sums = to(np.full((scores.shape[2], rows, tiling.width), 9, np.float32))
    mosaic = Mosaic(tiling, weights, sums)
    mosaic.start(0)
    finished = []
    inside = np.ones((tiling.size, tiling.size), np.bool_)
    for row in range(len(tiling.rows)):
        for column in range(len(tiling.columns)):
            mosaic.mark(column, inside)
            mosaic.add(column, to(scores[row, column]))
        probabilities, valid = mosaic.finished()
        finished.append((copied(probabilities), valid.copy()))
        mosaic.advance()
    return finished


def copied(array: Any) -> Any:
    return array.clone() if isinstance(array, torch.Tensor) else array.copy()


def random_scores(tiling: Tiling, classes: int, seed: int) -> np.ndarray:
    shape = (len(tiling.rows), len(tiling.columns), classes, tiling.size, tiling.size)
    return np.random.default_rng(seed).random(shape, np.float32)


@given(tiling=tilings(longest=40, largest=24), blend=st.sampled_from(BLENDS))
def test_numpy_and_torch_blend_to_the_same_bits(tiling: Tiling, blend: str) -> None:
    scores = random_scores(tiling, 3, seed=1)
    ours, theirs = (blend_all(tiling, blend, scores, name) for name in ("numpy", "torch"))
    for (mine, valid), (other, other_valid) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other.numpy())
        np.testing.assert_array_equal(valid, other_valid)
        np.testing.assert_array_equal(ranked(mine)[0], ranked(other)[0].numpy())


@given(tiling=tilings(longest=40, largest=24), blend=st.sampled_from(BLENDS))
def test_each_row_is_finished_once_and_in_order(tiling: Tiling, blend: str) -> None:
    """Windows that are cut out of one picture blend back to it."""
    reach = max(tiling.size, tiling.height), max(tiling.size, tiling.width)
    picture = np.random.default_rng(2).random((2, *reach), np.float32)
    scores = np.array(
        [
            [
                picture[:, row : row + tiling.size, column : column + tiling.size]
                for column in tiling.columns
            ]
            for row in tiling.rows
        ]
    )
    finished = blend_all(tiling, blend, scores, "numpy")
    whole = np.concatenate([sums for sums, _ in finished], axis=1)
    assert whole.shape == (2, tiling.height, tiling.width)
    np.testing.assert_allclose(whole, picture[:, : tiling.height, : tiling.width], atol=1e-5)
    assert np.concatenate([valid for _, valid in finished]).all()


@given(tiling=tilings(longest=40, largest=16), data=st.data())
def test_starting_at_a_later_row_changes_no_bit_of_the_rows_it_reaches(
    tiling: Tiling, data: st.DataObject
) -> None:
    scores = random_scores(tiling, 2, seed=3)
    whole = blend_all(tiling, "taper", scores, "numpy")
    wanted = data.draw(st.integers(0, len(tiling.rows) - 1), label="first row of windows wanted")
    top = tiling.rows[wanted]
    first = next(i for i, row in enumerate(tiling.rows) if row + tiling.size > top)

    weights = profiles(tiling, "taper")
    sums = np.full((2, min(tiling.size, tiling.height), tiling.width), 5, np.float32)
    mosaic = Mosaic(tiling, weights, sums)
    mosaic.start(first)
    for row in range(first, len(tiling.rows)):
        for column in range(len(tiling.columns)):
            mosaic.add(column, scores[row, column])
        if row >= wanted:
            np.testing.assert_array_equal(mosaic.finished()[0], whole[row][0])
        mosaic.advance()


@given(tiling=tilings(longest=40, largest=16), data=st.data())
def test_cutting_columns_off_changes_no_bit_of_the_others(
    tiling: Tiling, data: st.DataObject
) -> None:
    """A swath that gets the windows which touch it has the very sums of the whole width."""
    scores = random_scores(tiling, 2, seed=4)
    whole = blend_all(tiling, "taper", scores, "numpy")
    left = data.draw(st.integers(0, tiling.width - 1), label="left")
    right = data.draw(st.integers(left + 1, tiling.width), label="right")
    sums = np.zeros((2, min(tiling.size, tiling.height), right - left), np.float32)
    mosaic = Mosaic(tiling, profiles(tiling, "taper"), sums, left)
    mosaic.start(0)
    for row, (expected, expected_valid) in enumerate(whole):
        for column, start in enumerate(tiling.columns):
            if start < right and start + tiling.size > left:
                mosaic.add(column, scores[row, column])
                mosaic.mark(column, np.ones((tiling.size, tiling.size), np.bool_))
        probabilities, valid = mosaic.finished()
        np.testing.assert_array_equal(probabilities, expected[:, :, left:right])
        np.testing.assert_array_equal(valid, expected_valid[:, left:right])
        mosaic.advance()
