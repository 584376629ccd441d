"""Blending overlapping windows into one map, with sums for the pixels that they share alone.

Weights are normalised beforehand: at every pixel the weights of the windows that cover it add up
to one, so the sums are probabilities and need no division. Written once for numpy and torch
arrays; the sums live where the scores are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rsseg.geo.tiling import Tiling
from rsseg.prediction.blending.enlarging import Array, enlarged, library

AT_ONCE = 2**21
"""Scores that are weighed at a time: all of a usual window, for a GPU wants few large calls."""
IN_CACHE = 2**18
"""The same on a CPU: what stays in the cache of a core from the first pass to the last."""


@dataclass(frozen=True)
class Piece:
    """Class probabilities of pixels that no later window reaches.

    Args:
        rows: Where, counted from the first row of the current row of windows.
        columns: Where among the columns that are wanted.
        probabilities: ``(K, h, w)``, good until the mosaic goes on.
    """

    rows: slice
    columns: slice
    probabilities: Array


class Mosaic:
    """Sums of weighted class scores for the pixels that windows still reach.

    Rows of windows are added from the top: ``start`` once, then for each row of windows ``add``
    its windows, take the ``rest`` of what is finished, the output rows that no later window
    reaches, and ``advance``. Each pixel adds its windows in one order (rows, then columns), and a
    window adds to each of its pixels by itself, so any split of the scene in either direction gives
    the same bytes.

    What is kept is what a window shares with the next one of its row, and a row of windows with
    the next one: little enough for the caches of a CPU. Pixels are handed out a few rows at a time,
    while the scores of their last window are there. A GPU wants few large calls: for it those of a
    row of windows are collected.

    Pixels that were not given all of their windows hold numbers of no meaning.

    Args:
        tiling: Where the windows lie.
        weights: Profiles of the rows and of the columns of windows, from `profiles`.
        classes: Their number K.
        zeros: Makes float32 arrays of zeros of a shape where the scores are.
        columns: W columns of the scene that are wanted. Windows that reach beyond them are added as
            far as they lie in them.
        collect: Whether pixels are handed out when a row of windows is complete, not before.
    """

    def __init__(
        self,
        tiling: Tiling,
        weights: Profiles,
        classes: int,
        zeros: Callable[[tuple[int, ...]], Array],
        columns: range,
        *,
        collect: bool = False,
    ) -> None:
        self.tiling = tiling
        self._weights = weights
        self._left, self._width = columns.start, len(columns)
        self._row = 0
        height, width = min(tiling.size, tiling.height), min(tiling.size, self._width)
        down, across = (shared(starts, tiling.size) for starts in (tiling.rows, tiling.columns))
        # sums that earlier rows of windows gave to the first rows of the current one
        self._above = zeros((classes, down, self._width))
        # sums of the first columns of the next window
        self._before = zeros((classes, height, across))
        self._collected = zeros((classes, height, self._width)) if collect else None
        limit = AT_ONCE if collect else min(AT_ONCE, IN_CACHE)
        self._step = min(height, max(1, limit // (classes * width)))
        self._sums = zeros((classes, self._step, width))
        self._marked = np.zeros((height, self._width), np.bool_)

    def start(self, row: int) -> None:
        """Begin with this row of windows, forgetting everything before."""
        self._row = row
        self._marked[...] = False

    def add(self, column: int, scores: Array) -> Iterator[Piece]:
        """Add the class scores of a window of the current row, a few rows at a time.

        Args:
            column: Which window of the row.
            scores: ``(K, size, size)``, or of another side ``(K, s, s)``, from which they are
                interpolated.

        Yields:
            What is finished by it, unless that is collected.
        """
        here, part = self._place(column)
        left, right, shift = part.start, part.stop, here.start - part.start
        height, size = len(self._marked), self.tiling.size
        above, below = _reached(self.tiling.rows, self._row, size)
        before, stride = _reached(self.tiling.columns, column, size)
        old, done = _within(before, left, right), _within(stride, left, right)
        columns = slice(here.start, done + shift)
        down, across = self._weights[0][self._row], self._weights[1][column][None, part]
        for top in range(0, height, self._step):
            bottom = min(top + self._step, height)
            rows, sums = slice(top, bottom), self._sums[:, : bottom - top, : right - left]
            scored = enlarged(scores, size, rows, part)
            library(sums).multiply(scored, down[rows, None] * across, out=sums)
            first, last = _within(above, top, bottom), _within(below, top, bottom)
            if first > top:
                known = self._above[:, top:first, old + shift : here.stop]
                sums[:, : first - top, old - left :] += known
            if old > left:
                sums[:, :, : old - left] += self._before[:, rows, left:old]
            if done < right:
                self._before[:, rows, done - stride : right - stride] = sums[:, :, done - left :]
            if done > left and last < bottom:
                later = sums[:, last - top :, : done - left]
                self._above[:, last - below : bottom - below, columns] = later
            if done > left and last > top:
                found = sums[:, : last - top, : done - left]
                if self._collected is None:
                    yield Piece(slice(top, last), columns, found)
                else:
                    self._collected[:, top:last, columns] = found

    def mark(self, column: int, valid: npt.NDArray[np.bool_]) -> None:
        """Note which pixels of a window of the current row are valid.

        Args:
            column: Which window of the row.
            valid: ``(size, size)``; what lies beyond the scene may be left out.
        """
        here, part = self._place(column)
        self._marked[:, here] |= valid[: len(self._marked), part]

    def rest(self) -> Iterator[Piece]:
        """What was collected of the current row of windows, all of which are added."""
        if self._collected is not None:
            rows = slice(0, self._count())
            yield Piece(rows, slice(0, self._width), self._collected[:, rows])

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Validity ``(n, W)`` of the n rows that the current row of windows finishes."""
        return self._marked[: self._count()]

    def advance(self) -> None:
        """Forget the finished rows; the next row of windows becomes current."""
        kept = len(self._marked) - self._count()
        self._marked[:kept] = self._marked[len(self._marked) - kept :].copy()
        self._marked[kept:] = False
        self._row += 1

    def _count(self) -> int:
        starts = (*self.tiling.rows, self.tiling.height)
        return starts[self._row + 1] - starts[self._row]

    def _place(self, column: int) -> tuple[slice, slice]:
        """Columns of a window among those that are wanted, and those in the window."""
        first = self.tiling.columns[column] - self._left
        begin, end = max(first, 0), min(first + self.tiling.size, self._width)
        return slice(begin, end), slice(begin - first, end - first)


def shared(starts: tuple[int, ...], size: int) -> int:
    """Most pixels that a window shares with the next one, along one axis."""
    return max((size - (last - first) for first, last in pairwise(starts)), default=0)


Profiles = tuple[list[Array], list[Array]]
"""Weights ``(size,)`` of each row of windows, and of each column of windows, float32."""


def profiles(tiling: Tiling, blend: str) -> tuple[list[npt.NDArray[np.float32]], ...]:
    """Normalised weights along rows and columns.

    ``taper`` falls off as a squared sine over the overlap, ``uniform`` is flat; both then share
    each pixel out among the windows that cover it.
    """
    ramp = min(tiling.size - tiling.stride, tiling.size // 2) if blend == "taper" else 0
    distance = np.arange(tiling.size) + 0.5
    distance = np.minimum(distance, distance[::-1])
    shape = np.ones(tiling.size)
    if ramp:
        shape = np.sin(np.pi / 2 * np.minimum(distance / ramp, 1)) ** 2
    return tuple(
        _share(shape, starts, length)
        for starts, length in ((tiling.rows, tiling.height), (tiling.columns, tiling.width))
    )


def _share(
    shape: npt.NDArray[np.float64], starts: tuple[int, ...], length: int
) -> list[npt.NDArray[np.float32]]:
    size = len(shape)
    total = np.zeros(max(length, size))
    for start in starts:
        total[start : start + size] += shape
    return [(shape / total[start : start + size]).astype(np.float32) for start in starts]


def _reached(starts: tuple[int, ...], index: int, size: int) -> tuple[int, int]:
    """Along one axis: pixels of a window that earlier ones reach, and those before the next one."""
    earlier = starts[index - 1] + size - starts[index] if index else 0
    later = starts[index + 1] - starts[index] if index + 1 < len(starts) else size
    return max(0, earlier), later


def _within(place: int, first: int, last: int) -> int:
    return min(max(place, first), last)
