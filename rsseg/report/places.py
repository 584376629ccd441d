"""The windows of a map that stand out: where it is wrong most, or least certain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

Values = npt.NDArray[np.float64]

MOST = 6
"""So many windows are shown at most."""

_LEAST, _LARGEST = 32, 256


class Cells:
    """Means over windows that lie side by side and differ by a pixel at most, from strips of a map.

    Args:
        height: Rows of the map.
        width: Its columns.
        side: Pixels that a window's side has about.
    """

    def __init__(self, height: int, width: int, side: int) -> None:
        self._rows, self._columns = _bounds(height, side), _bounds(width, side)
        shape = (len(self._rows) - 1, len(self._columns) - 1)
        self.sums, self.counts = np.zeros((2, *shape), np.int64)

    def add(self, start: int, values: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_]) -> None:
        """Add rows of values ``(h, W)`` from row ``start`` on, those that are valid."""
        stop = start + len(values)
        first = int(np.searchsorted(self._rows, start, side="right")) - 1
        last = int(np.searchsorted(self._rows, stop, side="left"))
        tops = np.maximum(self._rows[first:last] - start, 0)
        for total, rows in ((self.sums, values * valid), (self.counts, valid)):
            across = np.add.reduceat(rows, self._columns[:-1], axis=1, dtype=np.int64)
            total[first:last] += np.add.reduceat(across, tops, axis=0)

    def means(self, least: float) -> Values:
        """Means ``(rows, columns)``; NaN where less than this part of a window is valid."""
        pixels = np.outer(np.diff(self._rows), np.diff(self._columns))
        enough = (self.counts > 0) & (self.counts >= least * pixels)
        return np.where(enough, self.sums / np.maximum(self.counts, 1), np.nan)

    def window(self, row: int, column: int) -> Window:
        """The pixels of a window."""
        (top, bottom), (left, right) = self._rows[row : row + 2], self._columns[column : column + 2]
        return Window(int(left), int(top), int(right - left), int(bottom - top))


def side_for(height: int, width: int) -> int:
    """Pixels of a window's side: an eighth of the map's longer one, from 32 to 256."""
    return min(_LARGEST, max(_LEAST, max(height, width) // 8))


def lowest(values: Values, most: int = MOST) -> list[tuple[int, int]]:
    """Rows and columns of the least values, of which no two adjoin; NaN is never among them."""
    chosen: list[tuple[int, int]] = []
    for place in np.argsort(values, axis=None, kind="stable"):
        row, column = (int(number) for number in np.unravel_index(place, values.shape))
        if len(chosen) == most or np.isnan(values[row, column]):
            break
        if all(abs(row - r) > 1 or abs(column - c) > 1 for r, c in chosen):
            chosen.append((row, column))
    return chosen


def _bounds(length: int, side: int) -> npt.NDArray[np.int64]:
    """Where windows begin, and at last where they end."""
    number = max(1, round(length / side))
    return np.arange(number + 1, dtype=np.int64) * length // number
