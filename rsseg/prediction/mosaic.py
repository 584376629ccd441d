"""Blending overlapping windows into one map, a swath of accumulators at a time.

Weights are normalised beforehand: at every pixel the weights of the windows that cover it add up
to one, so the sums are probabilities and need no division. Written once for numpy and torch
arrays; the sums live where the scores are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rsseg.geo.tiling import Tiling
from rsseg.prediction.enlarging import Array, enlarged, library

AT_ONCE = 2**21
"""Scores that are weighed at a time: all of a usual window, for a GPU wants few large calls."""
IN_CACHE = 2**18
"""The same on a CPU: what stays in the cache of a core between two passes."""


class Mosaic:
    """Sums of weighted class scores for the rows that windows still reach.

    Rows of windows are added from the top: ``start`` once, then for each row of windows ``add``
    its windows, take what is ``finished``, the output rows that no later window reaches, and
    ``advance``. Each pixel adds its windows in one order (rows, then columns), and a window adds to
    each of its pixels by itself, so any split of the scene in either direction gives the same
    bytes.

    Args:
        tiling: Where the windows lie.
        weights: Profiles of the rows and of the columns of windows, from `profiles`.
        sums: Zeros of shape ``(K, min(size, height), W)``, float32.
        left: Column of the scene that the first column of ``sums`` stands for. Windows that reach
            beyond the columns of ``sums`` are added as far as they lie in them.
    """

    def __init__(self, tiling: Tiling, weights: Profiles, sums: Array, left: int = 0) -> None:
        self.tiling = tiling
        self.sums = sums
        self.valid = np.zeros(tuple(sums.shape[1:]), dtype=np.bool_)
        self._weights = weights
        self._left = left
        self._row = 0

    def start(self, row: int) -> None:
        """Begin with this row of windows, forgetting everything before."""
        self._row = row
        self.sums[...] = 0
        self.valid[...] = False

    def add(self, column: int, scores: Array) -> None:
        """Add the class scores of a window of the current row.

        A few rows at a time, see `AT_ONCE`.

        Args:
            column: Which window of the row.
            scores: ``(K, size, size)``, or of another side ``(K, s, s)``, from which they are
                interpolated.
        """
        (rows, here), (_, part) = self._place(column)
        down, across = self._weights[0][self._row], self._weights[1][column][None, part]
        some = min(AT_ONCE, IN_CACHE) if library(scores) is np else AT_ONCE
        step = max(1, some // max(1, len(self.sums) * (here.stop - here.start)))
        for top in range(0, rows.stop, step):
            piece = slice(top, min(top + step, rows.stop))
            weight = down[piece, None] * across
            self.sums[:, piece, here] += enlarged(scores, self.tiling.size, piece, part) * weight

    def mark(self, column: int, valid: npt.NDArray[np.bool_]) -> None:
        """Note which pixels of a window of the current row are valid.

        Args:
            column: Which window of the row.
            valid: ``(size, size)``; what lies beyond the scene may be left out.
        """
        here, part = self._place(column)
        self.valid[here] |= valid[part]

    def finished(self) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Class probabilities ``(K, n, W)`` and validity ``(n, W)`` of the n finished rows.

        The current row of windows is complete. What is returned is good until ``advance``.
        """
        count = self._count()
        return self.sums[:, :count], self.valid[:count]

    def advance(self) -> None:
        """Forget the finished rows; the next row of windows becomes current."""
        count = self._count()
        for plane in (*self.sums, self.valid):
            kept = plane.shape[0] - count
            plane[:kept] = _copy(plane[count:])
            plane[kept:] = 0
        self._row += 1

    def _count(self) -> int:
        starts = (*self.tiling.rows, self.tiling.height)
        return starts[self._row + 1] - starts[self._row]

    def _place(self, column: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Rows and columns of a window in the sums, and those in the window."""
        first, width = self.tiling.columns[column] - self._left, self.valid.shape[1]
        begin, end = max(first, 0), min(first + self.tiling.size, width)
        rows = slice(0, self.valid.shape[0])
        return (rows, slice(begin, end)), (rows, slice(begin - first, end - first))


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


def _copy(array: Array) -> Array:
    return array.clone() if library(array) is not np else array.copy()
