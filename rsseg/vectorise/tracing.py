"""The rings around regions, from runs of pixels, strip by strip.

Between two rows lie the corners of pixels; where codes differ, cracks meet there. Going around a
corner clockwise, each stretch between two cracks belongs to one region, whose ring passes by:
one record per pass, linked to the record where the ring goes next. Rings keep their region on the
left hand. Corners in the middle of a straight line with nothing else are no records; those where
three or more cracks meet are nodes, on all rings that pass: so neighbours share every edge.

At a crossing of four cracks two opposite cells may belong to one region. Their passes are linked as
if they did not; where in the end they do, both swap what follows, so that rings touch themselves
nowhere: one becomes two, or two become one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from rsseg.vectorise.runs import VOID, Flags, Ints, Runs

_NEVER = np.iinfo(np.int32).max


@dataclass
class Records:
    """Where rings pass corners, ``(N,)`` each.

    Args:
        x: Column of the corner.
        y: Its row.
        next: The record that follows on the ring, -1 while unknown.
        region: Label of the region that the ring bounds.
        node: Whether three or more cells meet there, or it is a corner of the raster.
    """

    x: Ints
    y: Ints
    next: Ints
    region: Ints
    node: Flags

    @classmethod
    def room_for(cls, size: int) -> Records:
        """So many records, not yet written."""
        x, y, following, region = np.empty((4, size), np.int32)
        return cls(x, y, following, region, np.empty(size, np.bool_))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: slice | Flags) -> Records:
        return Records(
            self.x[which], self.y[which], self.next[which], self.region[which], self.node[which]
        )

    @property
    def columns(self) -> tuple[Ints, Ints, Ints, Ints, Flags]:
        """All five."""
        return self.x, self.y, self.next, self.region, self.node


@dataclass(frozen=True)
class StripRecords:
    """Records of a strip that was traced by itself, from below its first row on.

    Args:
        ends: How many cracks of its first row have ends above it that are not known; the first
            records stand for those from which rings come down, as many for those they go up to.
        records: Those, then all others.
        pending: For each crack of its last row the records at its upper end, ``(2, M)``.
        crossings: Pairs of records at crossings whose cells have equal codes, ``(K, 2)``.
    """

    ends: int
    records: Records
    pending: Ints
    crossings: Ints


class Tracer:
    """Makes the records of the rings of a raster from its runs, top to bottom.

    Args:
        height: Rows of the raster.
        width: Its columns.
        top: The row to begin with.
    """

    def __init__(self, height: int, width: int, top: int = 0) -> None:
        self._shape = height, width
        self._row = top
        self._ends = 0
        self._room = Records.room_for(0)
        self._used = 0
        self._pending = np.full((2, 1), -1, np.int32)
        self.crossings = np.empty((0, 2), np.int32)
        """Pairs of records at crossings whose cells have equal codes."""

    @property
    def records(self) -> Records:
        """All records, to read and to relink."""
        return self._room[: self._used]

    def add(self, runs: Runs, marks: npt.NDArray[np.uint8]) -> None:
        """Trace what lies above each row of ``runs`` but its first.

        Args:
            runs: The next rows.
            marks: A bit is set for each corner with a record, ``(n, (W + 8) // 8)``; may be empty.
        """
        added = len(runs.starts)
        self._reserve(6 * added)
        pending = np.full((2, added), -1, np.int32)
        pending[:, : self._pending.shape[1]] = self._pending
        crossings = np.empty((2 * added, 2), np.int32)
        self._used, crossed = _trace(
            *(runs.offsets, runs.starts, runs.codes, runs.labels),
            *(self._row, *self._shape, self._used),
            *self._room.columns,
            *(pending[0], pending[1], crossings, marks),
        )
        self.crossings = np.concatenate([self.crossings, crossings[:crossed]])
        self._pending = pending[:, runs.last_row].copy()
        self._row += len(runs.offsets) - 2

    def begin_below(self, row: Runs) -> None:
        """Begin below a row, of which the upper ends of its cracks are not known.

        Args:
            row: Its labelled runs, alone.
        """
        known = row.labels[row.labels >= 0]
        self._ends = ends = len(row.starts) if len(known) else 0
        self._row += 1
        self._reserve(2 * ends)
        self._used = 2 * ends
        held = self.records
        held.x[:], held.y[:], held.next[:], held.node[:] = 0, self._row, -1, False
        if ends:
            held.region[:] = known[0]  # any that stays open
        self._pending = np.full((2, len(row.starts)), -1, np.int32)
        if ends:
            self._pending[:] = np.arange(2 * ends, dtype=np.int32).reshape(2, ends)

    @property
    def strip(self) -> StripRecords:
        """All records, as `join` takes them."""
        return StripRecords(self._ends, self.records, self._pending, self.crossings)

    def join(self, strip: StripRecords, labels: int, rows: int) -> None:
        """Take the records of the next rows, whose first one was added already.

        Args:
            strip: The records.
            labels: By how much their labels are greater now.
            rows: Rows that were traced.
        """
        ends, offset, new = strip.ends, self._used, strip.records[2 * strip.ends :]
        self._reserve(len(new))
        self._used += len(new)
        # By number in the strip: what the ends are, then the records where they lie now.
        upper = self._pending.ravel() if ends else np.empty(0, np.int32)
        places = np.concatenate([upper, np.arange(offset, self._used, dtype=np.int32), [-1]])
        places = places.astype(np.int32)
        held = self.records
        for mine, theirs in zip(held.columns, new.columns, strict=True):
            mine[offset:] = theirs
        held.next[offset:] = places[new.next]
        held.region[offset:] += np.int32(labels)
        down, after = upper[:ends], strip.records.next[:ends]
        goes_on = after >= 0
        held.next[down[goes_on]] = places[after[goes_on]]
        self.crossings = np.concatenate([self.crossings, places[strip.crossings]])
        self._pending = places[strip.pending]
        self._row += rows

    def take(self, kept: Flags, labels: Ints) -> None:
        """Keep these records alone.

        Args:
            kept: Which, ``(N,)``: whole rings, as far as they go.
            labels: The new label of each old one.
        """
        places = np.cumsum(kept, dtype=np.int32) - np.int32(1)
        held = self.records[kept]
        known = held.next >= 0
        held.next[known] = places[held.next[known]]
        held.region = labels[held.region]
        self._room, self._used = held, len(held)
        waiting = self._pending >= 0
        self._pending[waiting] = places[self._pending[waiting]]
        self.crossings = places[self.crossings[kept[self.crossings].all(axis=1)]]

    def _reserve(self, more: int) -> None:
        if self._used + more > len(self._room):
            known = self.records
            self._room = Records.room_for(self._used + more + self._used // 4)
            for new, old in zip(self._room.columns, known.columns, strict=True):
                new[: len(old)] = old


@njit(nogil=True, cache=True)
def _trace(
    offsets: Any,
    starts: Any,
    codes: Any,
    labels: Any,
    top: int,
    height: int,
    width: int,
    used: int,
    xs: Any,
    ys: Any,
    following: Any,
    regions: Any,
    nodes: Any,
    downward: Any,
    upward: Any,
    crossings: Any,
    marks: Any,
) -> tuple[int, int]:
    """Records of the corners above rows 1 to n; returns how many there are, and crossings.

    ``downward`` holds, for the crack at the start of each run, the record at its upper end whose
    ring comes down along it, ``upward`` the one that a ring coming up along it goes to. Likewise
    ``east`` and ``west`` for the crack on the left of a corner.
    """
    crossed = 0
    for row in range(1, len(offsets) - 1):
        y = top + row - 1
        nw, sw = offsets[row - 1], offsets[row]
        old, new = nw + 1, sw + 1
        old_end, new_end = sw, offsets[row + 1]
        east = west = -1
        while old < old_end or new < new_end:
            x_old = starts[old] if old < old_end else _NEVER
            x_new = starts[new] if new < new_end else _NEVER
            x = min(x_old, x_new)
            up, down = x_old == x, x_new == x
            ne, se = old if up else nw, new if down else sw
            left, right = codes[nw] != codes[sw], codes[ne] != codes[se]
            if left or right:
                degree = int(up) + int(down) + int(left) + int(right)
                node = degree > 2 or ((x == 0 or x == width) and (y == 0 or y == height))
                # the pass that comes in by each crack, in the cell clockwise after it
                by_left = by_up = by_right = by_down = -1
                first = used
                if left and codes[nw] != VOID:
                    by_left, regions[used] = used, labels[nw]
                    used += 1
                if up and codes[ne] != VOID:
                    by_up, regions[used] = used, labels[ne]
                    used += 1
                if right and codes[se] != VOID:
                    by_right, regions[used] = used, labels[se]
                    used += 1
                if down and codes[sw] != VOID:
                    by_down, regions[used] = used, labels[sw]
                    used += 1
                for record in range(first, used):
                    xs[record], ys[record] = x, y
                    nodes[record], following[record] = node, -1
                if len(marks):
                    marks[row - 1, x >> 3] |= np.uint8(1 << (x & 7))
                if by_left >= 0:
                    following[east] = by_left
                if by_up >= 0:
                    following[downward[old]] = by_up
                # and where it goes: out by the next crack clockwise
                if up:
                    going = by_left if left else by_down if down else by_right
                    if going >= 0:
                        following[going] = upward[old]
                if left:
                    going = by_down if down else by_right if right else by_up
                    if going >= 0:
                        following[going] = west
                if down:
                    downward[new] = by_right if right else by_up if up else by_left
                    upward[new] = by_down
                if right:
                    east = by_up if up else by_left if left else by_down
                    west = by_right
                if degree == 4:
                    if by_up >= 0 and codes[ne] == codes[sw]:
                        crossings[crossed, 0], crossings[crossed, 1] = by_up, by_down
                        crossed += 1
                    if by_left >= 0 and codes[nw] == codes[se]:
                        crossings[crossed, 0], crossings[crossed, 1] = by_left, by_right
                        crossed += 1
            else:
                downward[new], upward[new] = downward[old], upward[old]
            if up:
                nw = old
                old += 1
            if down:
                sw = new
                new += 1
    return used, crossed
