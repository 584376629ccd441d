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
import numpy.typing as npt

from rsseg.evaluate.matching import Counts, Matching
from rsseg.legend import NODATA
from rsseg.metrics import BoundaryCounts, eroded

STRIP_PIXELS = 1 << 23
"""Pixels that a strip has at least, so that steps in Python cost nothing beside them."""

RIGHT, WRONG = 0, 1
"""Values of a verdict; 255 where a pixel is not scored."""

Codes = npt.NDArray[np.uint8]
_CHUNK = 1 << 19
_PIECE = 1 << 21
_SMALL = np.ix_([*range(15), NODATA], [*range(15), NODATA])


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

    def count(self, strip: Strip) -> Counts:
        """Pixels of a strip by code of truth and code of prediction, ``(256, 256)``.

        Raises:
            LegendError: If a code occurs that the legend of its side does not have.
        """
        truth, prediction = strip.truth[strip.rows], strip.prediction[strip.rows]
        if self.erode:
            truth = eroded(strip.truth, self.erode)[strip.rows]
        counts = joint_counts(truth, prediction)
        self.matching.require_known(counts)
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
        counts[np.isin(self.matching.true, self.ignored)] = 0
        return counts


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
) -> Counts:
    """Pixels by code of truth (row) and code of prediction (column), ``(256, 256)``.

    Raises:
        SceneError: If a file is damaged.
        LegendError: If a code occurs that the legend of its side does not have.
    """
    counts = np.zeros((256, 256), np.int64)
    rows = max(1, _PIECE // width, 4 * judge.halo)
    pieces = _pieces(read_strips((truth, prediction), height, width), rows)
    for strip in _with_context(pieces, height, judge.halo):
        counts += judge.count(strip)
        done = strip.start + strip.rows.stop - strip.rows.start
        on_progress(done * width, height * width)
    return counts


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


def joint_counts(truth: Codes, prediction: Codes) -> Counts:
    """Pixels by code of truth (row) and code of prediction (column), ``(256, 256)``."""
    counts = np.zeros((256, 256), np.int64)
    step = max(1, _CHUNK // max(1, truth.shape[1]))
    for row in range(0, truth.shape[0], step):
        true, guess = truth[row : row + step].ravel(), prediction[row : row + step].ravel()
        whole = true.size // 2 * 2
        if _is_small(true) and _is_small(guess):
            counts[_SMALL] += _joint_nibbles(true[:whole], guess[:whole])
            true, guess = true[whole:], guess[whole:]
        pair = (true.astype(np.uint16) << 8) | guess
        counts += np.bincount(pair, minlength=counts.size).reshape(counts.shape)
    return counts


def _is_small(codes: Codes) -> bool:
    """Whether all codes are 0-14 or 255, as nearly always; adding 1 makes 255 a 0."""
    return bool((codes + np.uint8(1)).max(initial=0) <= 15)


def _joint_nibbles(truth: Codes, prediction: Codes) -> Counts:
    """Joint counts ``(16, 16)`` of codes 0-14 and 255, at half the cost: two pixels at once."""
    both = truth << 4
    both |= prediction & 15
    pairs = np.bincount(both.view(np.uint16), minlength=1 << 16).reshape(256, 256)
    counts: Counts = (pairs.sum(axis=0) + pairs.sum(axis=1)).reshape(16, 16)
    return counts


def _pieces(strips: Iterable[tuple[int, list[Codes]]], rows: int) -> Iterator[list[Codes]]:
    """Strips cut into pieces of so many rows at most: what is made from them stays small."""
    for _, strip in strips:
        for row in range(0, len(strip[0]), rows):
            yield [codes[row : row + rows] for codes in strip]


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


def _translated(codes: Codes, table: Codes) -> Codes:
    """``table[codes]``, several times faster: bytes have a loop of their own for it."""
    return np.frombuffer(codes.tobytes().translate(table.tobytes()), np.uint8).reshape(codes.shape)
