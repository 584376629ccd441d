import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rasterio.windows import Window

from rsseg.errors import OptionError
from rsseg.geo.tiling import Tiling, inner_part

side = st.integers(1, 40)


@st.composite
def tilings(draw):
    size = draw(st.integers(1, 20))
    return Tiling(draw(side), draw(side), size, draw(st.integers(1, size)))


def _windows(tiling):
    return [tiling.window(row, column) for row in tiling.rows for column in tiling.columns]


@given(tilings())
def test_every_pixel_is_covered_and_the_last_window_is_flush(tiling):
    seen = np.zeros((tiling.height, tiling.width), dtype=int)
    windows = _windows(tiling)
    for window in windows:
        assert (window.height, window.width) == (tiling.size, tiling.size)
        rows, columns = window.toslices()
        assert rows.start >= 0
        assert columns.start >= 0
        seen[rows, columns] += 1
    assert seen.min() >= 1
    assert len(tiling) == len(windows) == len({(w.row_off, w.col_off) for w in windows})

    for starts, length in ((tiling.rows, tiling.height), (tiling.columns, tiling.width)):
        assert starts[-1] + tiling.size == max(length, tiling.size)
        steps = np.diff(starts)
        assert (steps[:-1] == tiling.stride).all()
        assert (steps > 0).all()
        assert (steps <= tiling.stride).all()


@pytest.mark.parametrize("numbers", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)])
def test_nothing_is_refused(numbers):
    with pytest.raises(OptionError, match="at least one pixel"):
        Tiling(*numbers)


def test_gaps_are_refused():
    with pytest.raises(OptionError, match="gaps.*stride <= 8.*got 9"):
        Tiling(100, 100, 8, 9)


@given(side, side, st.integers(-60, 60), st.integers(-60, 60), side, side)
def test_inner_part_is_what_a_larger_raster_shows(height, width, row, column, h, w):
    outside = row >= height or column >= width or row + h <= 0 or column + w <= 0
    window = Window(column, row, w, h)
    if outside:
        with pytest.raises(OptionError, match=f"raster of {height} x {width}"):
            inner_part(window, (height, width), (h, w))
        return
    raster = np.arange(1, height * width + 1).reshape(height, width)
    large = np.pad(raster, 100)
    expected = large[100 + row : 100 + row + h, 100 + column : 100 + column + w]

    part = inner_part(window, (height, width), (h, w))
    inside = raster[part.inside.toslices()]
    assert inside.shape == part.shape
    assert not part.resampled
    assert part.padded == any(any(pad) for pad in part.pads)
    assert np.array_equal(np.pad(inside, part.pads), expected)


@given(side, side, st.integers(-30, 30), st.integers(-30, 30), side, side, side, side)
def test_inner_part_of_a_resampled_window_fills_the_sample(height, width, row, column, h, w, y, x):
    assume(row < height and column < width and row + h > 0 and column + w > 0)
    part = inner_part(Window(column, row, w, h), (height, width), (y, x))
    for axis, target in enumerate((y, x)):
        assert part.shape[axis] >= 1
        assert min(part.pads[axis]) >= 0
        assert part.shape[axis] + sum(part.pads[axis]) == target
    inside = part.inside
    assert 0 <= inside.row_off < inside.row_off + inside.height <= height
    assert 0 <= inside.col_off < inside.col_off + inside.width <= width
