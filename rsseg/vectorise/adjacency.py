"""Which regions adjoin, and rasters whose regions take other codes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numba import njit

from rsseg.legend import NODATA
from rsseg.vectorise.labelling import Labeller, Regions, StripLabels
from rsseg.vectorise.runs import Ints, Runs

Bytes = npt.NDArray[np.uint8]

_WORTH = 1 << 20
"""Pairs from which it is worth joining equal ones."""


class Strips(Protocol):
    """Codes ``(n, W)`` from top to bottom, 255 for void, and their confidence or None."""

    def __call__(
        self, on_pixels: Callable[[int], None], *, confidence: bool
    ) -> Generator[tuple[Bytes, Bytes | None], None, None]:
        """Read them once; ``on_pixels`` is called with the pixels of each strip."""
        ...


class Pairs:
    """Pairs of adjoining labels of which one is of a small region, in the order they are met.

    Order and pairs are those of GDAL's sieve: for each pixel the one above, with connectivity 8
    those to its left and right as well, then the one on the left.

    Args:
        connectivity: 4 or 8; with 8 some pairs share no border.
        small: Regions of fewer pixels are small.
    """

    def __init__(self, connectivity: int, small: float) -> None:
        self._corners = connectivity == 8
        self._small = small
        self._parts: list[npt.NDArray[np.int32]] = []
        self._held = self._joined = 0

    def add(self, runs: Runs, regions: Regions) -> None:
        """Take the pairs of the next rows."""
        found = np.empty((6 * len(runs.starts), 3), np.int32)
        used = _meet(runs.offsets, runs.starts, runs.codes, runs.labels, self._corners, found)
        self.append(found[:used].copy(), regions)

    def append(self, pairs: npt.NDArray[np.int32], regions: Regions) -> None:
        """Take pairs that were found elsewhere, ``(M, 3)``."""
        self._parts.append(pairs)
        self._held += len(pairs)
        if self._held > 2 * self._joined + _WORTH:
            self.join(regions)

    def join(self, regions: Regions) -> npt.NDArray[np.int32]:
        """Settle the regions; returns pairs of roots with their shared border, ``(M, 3)``."""
        roots = regions.settle()
        pairs = np.concatenate([np.empty((0, 3), np.int32), *self._parts])
        one, other = roots[pairs[:, 0]], roots[pairs[:, 1]]
        wanted = (one != other) & (np.minimum(regions.area[one], regions.area[other]) < self._small)
        one, other, length = one[wanted], other[wanted], pairs[wanted, 2]
        keys = np.minimum(one, other).astype(np.int64) << 32 | np.maximum(one, other)
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        border = np.bincount(which, length, len(first)).astype(np.int32)
        order = np.argsort(first)
        joined = np.stack([one[first], other[first], border], axis=1)[order]
        self._parts, self._held, self._joined = [joined], len(joined), len(joined)
        return joined


Decision = Callable[[Regions, npt.NDArray[np.int32], float], Ints]
"""The code of each root, ``(N,)``, made from settled regions, pairs of roots and what is small."""


@dataclass(frozen=True)
class Recoded:
    """Strips of which regions take other codes.

    Labels do not depend on how a raster is read, so each reading finds the same.

    Args:
        source: Strips to change.
        connectivity: 4 or 8.
        codes: The code of each label, ``(N,)``.
    """

    source: Strips
    connectivity: int
    codes: Bytes

    def __call__(
        self, on_pixels: Callable[[int], None], *, confidence: bool
    ) -> Generator[tuple[Bytes, Bytes | None], None, None]:
        """Read them once."""
        labeller = Labeller(NODATA, self.connectivity)
        with closing(self.source(on_pixels, confidence=confidence)) as strips:
            for codes, shares in strips:
                runs = labeller.add(codes)
                _paint(runs.offsets, runs.starts, runs.labels, self.codes, codes)
                yield codes, shares


def recoded(
    source: Strips,
    connectivity: int,
    small: float,
    decide: Decision,
    on_pixels: Callable[[int], None],
) -> Recoded:
    """Strips of which small regions take the code of a neighbour, decided over the whole raster.

    Args:
        source: Strips to change.
        connectivity: 4 or 8.
        small: Regions of fewer pixels are small.
        decide: What code each takes.
        on_pixels: Called with the pixels of each strip while deciding.
    """
    labeller, pairs = Labeller(NODATA, connectivity), Pairs(connectivity, small)
    with closing(source(on_pixels, confidence=False)) as strips:
        for codes, _ in strips:
            pairs.add(labeller.add(codes), labeller.regions)
    return Recoded(source, connectivity, _decided(labeller.regions, pairs, small, decide))


@dataclass(frozen=True)
class StripNeighbours:
    """Which regions adjoin in a strip that was labelled by itself.

    Args:
        labels: Its regions.
        pairs: Adjoining labels of which one may be small, with their border, below the first row
            of the strip, ``(M, 3)``.
    """

    labels: StripLabels
    pairs: npt.NDArray[np.int32]


def neighbours(
    source: Strips, connectivity: int, small: float, on_pixels: Callable[[int], None]
) -> StripNeighbours:
    """Those in a strip, of which nothing above or below is known.

    Args:
        source: The strip.
        connectivity: 4 or 8.
        small: Regions of fewer pixels are small.
        on_pixels: Called with the pixels of each reading.
    """
    labeller, pairs = Labeller(NODATA, connectivity), Pairs(connectivity, small)
    first: Runs | None = None
    with closing(source(on_pixels, confidence=False)) as strips:
        for codes, _ in strips:
            runs = labeller.add(codes)
            if first is None:
                runs = runs.from_row_1()
                first = runs.alone(0)
            pairs.add(runs, labeller.regions)
    assert first is not None
    joined = pairs.join(labeller.regions)
    labels = labeller.strip(first)
    return StripNeighbours(replace(labels, regions=_without_sums(labels.regions)), joined)


def recoded_in_strips(
    found: Iterable[StripNeighbours], connectivity: int, small: float, decide: Decision
) -> list[Bytes]:
    """The code of each label of each strip, decided over the whole raster.

    Args:
        found: What adjoins in each strip, from top to bottom.
        connectivity: 4 or 8.
        small: Regions of fewer pixels are small.
        decide: What code each takes.
    """
    labeller, pairs = Labeller(NODATA, connectivity), Pairs(connectivity, small)
    offsets = []
    for strip in found:
        cut, offset = labeller.join(strip.labels)
        pairs.add(cut, labeller.regions)
        pairs.append(strip.pairs + np.array([offset, offset, 0], np.int32), labeller.regions)
        offsets.append(offset)
    return np.split(_decided(labeller.regions, pairs, small, decide), offsets[1:])


def _without_sums(regions: Regions) -> Regions:
    """The same with one zero for each column that pairs do not need: it goes over a network."""
    row, total = np.zeros(1, np.int32), np.zeros(1, np.int64)
    return Regions(regions.parent, regions.code, row, regions.area, total, total)


def _decided(regions: Regions, pairs: Pairs, small: float, decide: Decision) -> Bytes:
    joined = pairs.join(regions)
    return decide(regions, joined, small)[regions.parent].astype(np.uint8)


@njit(nogil=True, cache=True)
def _meet(offsets: Any, starts: Any, codes: Any, labels: Any, corners: bool, found: Any) -> int:
    """Write labels that adjoin across and above rows 1 to n, and how far; returns how many."""
    used = 0
    for row in range(1, len(offsets) - 1):
        above, end = offsets[row - 1], offsets[row]
        for run in range(offsets[row], offsets[row + 1]):
            if labels[run] < 0:
                continue
            start, stop = starts[run], starts[run + 1]
            while above + 1 < end and starts[above + 1] <= start:
                above += 1
            # the first pixel: above it, above left, above right, on its left
            used = _note(starts, codes, labels, run, above, found, used)
            k = above + 1
            if corners:
                if starts[above] == start:
                    used = _note(starts, codes, labels, run, above - 1, found, used)
                if k < end and starts[k] == start + 1:
                    used = _note(starts, codes, labels, run, k, found, used)
                    k += 1
            if labels[run - 1] >= 0:
                found[used, 0], found[used, 1], found[used, 2] = labels[run], labels[run - 1], 1
                used += 1
            while k < end and starts[k] < stop + int(corners):
                used = _note(starts, codes, labels, run, k, found, used)
                k += 1
    return used


@njit(nogil=True, cache=True)
def _note(starts: Any, codes: Any, labels: Any, run: int, above: int, found: Any, used: int) -> int:
    """Write a run and one above it, if they are of different regions; returns how many."""
    if labels[above] >= 0 and codes[above] != codes[run]:
        shared = min(starts[run + 1], starts[above + 1]) - max(starts[run], starts[above])
        found[used, 0], found[used, 1] = labels[run], labels[above]
        found[used, 2] = max(shared, 0)
        used += 1
    return used


@njit(nogil=True, cache=True)
def _paint(offsets: Any, starts: Any, labels: Any, table: Any, codes: Any) -> None:
    """Write the code of each label to its pixels in the rows from 1 on."""
    for row in range(1, len(offsets) - 1):
        for run in range(offsets[row], offsets[row + 1]):
            label = labels[run]
            if label >= 0 and table[label] != codes[row - 1, starts[run]]:
                codes[row - 1, starts[run] : starts[run + 1]] = table[label]
