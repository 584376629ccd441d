"""Counting pairs of codes, quickly where neighbours are alike, as they are in maps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rsseg.evaluate.matching import Counts
from rsseg.geo.code_raster import Codes
from rsseg.legend import NODATA

_CHUNK = 1 << 18
_HELD = 1 << 16
_SMALL = np.ix_([NODATA, *range(15)], [NODATA, *range(15)])


def joint_counts(truth: Codes, prediction: Codes) -> Counts:
    """Pixels by code of truth (row) and code of prediction (column), ``(256, 256)``.

    Args:
        truth: Codes ``(H, W)``.
        prediction: Codes of the same pixels.
    """
    true, guess = truth.ravel(), prediction.ravel()
    whole = true.size // 8 * 8
    counts = _slowly(true[whole:], guess[whole:])
    pairs = _ByteCounts()
    for first in range(0, whole, _CHUNK):
        chunk = slice(first, min(first + _CHUNK, whole))
        # nearly always all codes are 0-14 or 255; one more makes 255 a 0, and two fit a byte
        words, others = true[chunk] + np.uint8(1), guess[chunk] + np.uint8(1)
        if (words | others).max() > 15:
            counts += _slowly(true[chunk], guess[chunk])
        else:
            packed = words.view(np.uint64)
            packed <<= np.uint64(4)
            packed |= others.view(np.uint64)
            pairs.add(packed)
    counts[_SMALL] += pairs.counts().reshape(16, 16)
    return counts


class _ByteCounts:
    """How often each byte occurs in words of eight.

    A word of eight equal bytes is counted by its first. The others wait until there are many, for
    they are counted two bytes at a time, in a table that takes long to clear.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(256, np.int64)
        self._held: list[npt.NDArray[np.uint64]] = []
        self._words = 0

    def add(self, words: npt.NDArray[np.uint64]) -> None:
        turned = words << np.uint64(8)
        turned |= words >> np.uint64(56)
        mixed = turned != words
        some = int(np.count_nonzero(mixed))
        if 2 * some < words.size:
            first = words.astype(np.uint8)
            first *= ~mixed
            self._counts += 8 * np.bincount(first, minlength=256)
            self._counts[0] -= 8 * some
            words, self._words = words[mixed], self._words + some
        else:
            self._words += words.size
        self._held.append(words)
        if self._words >= _HELD:
            self._count_held()

    def counts(self) -> npt.NDArray[np.int64]:
        """Bytes by value, ``(256,)``, of all words added."""
        self._count_held()
        return self._counts

    def _count_held(self) -> None:
        if self._words:
            twos = np.concatenate(self._held).view(np.uint16)
            table = np.bincount(twos, minlength=1 << 16).reshape(256, 256)
            self._counts += table.sum(axis=0) + table.sum(axis=1)
        self._held, self._words = [], 0


def _slowly(truth: Codes, prediction: Codes) -> Counts:
    """The same of any codes."""
    pairs = (truth.astype(np.uint16) << 8) | prediction
    return np.bincount(pairs, minlength=1 << 16).reshape(256, 256)
