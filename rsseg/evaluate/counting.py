"""A map and its truth compared strip by strip, in bounded memory.

Strips are full width and end where the files' blocks end, so that each block is decoded once; the
next strips are read while one is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rsseg.evaluate.histogram import joint_counts
from rsseg.evaluate.matching import Counts, Matching
from rsseg.geo.code_raster import Codes
from rsseg.legend import NODATA
from rsseg.metrics import BoundaryCounts, eroded

STRIP_PIXELS = 1 << 23
"""Pixels that a strip has at least, so that steps in Python cost nothing beside them."""

RIGHT, WRONG = 0, 1
"""Values of a verdict; 255 where a pixel is not scored."""

_PIECE = 1 << 21
_HELD = 1 << 24
_COLUMNS = 1 << 12


class Source(Protocol):
    """What codes are read from, strip by strip."""

    @property
    def block_height(self) -> int:
        """Rows that are best read together."""

    def read(self, start: int, stop: int) -> Codes:
        """Codes of the rows ``start`` to ``stop``, ``(stop - start, W)``; 255 for none."""


@dataclass(frozen=True)
class Judge:
    """How pixels are scored.

    Args:
        matching: The classes and the codes that lead to them.
        ignored: Indices of classes whose true pixels are left out.
        erode: Pixels; true pixels within this distance of another class are left out.
        boundary: Where borders are counted, by truth before erosion; None if they are not.
        on_verdict: Called with the first row of each strip and its verdict, uint8 ``(h, W)``.
    """

    matching: Matching
    ignored: Sequence[int] = ()
    erode: float = 0.0
    boundary: BoundaryCounts | None = None
    on_verdict: Callable[[int, Codes], None] | None = None

    @property
    def halo(self) -> int:
        """Rows that a strip needs above and below those that are scored."""
        return max(int(self.erode), self.boundary.halo if self.boundary else 0)

    def count(self, strip: Strip) -> Tally:
        """Pixels of a strip by code.

        Raises:
            LegendError: If a code occurs that the legend of its side does not have.
        """
        truth, prediction = strip.truth[strip.rows], strip.prediction[strip.rows]
        full = joint_counts(truth, prediction)
        self.matching.require_known(full)
        counts = full
        if self.erode:
            truth = _eroded(strip.truth, self.erode)[strip.rows]
            counts = joint_counts(truth, prediction)
        scored = self.matching.true.copy()
        scored[np.isin(scored, self.ignored)] = NODATA
        if self.boundary is not None:
            self.boundary.update(
                _translated(strip.truth, scored),
                _translated(strip.prediction, self.matching.predicted),
                strip.rows,
            )
        if self.on_verdict is not None:
            true = _translated(truth, scored)
            verdict = (true != _translated(prediction, self.matching.predicted)).astype(np.uint8)
            verdict[true == NODATA] = NODATA
            self.on_verdict(strip.start, verdict)
        for each in (counts, full):
            each[np.isin(self.matching.true, self.ignored)] = 0
        return Tally(counts, full)


@dataclass(frozen=True)
class Tally:
    """Pixels by code of truth (row) and code of prediction (column), each ``(256, 256)``.

    ``scored`` is what truth says after erosion, ``full`` before; without erosion both are one.
    """

    scored: Counts
    full: Counts


@dataclass(frozen=True)
class Strip:
    """Codes of both sides with rows of context around those to score.

    ``start`` is the row of the map where ``rows`` begins.
    """

    truth: Codes
    prediction: Codes
    rows: slice
    start: int


def compare(
    prediction: Source,
    truth: Source,
    height: int,
    width: int,
    judge: Judge,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tally:
    """Count a map and its truth, of so many rows and columns, together.

    Raises:
        SceneError: If a file is damaged.
        LegendError: If a code occurs that the legend of its side does not have.
    """
    scored, full = np.zeros((2, 256, 256), np.int64)
    strips = read_strips((truth, prediction), height, width)
    pieces = _pieces(strips, _piece_rows(width, judge.halo))
    for strip in _with_context(pieces, height, judge.halo):
        found = judge.count(strip)
        scored += found.scored
        full += found.full
        done = strip.start + strip.rows.stop - strip.rows.start
        on_progress(done * width, height * width)
    return Tally(scored, full)


def read_strips(
    sources: Sequence[Source], height: int, width: int
) -> Iterator[tuple[int, list[Codes]]]:
    """First rows and codes of full-width strips of each source, read ahead in threads."""
    blocks = max(source.block_height for source in sources)
    rows = -(-max(1, STRIP_PIXELS // width) // blocks) * blocks
    starts = range(0, height, rows)
    with ThreadPoolExecutor(len(sources)) as pool:

        def ahead(start: int) -> Iterable[Codes]:
            return pool.map(lambda source: source.read(start, min(start + rows, height)), sources)

        coming = ahead(0)
        for start in starts:
            strips = list(coming)
            if start + rows < height:
                coming = ahead(start + rows)
            yield start, strips


def _piece_rows(width: int, halo: int) -> int:
    """Rows to count at once: many beside their context, yet few enough to hold them all."""
    wanted = max(1, _PIECE // width, 4 * halo)
    return min(wanted, max(1, halo, _HELD // width - 2 * halo))


def _pieces(strips: Iterable[tuple[int, list[Codes]]], rows: int) -> Iterator[list[Codes]]:
    """Strips cut into even pieces of so many rows at most: what is made from them stays small."""
    for _, strip in strips:
        height = len(strip[0])
        step = -(-height // -(-height // rows))
        for row in range(0, height, step):
            yield [codes[row : row + step] for codes in strip]


def _with_context(pieces: Iterable[list[Codes]], height: int, halo: int) -> Iterator[Strip]:
    """Strips with up to ``halo`` rows of context on each side, which were read once."""
    held: list[Codes] = []
    first = done = 0  # rows of the map: of what is held, and those already given out
    for read in pieces:
        held = [np.concatenate(both) for both in zip(held, read, strict=True)] if held else read
        stop = first + len(held[0])
        ready = height if stop == height else stop - halo
        if ready <= done:
            continue
        truth, prediction = held
        yield Strip(truth, prediction, slice(done - first, ready - first), done)
        done = ready
        passed = max(0, done - halo - first)
        held = [codes[passed:] for codes in held] if halo else []
        first = first + passed if halo else stop


def _eroded(truth: Codes, distance: float) -> Codes:
    """`rsseg.metrics.eroded`, some columns at a time: they stay in the processor's cache."""
    result = np.empty_like(truth)
    for first in range(0, truth.shape[1], _COLUMNS):
        left = max(0, first - int(distance))
        last = first + _COLUMNS
        part = eroded(truth[:, left : last + int(distance)], distance)
        result[:, first:last] = part[:, first - left : last - left]
    return result


def _translated(codes: Codes, table: Codes) -> Codes:
    """``table[codes]``, several times faster: bytes have a loop of their own for it."""
    return np.frombuffer(codes.tobytes().translate(table.tobytes()), np.uint8).reshape(codes.shape)
