"""Blending: weights share each pixel out, and both array libraries do the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsseg.geo.tiling import Tiling
from rsseg.prediction.blending.layers import ranked
from rsseg.prediction.blending.mosaic import Mosaic, Piece, profiles
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


Blended = list[tuple[np.ndarray, np.ndarray]]


def blend_all(
    tiling: Tiling, blend: str, scores: np.ndarray, library: str = "numpy", *, collect: bool = False
) -> Blended:
    """What every row of windows finishes, for scores ``(rows, columns, K, size, size)``."""
    to = torch.from_numpy if library == "torch" else np.asarray
    weights = tuple([to(profile) for profile in axis] for axis in profiles(tiling, blend))
    columns = range(tiling.width)
    mosaic = Mosaic(tiling, weights, scores.shape[2], full(to), columns, collect=collect)
    mosaic.start(0)
    finished = []
    for row in range(len(tiling.rows)):
        columns = range(len(tiling.columns))
        finished.append(finish_row(mosaic, columns, [to(each) for each in scores[row]]))
        mosaic.advance()
    return finished


def full(to: Callable[[np.ndarray], Any] = np.asarray) -> Callable[[tuple[int, ...]], Any]:
    """In place of zeros: what was never added must have no say."""
    return lambda shape: to(np.full(shape, 9, np.float32))


def finish_row(mosaic: Mosaic, columns: range, scores: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and validity of the rows that the windows of a row finish."""
    inside = np.ones((mosaic.tiling.size,) * 2, np.bool_)
    found = np.full((len(scores[0]), *mosaic.valid.shape), np.nan, np.float32)

    def lay(pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            there = found[:, piece.rows, piece.columns]
            assert np.isnan(there).all(), "handed out twice"
            there[...] = piece.probabilities

    for column in columns:
        mosaic.mark(column, inside)
        lay(mosaic.add(column, scores[column]))
    lay(mosaic.rest())
    return found, mosaic.valid.copy()


def random_scores(tiling: Tiling, classes: int, seed: int) -> np.ndarray:
    shape = (len(tiling.rows), len(tiling.columns), classes, tiling.size, tiling.size)
    return np.random.default_rng(seed).random(shape, np.float32)


def require_same(ours: Blended, theirs: Blended) -> None:
    for (mine, valid), (other, other_valid) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)
        np.testing.assert_array_equal(valid, other_valid)


@given(tiling=tilings(longest=40, largest=24), blend=st.sampled_from(BLENDS))
def test_both_libraries_blend_to_the_same_bits_collected_or_not(tiling: Tiling, blend: str) -> None:
    scores = random_scores(tiling, 3, seed=1)
    ours = blend_all(tiling, blend, scores)
    for library, collect in (("numpy", True), ("torch", False), ("torch", True)):
        require_same(ours, blend_all(tiling, blend, scores, library, collect=collect))
    mine = ours[0][0]
    np.testing.assert_array_equal(ranked(mine)[0], ranked(torch.from_numpy(mine))[0])


@given(
    tiling=tilings(longest=40, largest=24),
    blend=st.sampled_from(BLENDS),
    at_once=st.integers(1, 200),
)
def test_few_rows_at_a_time_make_the_same_bits(tiling: Tiling, blend: str, at_once: int) -> None:
    scores = random_scores(tiling, 2, seed=5)
    whole = blend_all(tiling, blend, scores)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rsseg.prediction.blending.mosaic.AT_ONCE", at_once)
        for collect in (False, True):
            require_same(whole, blend_all(tiling, blend, scores, collect=collect))


@given(tiling=tilings(longest=40, largest=16), blend=st.sampled_from(BLENDS))
def test_a_pixel_is_the_weighed_sum_of_its_windows(tiling: Tiling, blend: str) -> None:
    scores = random_scores(tiling, 2, seed=6)
    expected = np.zeros((2, tiling.height + tiling.size, tiling.width + tiling.size))
    down, across = profiles(tiling, blend)
    for row, top in enumerate(tiling.rows):
        for column, left in enumerate(tiling.columns):
            weight = down[row][:, None] * across[column]
            place = np.s_[:, top : top + tiling.size, left : left + tiling.size]
            expected[place] += scores[row, column] * weight
    found = np.concatenate([sums for sums, _ in blend_all(tiling, blend, scores)], axis=1)
    np.testing.assert_allclose(found, expected[:, : tiling.height, : tiling.width], atol=1e-6)


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
    finished = blend_all(tiling, blend, scores)
    whole = np.concatenate([sums for sums, _ in finished], axis=1)
    assert whole.shape == (2, tiling.height, tiling.width)
    np.testing.assert_allclose(whole, picture[:, : tiling.height, : tiling.width], atol=1e-5)
    assert np.concatenate([valid for _, valid in finished]).all()


@given(tiling=tilings(longest=40, largest=16), data=st.data())
def test_starting_at_a_later_row_changes_no_bit_of_the_rows_it_reaches(
    tiling: Tiling, data: st.DataObject
) -> None:
    scores = random_scores(tiling, 2, seed=3)
    whole = blend_all(tiling, "taper", scores)
    wanted = data.draw(st.integers(0, len(tiling.rows) - 1), label="first row of windows wanted")
    top = tiling.rows[wanted]
    first = next(i for i, row in enumerate(tiling.rows) if row + tiling.size > top)

    mosaic = Mosaic(tiling, profiles(tiling, "taper"), 2, full(), range(tiling.width))
    mosaic.start(first)
    for row in range(first, len(tiling.rows)):
        found, _ = finish_row(mosaic, range(len(tiling.columns)), list(scores[row]))
        if row >= wanted:
            np.testing.assert_array_equal(found, whole[row][0])
        mosaic.advance()


@given(tiling=tilings(longest=40, largest=16), data=st.data())
def test_cutting_columns_off_changes_no_bit_of_the_others(
    tiling: Tiling, data: st.DataObject
) -> None:
    """A swath that gets the windows which touch it has the very sums of the whole width."""
    scores = random_scores(tiling, 2, seed=4)
    whole = blend_all(tiling, "taper", scores)
    left = data.draw(st.integers(0, tiling.width - 1), label="left")
    right = data.draw(st.integers(left + 1, tiling.width), label="right")
    weights = profiles(tiling, "taper")
    mosaic = Mosaic(tiling, weights, 2, full(), range(left, right))
    mosaic.start(0)
    touching = [
        column
        for column, start in enumerate(tiling.columns)
        if start < right and start + tiling.size > left
    ]
    columns = range(touching[0], touching[-1] + 1)
    for row, (expected, expected_valid) in enumerate(whole):
        found, valid = finish_row(mosaic, columns, list(scores[row]))
        np.testing.assert_array_equal(found, expected[:, :, left:right])
        np.testing.assert_array_equal(valid, expected_valid[:, left:right])
        mosaic.advance()
