"""What the borders of windows do to a map, told from its classes alone, alike for all programs.

Maps differ from a reference for many reasons: precision, how many windows are averaged, and above
all by place, for a network is undecided here and sure there. Seams are what is left of it near the
borders of windows: pixels there are compared with all others of the same class and margin in the
reference (direct standardisation). How much of that is chance is told by the same lines laid
elsewhere, where there is no border.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BAND = 8
"""Pixels on either side of a line that count as near it."""
LEVELS = 16
"""Of the reference's margin, which is told in 0-254."""
FEWEST = 50
"""Pixels near and elsewhere that a class and level must have to be compared."""
SHIFTS = 12


@dataclass(frozen=True)
class SeamError:
    """Seams of one map, as shares of pixels.

    Args:
        near: By how much more often pixels near borders differ from the reference than others do.
        chance: Standard deviation of the same where there are no borders.
        elsewhere: Share of the other pixels that differ.
        cuts: Changes of class across the borders themselves, over those between other neighbours.
    """

    near: float
    chance: float
    elsewhere: float
    cuts: float


class Reference:
    """The map that others are compared with.

    Args:
        codes: Its classes ``(h, w)``.
        margin: By how much the first class is more probable than the next, 0-254, ``(h, w)``.
    """

    def __init__(self, codes: npt.NDArray[np.uint8], margin: npt.NDArray[np.uint8]) -> None:
        self.codes = codes
        classes, index = np.unique(codes, return_inverse=True)
        level = np.minimum(margin.astype(np.int64) * LEVELS // 255, LEVELS - 1)
        self._kinds = len(classes) * LEVELS
        self._kind = index.reshape(codes.shape) * LEVELS + level
        self._all = np.bincount(self._kind.ravel(), minlength=self._kinds)

    def seam_error(self, codes: npt.NDArray[np.uint8], stride: int, overlap: int) -> SeamError:
        """Seams of a map ``(h, w)`` whose windows begin every ``stride`` pixels from the first on.

        Args:
            codes: Its classes.
            stride: From one window to the next, pixels.
            overlap: Pixels that two neighbours share.
        """
        differs = codes != self.codes
        everywhere = np.bincount(self._kind.ravel(), differs.ravel(), self._kinds)
        lines = [border_lines(length, stride, overlap) for length in codes.shape]
        near = _near(codes.shape, lines)
        # at least two bands away from where they are
        shifts = np.linspace(2 * BAND, stride - 2 * BAND, SHIFTS).astype(int)
        chance = [
            self._excess(differs, everywhere, _near(codes.shape, lines, shift)) for shift in shifts
        ]
        return SeamError(
            near=self._excess(differs, everywhere, near),
            chance=float(np.std(chance)),
            elsewhere=float(differs[~near].mean()),
            cuts=_cuts(codes, stride, overlap),
        )

    def _excess(
        self,
        differs: npt.NDArray[np.bool_],
        everywhere: npt.NDArray[np.float64],
        near: npt.NDArray[np.bool_],
    ) -> float:
        kinds = self._kind[near]
        pixels = np.bincount(kinds, minlength=self._kinds)
        wrong = np.bincount(kinds, differs[near], self._kinds)
        enough = (pixels >= FEWEST) & (self._all - pixels >= FEWEST)
        if not enough.any():  # no border, or nothing else
            return float("nan")
        own = wrong[enough] / pixels[enough]
        other = (everywhere - wrong)[enough] / (self._all - pixels)[enough]
        return float(np.average(own - other, weights=self._all[enough]))


def border_lines(length: int, stride: int, overlap: int) -> list[int]:
    """Where windows begin, end, and hand over to each other: the first pixel behind each line."""
    starts = range(0, length, stride)
    lines = {start + part for start in starts for part in (0, overlap // 2, overlap)}
    return sorted(line for line in lines if 0 < line < length)


def _near(
    shape: tuple[int, ...], lines: Iterable[list[int]], shift: int = 0
) -> npt.NDArray[np.bool_]:
    marked = []
    for length, along in zip(shape, lines, strict=True):
        axis = np.zeros(length, dtype=bool)
        for line in along:
            place = (line + shift) % length
            axis[max(0, place - BAND) : place + BAND] = True
        marked.append(axis)
    return marked[0][:, None] | marked[1][None]


def _cuts(codes: npt.NDArray[np.uint8], stride: int, overlap: int) -> float:
    """Changes of class between neighbours across the borders, over those of all neighbours."""
    at, anywhere = [], []
    for axis in (0, 1):
        changes = (np.diff(codes, axis=axis) != 0).mean(axis=1 - axis)
        starts = range(0, len(changes) + 1, stride)
        lines = {start + part for start in starts for part in (0, overlap)}
        at.extend(changes[line - 1] for line in lines if 0 < line <= len(changes))
        anywhere.append(changes.mean())
    return float(np.mean(at) / max(np.mean(anywhere), 1e-9)) if at else float("nan")
