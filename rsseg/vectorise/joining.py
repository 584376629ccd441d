"""Rings of a raster whose strips are traced each by itself, wherever that is, then joined.

A strip gives the polygons that reach neither its first nor its last row; they are complete. Of the
others it gives labels and records as far as it knows them. These are appended to those of the
strips above: labels are joined where equal runs touch across the cut, cracks that cross it link
the records on both sides, and the corners on the cut itself are traced here. What comes of it is
what one `Assembler` has after the same rows, so the polygons, their order and their corners are
those of a raster that is read in one go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg.vectorise.assembling import Assembler, Marks, Rings
from rsseg.vectorise.labelling import StripLabels
from rsseg.vectorise.runs import Flags, Ints, Runs
from rsseg.vectorise.tracing import StripRecords


@dataclass(frozen=True)
class OpenRings:
    """What a strip leaves open: its regions that reach its first or last row.

    Args:
        labels: The regions, and the runs of those rows.
        records: Corners that their rings pass.
        marks: Bits of all corners in the lowest rows of the strip that they span,
            ``(n, (W + 8) // 8)``; empty if corners stay as they are.
    """

    labels: StripLabels
    records: StripRecords
    marks: npt.NDArray[np.uint8]


class StripAssembler(Assembler):
    """Makes the polygons of a strip that reach neither its first row nor its last.

    Args:
        height: Rows of the whole raster.
        width: Its columns.
        void: Code of pixels without polygon.
        connectivity: 4 joins pixels by edges, 8 also by corners.
        simplify: Tolerance in pixels.
        smooth: Whether corners are rounded.
        top: Row of the raster where the strip begins.
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
        super().__init__(
            *(height, width),
            void=void,
            connectivity=connectivity,
            simplify=simplify,
            smooth=smooth,
            top=top,
        )
        self._marks = Marks(width if simplify or smooth else None, top + 1)
        self._first: Runs | None = None

    def finish(self) -> Iterator[Rings]:
        """Give the remaining batches; what is open stays."""
        yield from self._let_go()

    @property
    def open(self) -> OpenRings:
        """What is left when all rows are added and all batches given."""
        assert self._first is not None
        labels = self._labeller.strip(self._first)
        return OpenRings(labels, self._tracer.strip, self._marks.rows)

    def _trace(self, runs: Runs) -> None:
        if self._first is None:
            runs = runs.from_row_1()
            self._first = runs.alone(0)
            self._tracer.begin_below(self._first)
        super()._trace(runs)

    def _reaching(self) -> Flags:
        assert self._first is not None
        reaching, first = super()._reaching(), self._first.labels
        reaching[self._labeller.regions.parent[first[first >= 0]]] = True
        return reaching

    def _take(self, kept: Flags, numbers: Ints) -> None:
        assert self._first is not None
        super()._take(kept, numbers)
        first = self._first.labels
        first[first >= 0] = numbers[first[first >= 0]]


class Joiner(Assembler):
    """Makes the polygons that its strips, top to bottom, leave open."""

    def join(self, strip: OpenRings, held: int = 0) -> Iterator[Rings] | None:
        """Take the next strip.

        Args:
            strip: What it leaves open.
            held: Corners of complete polygons that wait for those above them.

        Returns:
            Batches of polygons that are complete, all that end above the last row; None while it
            is not worth looking for them.
        """
        cut, offset = self._labeller.join(strip.labels)
        self._trace(cut)
        traced = strip.labels.rows - 1
        self._tracer.join(strip.records, offset, traced)
        marks = self._marks.more(traced)
        marks[len(marks) - len(strip.marks) :] = strip.marks
        return self._let_go() if self._is_worth(held) else None
