"""Regions of equal pixels, labelled strip by strip and joined across strips.

Rows are kept as runs of equal codes. A run takes the region of the run above that it touches and
joins those it touches besides (union-find; the root of a region is its least label, so regions are
numbered by their first pixel). Only the last row of a strip is needed for the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from rsseg.legend import NODATA
from rsseg.vectorise.runs import VOID, Ints, Longs, Runs, next_runs


@dataclass
class Regions:
    """What is known of each label, ``(N,)`` each; sums lie with any label of a region.

    Args:
        parent: A label of the same region that is not greater.
        code: Its code.
        last: Its last row.
        area: Its pixels.
        confidence: Sum of their confidence.
        confident: How many have one.
    """

    parent: Ints
    code: Ints
    last: Ints
    area: Longs
    confidence: Longs
    confident: Longs

    @classmethod
    def room_for(cls, size: int) -> Regions:
        """So many labels, all zero."""
        parent, code, last = np.zeros((3, size), np.int32)
        area, confidence, confident = np.zeros((3, size), np.int64)
        return cls(parent, code, last, area, confidence, confident)

    def __len__(self) -> int:
        return len(self.parent)

    def __getitem__(self, which: slice | npt.NDArray[np.bool_]) -> Regions:
        return Regions(
            self.parent[which],
            self.code[which],
            self.last[which],
            self.area[which],
            self.confidence[which],
            self.confident[which],
        )

    @property
    def columns(self) -> tuple[Ints, Ints, Ints, Longs, Longs, Longs]:
        """All six."""
        return self.parent, self.code, self.last, self.area, self.confidence, self.confident

    def settle(self) -> Ints:
        """Bring the sums of each region to its root; returns the root of each label, ``(N,)``."""
        _settle(self.parent, self.last, self.area, self.confidence, self.confident)
        return self.parent


@dataclass(frozen=True)
class StripLabels:
    """The regions of a strip that was labelled by itself.

    Args:
        regions: What is known of each label; a column of one value has it for all.
        first: Runs of its first row, alone.
        last: Runs of its last row, alone.
        rows: How many it has.
    """

    regions: Regions
    first: Runs
    last: Runs
    rows: int


class Labeller:
    """Labels the regions of a raster from its rows, top to bottom.

    Args:
        void: Code of invalid pixels; any that does not occur if all are valid.
        connectivity: 4 joins pixels by edges, 8 also by corners.
        top: The row to begin with; what lies above it is taken for void.
    """

    def __init__(self, void: int, connectivity: int = 4, top: int = 0) -> None:
        self._void = void
        self._reach = 1 if connectivity == 8 else 0
        self._top = self._row = top
        self._room = Regions.room_for(0)
        self._used = 0
        self._above = Runs.nothing()

    @property
    def regions(self) -> Regions:
        """All labels so far, to read and to settle."""
        return self._room[: self._used]

    def add(self, codes: npt.NDArray[Any], confidence: npt.NDArray[np.uint8] | None = None) -> Runs:
        """Label the next rows.

        Args:
            codes: Codes ``(n, W)`` of up to 32 bits.
            confidence: Bytes of their confidence ``(n, W)``, 255 for none.
        """
        runs = next_runs(self._above, codes, self._void)
        self._reserve(len(runs.starts))
        if confidence is None:
            confidence = np.empty((0, 0), np.uint8)
        self._used = _connect(
            *(runs.offsets, runs.starts, runs.codes, runs.labels),
            *(self._reach, self._row, confidence, self._used),
            *self._room.columns,
        )
        self._row += len(codes)
        self._above = runs.above_next()
        return runs

    def join(self, strip: StripLabels) -> tuple[Runs, int]:
        """Take the next rows as they were labelled by themselves.

        Returns:
            The last row before them and their first, labelled; and by how much their labels are
            greater now.
        """
        offset, count = self._used, len(strip.regions)
        self._reserve(count)
        self._used += count
        room: tuple[npt.NDArray[Any], ...] = self.regions.columns
        known: tuple[npt.NDArray[Any], ...] = strip.regions.columns
        for new, old in zip(room, known, strict=True):
            new[offset:] = old
        self.regions.parent[offset:] += np.int32(offset)
        cut = self._above.above(strip.first.relabelled(offset))
        _touch(cut.offsets, cut.starts, cut.codes, cut.labels, self._reach, self.regions.parent)
        self._above = strip.last.relabelled(offset)
        self._row += strip.rows
        return cut, offset

    def strip(self, first: Runs) -> StripLabels:
        """All rows so far, as `join` takes them.

        Args:
            first: Their first row, alone, with labels as they are now.
        """
        return StripLabels(self.regions, first, self._above, self._row - self._top)

    def take(self, kept: npt.NDArray[np.bool_], labels: Ints) -> None:
        """Keep these roots alone.

        Args:
            kept: Which, ``(N,)``: all that reach the last row among them.
            labels: The new label of each old one.
        """
        held = self.regions[kept]
        self._room, self._used = held, len(held)
        held.parent[:] = np.arange(len(held))
        old = self._above.labels
        old[old >= 0] = labels[old[old >= 0]]

    def reaching(self) -> npt.NDArray[np.bool_]:
        """Whether a label is the root of a region that reaches the last row, ``(N,)``."""
        reaching = np.zeros(self._used, bool)
        labels = self._above.labels
        reaching[self.regions.parent[labels[labels >= 0]]] = True
        return reaching

    def _reserve(self, more: int) -> None:
        if self._used + more > len(self._room):
            known: tuple[npt.NDArray[Any], ...] = self.regions.columns
            self._room = Regions.room_for(self._used + more + self._used // 4)
            room: tuple[npt.NDArray[Any], ...] = self._room.columns
            for new, old in zip(room, known, strict=True):
                new[: len(old)] = old


@njit(nogil=True, cache=True)
def unite(parent: Any, one: Any, other: Any) -> None:
    """Join labels in pairs, then point every label at the least of its set.

    Args:
        parent: A label of the same set that is not greater, for each label, ``(N,)``.
        one: Labels, ``(M,)``.
        other: Those to join them with, ``(M,)``.
    """
    for pair in range(len(one)):
        a, b = root_of(parent, one[pair]), root_of(parent, other[pair])
        parent[max(a, b)] = min(a, b)
    for label in range(len(parent)):
        parent[label] = parent[parent[label]]


@njit(nogil=True, cache=True)
def root_of(parent: Any, label: Any) -> Any:
    """The least label of a label's set; shortens the way to it."""
    while parent[label] != label:
        parent[label] = parent[parent[label]]
        label = parent[label]
    return label


@njit(nogil=True, cache=True)
def _connect(
    offsets: Any,
    starts: Any,
    run_codes: Any,
    labels: Any,
    reach: int,
    top: int,
    confidence: Any,
    known: int,
    parent: Any,
    code: Any,
    last: Any,
    area: Any,
    total: Any,
    confident: Any,
) -> int:
    """Label the runs from row 1 on; returns how many labels there are now."""
    for row in range(1, len(offsets) - 1):
        above, end = offsets[row - 1], offsets[row]
        for run in range(offsets[row], offsets[row + 1]):
            own = run_codes[run]
            if own == VOID:
                labels[run] = -1
                continue
            start, stop = starts[run], starts[run + 1]
            while above + 1 < end and starts[above + 1] <= start - reach:
                above += 1
            label, other = -1, above
            while other < end and starts[other] < stop + reach:
                if run_codes[other] == own:
                    root = root_of(parent, labels[other])
                    if label < 0:
                        label = root
                    elif root < label:
                        parent[label] = root
                        label = root
                    else:
                        parent[root] = label
                other += 1
            if label < 0:
                label = known
                parent[label], code[label] = label, own
                area[label] = total[label] = confident[label] = 0
                known += 1
            labels[run] = label
            area[label] += stop - start
            last[label] = top + row - 1
            if len(confidence):
                for x in range(start, stop):
                    share = confidence[row - 1, x]
                    if share != NODATA:
                        total[label] += share
                        confident[label] += 1
    return known


@njit(nogil=True, cache=True)
def _touch(offsets: Any, starts: Any, codes: Any, labels: Any, reach: int, parent: Any) -> None:
    """Join the labels of runs of row 1 with those of equal runs of row 0 that they touch."""
    above, end = offsets[0], offsets[1]
    for run in range(offsets[1], offsets[2]):
        if labels[run] < 0:
            continue
        start, stop = starts[run], starts[run + 1]
        while above + 1 < end and starts[above + 1] <= start - reach:
            above += 1
        other = above
        while other < end and starts[other] < stop + reach:
            if codes[other] == codes[run]:
                a, b = root_of(parent, labels[run]), root_of(parent, labels[other])
                parent[max(a, b)] = min(a, b)
            other += 1


@njit(nogil=True, cache=True)
def _settle(parent: Any, last: Any, area: Any, total: Any, confident: Any) -> None:
    """Every label's parent becomes its root, to which its sums go."""
    for label in range(len(parent)):
        root = parent[parent[label]]
        parent[label] = root
        if root != label:
            last[root] = max(last[root], last[label])
            area[root] += area[label]
            total[root] += total[label]
            confident[root] += confident[label]
            area[label] = total[label] = confident[label] = 0
