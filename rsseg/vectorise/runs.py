"""Rows of a raster as runs of equal codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

VOID = -(1 << 40)
"""Code of runs that belong to no region: invalid pixels and what lies outside the raster."""

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Runs:
    """Rows of a strip as runs of equal codes; row 0 is the last row of the strip above.

    Run k of a row reaches from ``starts[k]`` to ``starts[k + 1]``. The first run of a row starts
    at -1 and the last has no end: both are void.

    Args:
        offsets: First run of each row and the end of the last, ``(rows + 1,)``.
        starts: Column where each run starts, ``(R,)``.
        codes: Its code or `VOID`, ``(R,)``.
        labels: Its region, -1 if void, ``(R,)``.
    """

    offsets: Longs
    starts: Ints
    codes: Longs
    labels: Ints

    @property
    def last_row(self) -> slice:
        """Where the runs of the last row lie."""
        return slice(int(self.offsets[-2]), int(self.offsets[-1]))

    @classmethod
    def nothing(cls) -> Runs:
        """What lies above the first row: void."""
        void = np.array([-1], np.int32)
        return cls(np.array([0, 1]), void, np.array([VOID]), void.copy())

    def alone(self, row: int) -> Runs:
        """One row by itself, as row 0 of a strip."""
        start, stop = int(self.offsets[row]), int(self.offsets[row + 1])
        return Runs(
            np.array([0, stop - start]),
            self.starts[start:stop].copy(),
            self.codes[start:stop].copy(),
            self.labels[start:stop].copy(),
        )

    def above_next(self) -> Runs:
        """The last row alone, as row 0 of the next strip."""
        return self.alone(len(self.offsets) - 2)

    def from_row_1(self) -> Runs:
        """The same rows less row 0."""
        start = int(self.offsets[1])
        return Runs(
            self.offsets[1:] - start, self.starts[start:], self.codes[start:], self.labels[start:]
        )

    def relabelled(self, offset: int) -> Runs:
        """The same with other labels: so much greater, -1 stays."""
        labels = np.where(self.labels >= 0, self.labels + np.int32(offset), np.int32(-1))
        return Runs(self.offsets, self.starts, self.codes, labels)

    def above(self, below: Runs) -> Runs:
        """These rows, and others below them."""
        return Runs(
            np.concatenate([self.offsets, self.offsets[-1] + below.offsets[1:]]),
            np.concatenate([self.starts, below.starts]),
            np.concatenate([self.codes, below.codes]),
            np.concatenate([self.labels, below.labels]),
        )


def next_runs(above: Runs, codes: npt.NDArray[Any], void: int) -> Runs:
    """The runs of the next rows, not yet labelled.

    Args:
        above: The last row before them, alone.
        codes: Codes ``(n, W)``.
        void: The one of invalid pixels.
    """
    rows, carried = len(codes), len(above.starts)
    changes = int(np.count_nonzero(codes[:, 1:] != codes[:, :-1]))
    size = carried + changes + 3 * rows
    offsets = np.empty(rows + 2, np.int64)
    starts, run_codes = np.empty(size, np.int32), np.empty(size, np.int64)
    labels = np.full(size, -1, np.int32)
    offsets[:2] = 0, carried
    starts[:carried], run_codes[:carried] = above.starts, above.codes
    labels[:carried] = above.labels
    used = _encode(codes, void, offsets, starts, run_codes)
    return Runs(offsets, starts[:used], run_codes[:used], labels[:used])


@njit(nogil=True, cache=True)
def _encode(codes: Any, void: int, offsets: Any, starts: Any, run_codes: Any) -> Any:
    """Rows ``(n, W)`` as runs behind those of row 0; returns the end of the last."""
    rows, width = codes.shape
    at = offsets[1]
    for y in range(rows):
        starts[at], run_codes[at] = -1, VOID
        at += 1
        row, held = codes[y], np.int64(VOID)
        for x in range(width):
            code = np.int64(row[x])
            if code == void:
                code = np.int64(VOID)
            if code != held:
                starts[at], run_codes[at] = x, code
                held = code
                at += 1
        if held != VOID:
            starts[at], run_codes[at] = width, VOID
            at += 1
        offsets[y + 2] = at
    return at
