"""Rings of complete polygons out of the strips of a raster: what is complete is let go at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.vectorise.arcs import refine
from rsseg.vectorise.labelling import Labeller, unite
from rsseg.vectorise.rings import find_rings, write_rings
from rsseg.vectorise.runs import Flags, Ints, Longs, Runs
from rsseg.vectorise.tracing import Tracer

_WORTH = 1 << 19
"""Records from which it is worth looking for complete polygons."""

_POINTS = 1 << 20
"""Corners of a batch of polygons; a polygon with more is a batch of its own."""


@dataclass(frozen=True)
class Rings:
    """Polygons as bare coordinates.

    Args:
        points: Columns and rows, ``(P, 2)``; each ring ends where it starts. On a map with rows
            from top to bottom outer rings run counter-clockwise, holes clockwise.
        rings: Where each ring starts in the points, and the end.
        polygons: Where each polygon starts in the rings, outer ring first, and the end.
        groups: Where each geometry starts in the polygons, and the end: with connectivity 8 some
            have several.
        codes: Code of each geometry, ``(N,)``.
        confidence: Mean confidence of its pixels, in bytes, NaN if none has one; ``(N,)``.
        keys: What they are sorted by: last row, then row and column of the first pixel,
            ``(N, 3)``.
    """

    points: npt.NDArray[np.float64]
    rings: Longs
    polygons: Longs
    groups: Longs
    codes: Longs
    confidence: npt.NDArray[np.float64]
    keys: Ints


class Assembler:
    """Makes the polygons of a raster from its rows, top to bottom.

    What is held is the rings of polygons that reach the last row. Their order does not depend on
    the strips: by the row where they end, then by their first pixel.

    Args:
        height: Rows of the raster.
        width: Its columns.
        void: Code of pixels without polygon; any that does not occur if there are none.
        connectivity: 4 joins pixels by edges, 8 also by corners.
        simplify: Tolerance in pixels, see `arcs`; 0 keeps all corners.
        smooth: Whether corners are rounded.
        top: The row to begin with.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        void: int,
        connectivity: int = 4,
        simplify: float = 0,
        smooth: bool = False,
        top: int = 0,
    ) -> None:
        self._shape = height, width
        self._void = void
        self._eight = connectivity == 8
        self._simplify, self._smooth = simplify, smooth
        self._labeller = Labeller(void, top=top)
        self._tracer = Tracer(height, width, top)
        self._groups: Ints = np.empty(0, np.int32)
        self._marks = Marks(width if simplify or smooth else None, top)
        self._open = 0

    def add(
        self, codes: npt.NDArray[Any], confidence: npt.NDArray[np.uint8] | None = None
    ) -> Iterator[Rings]:
        """Take the next rows; gives batches of polygons that are complete.

        Args:
            codes: Whole numbers ``(n, W)``.
            confidence: Bytes of their confidence, 255 for none, ``(n, W)``.
        """
        self._trace(self._labeller.add(codes, confidence))
        if self._is_worth():
            yield from self._let_go()

    def finish(self) -> Iterator[Rings]:
        """Close the raster below its last row; gives the remaining batches."""
        self._trace(self._labeller.add(np.full((1, self._shape[1]), self._void, np.int64)))
        yield from self._let_go()

    def _trace(self, runs: Runs) -> None:
        """Trace what lies above each row but the first."""
        self._tracer.add(runs, self._marks.more(len(runs.offsets) - 2))

    def _is_worth(self, more: int = 0) -> bool:
        """Whether to look for complete polygons, with so many corners that are held elsewhere.

        What stays open is looked at again only when as much has come: the effort stays in step.
        """
        return len(self._tracer.records) + more > 2 * self._open + _WORTH

    def _reaching(self) -> Flags:
        """Whether a label is the root of a region that may go on, ``(N,)``."""
        return self._labeller.reaching()

    def _let_go(self) -> Iterator[Rings]:
        regions, tracer = self._labeller.regions, self._tracer
        parent = regions.settle()
        groups = self._group(parent)
        still = np.zeros(len(parent), bool)
        still[groups[self._reaching()]] = True
        own = parent == np.arange(len(parent))
        closed = own & ~still[groups]
        records = tracer.records
        first, size, owner, hole = find_rings(
            records.x, records.y, records.next, records.region, parent, closed
        )
        ended = np.zeros(len(parent), np.int32)
        np.maximum.at(ended, groups[closed], regions.last[closed])
        whose = groups[owner]
        order = np.lexsort((first, hole, owner, whose, ended[whose]))
        yield from self._batches(
            *(first[order], size[order], owner[order], hole[order]), groups, ended
        )
        kept = own & ~closed
        numbers = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)[parent]
        tracer.take(~closed[parent[records.region]], numbers)
        self._take(kept, numbers)
        self._groups = numbers[groups[kept]]
        self._open = len(tracer.records)
        self._marks.drop(int(tracer.records.y.min()) if self._open else None)

    def _take(self, kept: Flags, numbers: Ints) -> None:
        """Keep these roots alone, under the new number of each old label."""
        self._labeller.take(kept, numbers)

    def _group(self, parent: Ints) -> Ints:
        """Join what meets at crossings; returns the least label of each label's geometry."""
        records, crossings = self._tracer.records, self._tracer.crossings
        labels = parent[records.region[crossings]]
        groups = parent
        if self._eight:
            groups = np.arange(len(parent), dtype=np.int32)
            groups[: len(self._groups)] = self._groups
            unite(groups, np.arange(len(parent), dtype=np.int32), parent)
            unite(groups, labels[:, 0], labels[:, 1])
        known = (records.next[crossings] >= 0).all(axis=1)
        same = (labels[:, 0] == labels[:, 1]) & known
        one, other = crossings[same].T
        records.next[one], records.next[other] = records.next[other], records.next[one]
        self._tracer.crossings = crossings[~same]
        return groups

    def _batches(
        self, first: Longs, size: Longs, owner: Ints, hole: Flags, groups: Ints, ended: Ints
    ) -> Iterator[Rings]:
        """Geometries with about `_POINTS` corners at a time, from their rings in order."""
        regions = self._labeller.regions
        polygons = np.append(np.flatnonzero(~hole), len(hole))
        members = owner[polygons[:-1]]
        changes = np.flatnonzero(np.diff(groups[members], prepend=-1))
        starts = np.append(changes, len(members))
        records, begin = self._tracer.records, first[polygons[changes]]
        keys = np.stack([ended[groups[members[changes]]], records.y[begin], records.x[begin]], 1)
        corners = np.append(0, np.cumsum(size))[polygons[starts]]
        low = 0
        while low < len(changes):
            high = max(int(np.searchsorted(corners, corners[low] + _POINTS)), low + 1)
            high = min(high, len(changes))
            own = slice(starts[low], starts[high])
            rings = slice(polygons[own.start], polygons[own.stop])
            begins = starts[low:high] - own.start
            total = np.add.reduceat(regions.confidence[members[own]], begins)
            count = np.add.reduceat(regions.confident[members[own]], begins)
            yield Rings(
                *self._points(first[rings], size[rings]),
                polygons=polygons[own.start : own.stop + 1] - rings.start,
                groups=starts[low : high + 1] - own.start,
                codes=regions.code[members[starts[low:high]]],
                confidence=np.where(count, total / np.maximum(count, 1), np.nan),
                keys=keys[low:high],
            )
            low = high

    def _points(self, first: Longs, size: Longs) -> tuple[npt.NDArray[np.float64], Longs]:
        refined = bool(self._simplify or self._smooth)
        offsets = np.append(0, np.cumsum(size + (not refined)))
        points = np.empty((int(offsets[-1]), 2))
        nodes = np.empty(len(points) if refined else 0, bool)
        records = self._tracer.records
        write_rings(first, offsets, records.x, records.y, records.next, records.node, points, nodes)
        if not refined:
            return points, offsets
        return refine(
            *(points, nodes, offsets, self._marks.rows, self._marks.top),
            tolerance=self._simplify,
            smooth=self._smooth,
        )


class Marks:
    """Bits of corners in the rows that open polygons span.

    Args:
        width: Columns of the raster; None if no marks are needed.
        top: The row of the first marks.
    """

    def __init__(self, width: int | None, top: int) -> None:
        self._used = 0
        self._room = np.zeros((0, 0 if width is None else (width + 8) // 8), np.uint8)
        self.top = top

    @property
    def rows(self) -> npt.NDArray[np.uint8]:
        """The rows from ``top`` on, ``(n, (W + 8) // 8)``."""
        return self._room[: self._used]

    def more(self, rows: int) -> npt.NDArray[np.uint8]:
        """Rows to be marked, below the others; none if no marks are needed."""
        if not self._room.shape[1]:
            return self._room
        if self._used + rows > len(self._room):
            grown = np.zeros((self._used + self._used // 4 + rows, self._room.shape[1]), np.uint8)
            grown[: self._used] = self.rows
            self._room = grown
        self._used += rows
        return self._room[self._used - rows : self._used]

    def drop(self, top: int | None) -> None:
        """Drop the rows above ``top``, all if None."""
        gone = self._used if top is None else min(max(top - self.top, 0), self._used)
        self._room = self._room[gone : self._used].copy()
        self._used -= gone
        self.top += gone
