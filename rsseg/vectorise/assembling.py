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
from rsseg.vectorise.runs import Flags, Ints, Longs
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
    """

    points: npt.NDArray[np.float64]
    rings: Longs
    polygons: Longs
    groups: Longs
    codes: Longs
    confidence: npt.NDArray[np.float64]


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
    ) -> None:
        self._shape = height, width
        self._void = void
        self._eight = connectivity == 8
        self._simplify, self._smooth = simplify, smooth
        self._labeller = Labeller(void)
        self._tracer = Tracer(height, width)
        self._groups: Ints = np.empty(0, np.int32)
        self._marks = _Marks(width if simplify or smooth else None)
        self._open = 0

    def add(
        self, codes: npt.NDArray[Any], confidence: npt.NDArray[np.uint8] | None = None
    ) -> Iterator[Rings]:
        """Take the next rows; gives batches of polygons that are complete.

        Args:
            codes: Whole numbers ``(n, W)``.
            confidence: Bytes of their confidence, 255 for none, ``(n, W)``.
        """
        runs = self._labeller.add(codes, confidence)
        self._tracer.add(runs, self._marks.more(len(codes)))
        # What stays open is looked at again only when as much has come: the effort stays in step.
        if len(self._tracer.records) > 2 * self._open + _WORTH:
            yield from self._let_go()

    def finish(self) -> Iterator[Rings]:
        """Close the raster below its last row; gives the remaining batches."""
        self._tracer.add(
            self._labeller.add(np.full((1, self._shape[1]), self._void, np.int64)),
            self._marks.more(1),
        )
        yield from self._let_go()

    def _let_go(self) -> Iterator[Rings]:
        regions, tracer = self._labeller.regions, self._tracer
        parent = regions.settle()
        groups = self._group(parent)
        still = np.zeros(len(parent), bool)
        still[groups[self._labeller.reaching()]] = True
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
        yield from self._batches(first[order], size[order], owner[order], hole[order], groups)
        kept = own & ~closed
        numbers = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)[parent]
        tracer.take(~closed[parent[records.region]], numbers)
        self._labeller.take(kept, numbers)
        self._groups = numbers[groups[kept]]
        self._open = len(tracer.records)
        self._marks.drop(int(tracer.records.y.min()) if self._open else None)

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
        self, first: Longs, size: Longs, owner: Ints, hole: Flags, groups: Ints
    ) -> Iterator[Rings]:
        """Geometries with about `_POINTS` corners at a time, from their rings in order."""
        regions = self._labeller.regions
        polygons = np.append(np.flatnonzero(~hole), len(hole))
        members = owner[polygons[:-1]]
        changes = np.flatnonzero(np.diff(groups[members], prepend=-1))
        starts = np.append(changes, len(members))
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


class _Marks:
    """Bits of corners in the rows that open polygons span.

    Args:
        width: Columns of the raster; None if no marks are needed.
    """

    def __init__(self, width: int | None) -> None:
        self._used = 0
        self._room = np.zeros((0, 0 if width is None else (width + 8) // 8), np.uint8)
        self.top = 0

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
