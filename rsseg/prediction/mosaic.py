"""Blending overlapping windows into one map, a strip of accumulators at a time.

Weights are normalised beforehand: at every pixel the weights of the windows that cover it add up
to one, so the sums are probabilities and need no division. Written once for numpy and torch
arrays; the sums live where the scores are.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.geo.tiling import Tiling

Array = Any
"""A numpy array or a torch tensor."""


class Mosaic:
    """Sums of weighted class scores for the rows that windows still reach.

    Rows of windows are added from the top: ``start`` once, then for each row of windows ``add``
    its windows and ``finish`` the output rows that no later window reaches. Each pixel adds its
    windows in one order (rows, then columns), so any split of the scene gives the same bytes.

    Args:
        tiling: Where the windows lie.
        weights: Profiles of the rows and of the columns of windows, from `profiles`.
        sums: Zeros of shape ``(K, min(size, height), width)``, float32.
    """

    def __init__(self, tiling: Tiling, weights: Profiles, sums: Array) -> None:
        self.tiling = tiling
        self.sums = sums
        self.valid = np.zeros(tuple(sums.shape[1:]), dtype=np.bool_)
        self._weights = weights
        self._row = 0

    def start(self, row: int) -> None:
        """Begin with this row of windows, forgetting everything before."""
        self._row = row
        self.sums[...] = 0
        self.valid[...] = False

    def add(self, column: int, scores: Array) -> None:
        """Add the class scores ``(K, size, size)`` of a window of the current row."""
        rows, columns = self._place(column)
        height, width = rows.stop, columns.stop - columns.start
        down, across = self._weights
        weight = down[self._row][:height, None] * across[column][None, :width]
        self.sums[:, rows, columns] += scores[:, :height, :width] * weight

    def mark(self, column: int, valid: npt.NDArray[np.bool_]) -> None:
        """Note which pixels ``(size, size)`` of a window of the current row are valid."""
        rows, columns = self._place(column)
        here = valid[: rows.stop, : columns.stop - columns.start]
        self.valid[rows, columns] |= here

    def finish(self) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Class probabilities ``(K, n, W)`` and validity ``(n, W)`` of the n finished rows.

        The current row of windows is complete; the next one becomes current.
        """
        starts = (*self.tiling.rows, self.tiling.height)
        count = starts[self._row + 1] - starts[self._row]
        done, valid = _copy(self.sums[:, :count]), self.valid[:count].copy()
        for plane in (*self.sums, self.valid):
            kept = plane.shape[0] - count
            plane[:kept] = _copy(plane[count:])
            plane[kept:] = 0
        self._row += 1
        return done, valid

    def _place(self, column: int) -> tuple[slice, slice]:
        first = self.tiling.columns[column]
        stop = min(first + self.tiling.size, self.tiling.width)
        return slice(0, self.valid.shape[0]), slice(first, stop)


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


def library(array: Array) -> Any:
    """numpy, or torch if the array is a tensor of it."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


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
