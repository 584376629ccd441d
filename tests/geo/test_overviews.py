"""Overviews by the slow rule, pixel by pixel."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import rsseg.geo.overviews as overviews
from rsseg.geo.overviews import commonest, level_shapes, mean, write_level
from rsseg.legend import NODATA


@st.composite
def even_rasters(draw: st.DrawFn) -> np.ndarray:
    """Bytes of few values, nodata often among them, with even numbers of rows and columns."""
    shape = 2 * draw(st.integers(1, 6)), 2 * draw(st.integers(1, 6))
    values = draw(st.lists(st.integers(0, 255), min_size=1, max_size=4)) + [NODATA]
    return draw(arrays(np.uint8, shape, elements=st.sampled_from(values)))


def four(pixels: np.ndarray, row: int, column: int) -> list[int]:
    """The valid ones of two by two pixels, row by row; fewer beyond the edges."""
    part = pixels[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    return [value for value in part.ravel().tolist() if value != NODATA]


def slow_commonest(values: list[int]) -> int:
    return Counter(values).most_common(1)[0][0] if values else NODATA


def slow_mean(values: list[int]) -> int:
    return int(sum(values) / len(values) + 0.5) if values else NODATA


RULES = pytest.mark.parametrize(
    ("shrink", "slow"), [(commonest, slow_commonest), (mean, slow_mean)], ids=["commonest", "mean"]
)


@RULES
@given(pixels=even_rasters())
def test_each_pixel_stands_for_two_by_two(shrink, slow, pixels) -> None:
    before = pixels.copy()
    made = shrink(pixels)
    assert made.dtype == np.uint8
    expected = [
        [slow(four(pixels, row, column)) for column in range(pixels.shape[1] // 2)]
        for row in range(len(pixels) // 2)
    ]
    assert made.tolist() == expected
    assert np.array_equal(pixels, before)


@given(height=st.integers(1, 3000), width=st.integers(1, 3000), side=st.integers(1, 600))
def test_levels_halve_until_one_fits(height: int, width: int, side: int) -> None:
    shapes = list(level_shapes(height, width, side))
    for (rows, columns), (half_rows, half_columns) in zip(
        [(height, width), *shapes], shapes, strict=False
    ):
        assert max(rows, columns) > side
        assert (half_rows, half_columns) == ((rows + 1) // 2, (columns + 1) // 2)
    assert max([(height, width), *shapes][-1]) <= side


@RULES
@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (13, 18), (9, 31)])
def test_levels_of_odd_rasters_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shrink, slow, shape
) -> None:
    monkeypatch.setattr(overviews, "_ROWS", 3)
    monkeypatch.setattr(overviews, "_COLUMNS", 4)
    pixels = np.random.default_rng(0).choice([0, 1, 7, NODATA], (2, *shape)).astype(np.uint8)
    half = -(-shape[0] // 2), -(-shape[1] // 2)
    profile = {
        "driver": "GTiff",
        "count": 2,
        "dtype": "uint8",
        "transform": rasterio.Affine.scale(2),
    }
    with rasterio.open(
        tmp_path / "below.tif", "w", height=shape[0], width=shape[1], **profile
    ) as target:
        target.write(pixels)
    with (
        rasterio.open(tmp_path / "below.tif") as below,
        rasterio.open(
            tmp_path / "level.tif", "w", height=half[0], width=half[1], **profile
        ) as level,
    ):
        write_level(below, level, shrink)
    with rasterio.open(tmp_path / "level.tif") as level:
        made = level.read()
    for band in range(2):
        for row in range(half[0]):
            for column in range(half[1]):
                assert made[band, row, column] == slow(four(pixels[band], row, column))
