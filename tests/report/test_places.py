import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.report.places import Cells, lowest, side_for


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(1, 17))
def test_means_are_those_of_the_windows_however_the_strips_are_cut(height, width, side, rows):
    generator = np.random.default_rng(height * 41 + width)
    values = generator.integers(0, 255, (height, width), dtype=np.uint8)
    valid = generator.random((height, width)) < 0.7
    cells = Cells(height, width, side)
    for start in range(0, height, rows):
        cells.add(start, values[start : start + rows], valid[start : start + rows])
    means = cells.means(0)
    covered = np.zeros((height, width), int)
    for place in np.ndindex(means.shape):
        part = cells.window(*place).toslices()
        covered[part] += 1
        inside = values[part][valid[part]]
        expected = inside.mean() if inside.size else np.nan
        assert means[place] == pytest.approx(expected, nan_ok=True)
    assert (covered == 1).all(), "windows cover the map once"


def test_windows_with_little_that_is_valid_are_left_out():
    cells = Cells(8, 16, 8)
    valid = np.zeros((8, 16), bool)
    valid[:, :8] = True
    valid[0, 8] = True
    cells.add(0, np.full((8, 16), 7, np.uint8), valid)
    assert cells.means(0.5).tolist() == [[7, pytest.approx(np.nan, nan_ok=True)]]
    assert cells.means(0).tolist() == [[7, 7]]


def test_the_lowest_do_not_adjoin():
    values = np.arange(25.0).reshape(5, 5)
    assert lowest(values, 4) == [(0, 0), (0, 2), (0, 4), (2, 0)]
    assert lowest(np.full((3, 3), np.nan)) == []
    assert lowest(np.array([[np.nan, 2, np.nan, 1]])) == [(0, 3), (0, 1)]


def test_windows_are_never_tiny_or_huge():
    assert [side_for(n, n) for n in (1, 300, 1000, 100_000)] == [32, 37, 125, 256]
