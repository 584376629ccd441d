"""Where the windows of a grid lie: one global set per scene, whatever the shards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rasterio.windows import Window

from rsseg.errors import OptionError


@dataclass(frozen=True)
class Tiling:
    """Square windows of ``size`` pixels every ``stride`` pixels; the last one flush with the edge.

    A scene smaller than ``size`` has one window, which reaches beyond it.

    Args:
        height: Rows of the grid.
        width: Columns of the grid.
        size: Side of a window, pixels.
        stride: Distance between windows, pixels, at most ``size``.

    Raises:
        OptionError: If a number is not positive or the stride leaves gaps.
    """

    height: int
    width: int
    size: int
    stride: int

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.size, self.stride) < 1:
            raise OptionError("windows and scenes need at least one pixel", got=self)
        if self.stride > self.size:
            raise OptionError(
                "windows leave gaps", expected=f"stride <= {self.size}", got=self.stride
            )

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """First pixel row of each row of windows, ascending."""
        return offsets(self.height, self.size, self.stride)

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """First pixel column of each column of windows, ascending."""
        return offsets(self.width, self.size, self.stride)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def window(self, row: int, column: int) -> Window:
        """The window whose first pixel is at this pixel row and column."""
        return Window(column, row, self.size, self.size)


def offsets(length: int, size: int, stride: int) -> tuple[int, ...]:
    """First pixels of windows along one axis of ``length`` pixels."""
    if length <= size:
        return (0,)
    return (*range(0, length - size, stride), length - size)


@dataclass(frozen=True)
class InnerPart:
    """The part of a window that lies inside a raster, and the rest around it.

    Args:
        inside: The part inside, in pixels of the raster.
        shape: Rows and columns that part takes in the sample.
        pads: Rows of the sample above and below it, columns left and right.
    """

    inside: Window
    shape: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]

    @property
    def resampled(self) -> bool:
        """Whether the sample has other than the raster's own pixels."""
        return self.shape != (int(self.inside.height), int(self.inside.width))

    @property
    def padded(self) -> bool:
        """Whether the window reaches beyond the raster."""
        return any(any(pad) for pad in self.pads)


def inner_part(window: Window, raster: tuple[int, int], sample: tuple[int, int]) -> InnerPart:
    """Which part of ``window`` a raster of these rows and columns has, for a sample of this shape.

    Raises:
        OptionError: If the window lies wholly outside the raster.
    """
    rows = _inner(int(window.row_off), int(window.height), raster[0], sample[0])
    columns = _inner(int(window.col_off), int(window.width), raster[1], sample[1])
    if rows is None or columns is None:
        raise OptionError(f"{window} lies outside a raster of {raster[0]} x {raster[1]} pixels")
    return InnerPart(
        Window(columns[0], rows[0], columns[1], rows[1]),
        (rows[2], columns[2]),
        (rows[3], columns[3]),
    )


def shifted(window: Window, part: Window) -> Window:
    """A window counted from the corner of a part, in pixels of the whole."""
    return Window(
        window.col_off + part.col_off, window.row_off + part.row_off, window.width, window.height
    )


def _inner(
    first: int, length: int, limit: int, target: int
) -> tuple[int, int, int, tuple[int, int]] | None:
    """Start and length inside the raster, length in the sample, and the sample's padding."""
    start, stop = max(first, 0), min(first + length, limit)
    if start >= stop:
        return None
    size = max(1, round((stop - start) * target / length))
    before = min(round((start - first) * target / length), target - size)
    return start, stop - start, size, (before, target - size - before)
