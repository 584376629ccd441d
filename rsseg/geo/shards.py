"""Shards: blocks of a map, the windows that touch them, and the swaths they are worked off in."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rasterio.windows import Window

from rsseg.errors import OptionError
from rsseg.geo.tiling import Tiling


@dataclass(frozen=True)
class Shard:
    """A block of finished output rows and columns, and the windows that touch it.

    Args:
        index: Position among the shards of the map, row by row.
        top: First output row.
        bottom: Output row after the last.
        left: First output column.
        right: Output column after the last.
        rows: Indices of the rows of windows that touch it.
        columns: Indices of the columns of windows that touch it.
    """

    index: int
    top: int
    bottom: int
    left: int
    right: int
    rows: range
    columns: range


@dataclass(frozen=True)
class Swath:
    """Neighbouring columns of shards that are gone down together, and the windows that touch them.

    Args:
        left: First output column.
        right: Output column after the last.
        columns: Indices of the columns of windows that touch it.
    """

    left: int
    right: int
    columns: range

    @property
    def width(self) -> int:
        """Columns of the output."""
        return self.right - self.left

    def has(self, shard: Shard) -> bool:
        """Whether the shard is one of its own."""
        return self.left <= shard.left < self.right


def shards(tiling: Tiling, extent: Window, pixels: int, columns: int) -> Iterator[Shard]:
    """Cut a part of the grid into blocks of at least so many columns and pixels each.

    Blocks end where a row or a column of windows begins: above and left of it nothing is added
    any more. How they are cut depends on nothing but these arguments, so that the parts of a run
    serve another one that has more or less memory.

    Args:
        tiling: Windows of the whole grid.
        extent: The part, in whole pixels.
        pixels: Least pixels of a block; less where the part has no more.
        columns: Least columns of a block; less where the part has no more.
    """
    left, top = int(extent.col_off), int(extent.row_off)
    right, bottom = left + int(extent.width), top + int(extent.height)
    across = list(_cuts(tiling.columns, left, right, columns))
    narrowest = min(stop - start for start, stop in across)
    down = _cuts(tiling.rows, top, bottom, -(-pixels // narrowest))
    index = 0
    for first, last in down:
        rows = _touching(tiling.rows, tiling.size, first, last)
        for start, stop in across:
            touched = _touching(tiling.columns, tiling.size, start, stop)
            yield Shard(index, first, last, start, stop, rows, touched)
            index += 1


def swaths(tiling: Tiling, blocks: Sequence[Shard], count: int) -> tuple[Swath, ...]:
    """Share the columns of shards out among so many swaths, about equally many to each.

    Windows across the boundary of two swaths touch both.

    Raises:
        OptionError: If there are fewer columns of shards than swaths.
    """
    sides = sorted({(shard.left, shard.right) for shard in blocks})
    if not 1 <= count <= len(sides):
        raise OptionError("no such number of swaths", expected=f"1-{len(sides)}", got=count)
    ends = [len(sides) * i // count for i in range(count + 1)]
    made = []
    for first, last in zip(ends, ends[1:], strict=False):
        left, right = sides[first][0], sides[last - 1][1]
        made.append(Swath(left, right, _touching(tiling.columns, tiling.size, left, right)))
    return tuple(made)


def _cuts(starts: Sequence[int], first: int, last: int, least: int) -> Iterator[tuple[int, int]]:
    """Pieces of at least ``least`` pixels from first to last, cut where windows begin."""
    begin = first
    for start in starts[bisect_right(starts, first) : bisect_left(starts, last)]:
        if start - begin >= least and last - start >= least:
            yield begin, start
            begin = start
    yield begin, last


def _touching(starts: Sequence[int], size: int, first: int, last: int) -> range:
    """Indices of the windows along one axis that reach into the pixels from first to last."""
    return range(bisect_right(starts, first - size), bisect_left(starts, last))
