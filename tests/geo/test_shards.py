from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from rsseg.errors import OptionError
from rsseg.geo.shards import Shard, shards, swaths
from rsseg.geo.tiling import Tiling


@st.composite
def cut(draw: st.DrawFn) -> tuple[Tiling, Window, list[Shard]]:
    """A tiling, a part of its grid, and the shards of that."""
    size = draw(st.integers(1, 20))
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    tiling = Tiling(height, width, size, draw(st.integers(1, size)))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    rows, columns = draw(st.integers(1, height - top)), draw(st.integers(1, width - left))
    extent = Window(left, top, columns, rows)
    pixels, across = draw(st.integers(1, 600)), draw(st.integers(1, 40))
    return tiling, extent, list(shards(tiling, extent, pixels, across))


def touching(starts: tuple[int, ...], size: int, first: int, last: int) -> list[int]:
    pixels = set(range(first, last))
    return [i for i, start in enumerate(starts) if pixels & set(range(start, start + size))]


@given(cut())
def test_shards_partition_the_extent_and_know_their_windows(
    case: tuple[Tiling, Window, list[Shard]],
) -> None:
    tiling, extent, parts = case
    seen = np.zeros((tiling.height, tiling.width), int)
    for part in parts:
        seen[part.top : part.bottom, part.left : part.right] += 1
        assert touching(tiling.rows, tiling.size, part.top, part.bottom) == list(part.rows)
        assert touching(tiling.columns, tiling.size, part.left, part.right) == list(part.columns)
    rows, columns = extent.toslices()
    assert (seen[rows, columns] == 1).all()
    assert seen.sum() == extent.height * extent.width
    assert [part.index for part in parts] == list(range(len(parts)))
    assert parts == sorted(parts, key=lambda part: (part.top, part.left))


@given(cut())
def test_no_window_outside_a_shard_reaches_back_into_it(
    case: tuple[Tiling, Window, list[Shard]],
) -> None:
    tiling, extent, parts = case
    last_row, last_column = extent.row_off + extent.height, extent.col_off + extent.width
    for part in parts:
        assert part.bottom in (*tiling.rows, last_row)
        assert part.right in (*tiling.columns, last_column)


def test_shards_have_the_least_size_where_there_is_room() -> None:
    tiling = Tiling(5000, 9000, 512, 384)
    parts = list(shards(tiling, Window(0, 0, 9000, 5000), 4_000_000, 4096))
    assert {(part.left, part.right) for part in parts} == {(0, 4224), (4224, 9000)}
    assert all((p.bottom - p.top) * (p.right - p.left) >= 4_000_000 for p in parts)
    whole = list(shards(tiling, Window(0, 0, 9000, 5000), 10**9, 10**9))
    assert [(p.top, p.bottom, p.left, p.right) for p in whole] == [(0, 5000, 0, 9000)]


@given(cut(), st.data())
def test_swaths_share_the_columns_of_shards_out(
    case: tuple[Tiling, Window, list[Shard]], data: st.DataObject
) -> None:
    tiling, extent, parts = case
    columns = len({part.left for part in parts})
    count = data.draw(st.integers(1, columns), label="swaths")
    made = swaths(tiling, parts, count)
    assert len(made) == count
    assert made[0].left == extent.col_off
    assert made[-1].right == extent.col_off + extent.width
    assert all(one.right == other.left for one, other in zip(made, made[1:], strict=False))
    for swath in made:
        assert touching(tiling.columns, tiling.size, swath.left, swath.right) == list(swath.columns)
        assert swath.width == swath.right - swath.left
    for part in parts:
        assert sum(swath.has(part) for swath in made) == 1
    per_swath = [len({part.left for part in parts if swath.has(part)}) for swath in made]
    assert max(per_swath) - min(per_swath) <= 1


def test_more_swaths_than_columns_of_shards_are_refused() -> None:
    tiling = Tiling(10, 10, 4, 2)
    parts = list(shards(tiling, Window(0, 0, 10, 10), 1, 100))
    for count in (0, 2):
        with pytest.raises(OptionError, match="number of swaths, expected 1-1"):
            swaths(tiling, parts, count)
