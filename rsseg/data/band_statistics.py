"""Mean, deviation, limits and percentiles of one band, from any number of values in any parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_CHUNK = 1 << 19  # values that fit into the processor's cache, also when they grow to 8 bytes
_LOW, _HIGH = 0.02, 0.98
_DROPPED = 12  # bits of a float32 that its bin does not tell
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class BandStatistics:
    """A band in raw values; the deviation is that of the whole, not of a sample of it.

    ``p2`` and ``p98`` are the percentiles that a display is usually stretched between. All but
    the name is exact for 8 and 16 bits; of other types the percentiles are right to 0.05 %.
    """

    name: str
    mean: float
    std: float
    minimum: float
    maximum: float
    p2: float
    p98: float


class BandCounter(ABC):
    """Takes the values of one band part by part, in memory that does not grow."""

    @classmethod
    def of(cls, dtype: np.dtype[Any]) -> BandCounter:
        """The counter for a pixel type."""
        small = dtype.kind in "iu" and dtype.itemsize <= 2
        return _Histogram(dtype) if small else _Moments()

    @abstractmethod
    def update(self, values: npt.NDArray[Any]) -> None:
        """Count finite values ``(n,)``."""

    @abstractmethod
    def result(self, name: str) -> BandStatistics:
        """What came of the values, of which there was at least one."""


def count_bytes(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """How often each byte occurs, ``(256,)``: pairs are counted, at half the cost."""
    flat = np.ascontiguousarray(values).ravel()
    whole = flat.size // 2 * 2
    pairs = _counts(flat[:whole].view(np.uint16), 1 << 16).reshape(256, 256)
    counts: npt.NDArray[np.int64] = pairs.sum(axis=0) + pairs.sum(axis=1)
    if whole < flat.size:
        counts[flat[-1]] += 1
    return counts


class _Histogram(BandCounter):
    """Every value of 8 or 16 bits in a bin of its own."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._lowest = int(np.iinfo(dtype).min)
        self._unsigned = np.dtype(f"u{dtype.itemsize}")
        self._counts = np.zeros(1 << 8 * dtype.itemsize, np.int64)

    def update(self, values: npt.NDArray[Any]) -> None:
        if self._unsigned.itemsize == 1:
            self._counts += count_bytes(np.ascontiguousarray(values).view(np.uint8))
        else:
            unsigned = np.ascontiguousarray(values).view(np.uint16)
            self._counts += _counts(unsigned, len(self._counts))

    def result(self, name: str) -> BandStatistics:
        counts = self._counts
        if self._lowest:  # negative values stand in the upper half
            counts = np.roll(counts, len(counts) // 2)
        values = np.flatnonzero(counts) + self._lowest
        weights = counts[counts > 0]
        # Python's integers have no limit: the sums are exact
        pairs = list(zip(values.tolist(), weights.tolist(), strict=True))
        total = sum(weight for _, weight in pairs)
        first = sum(value * weight for value, weight in pairs)
        second = sum(value * value * weight for value, weight in pairs)
        variance = (second * total - first * first) / (total * total)
        return BandStatistics(
            name,
            first / total,
            variance**0.5,
            float(values[0]),
            float(values[-1]),
            *(_percentile(values.astype(np.float64), weights, part) for part in (_LOW, _HIGH)),
        )


class _Moments(BandCounter):
    """Moments merged part by part (Chan et al. 1979), and bins of 2^-11 of a value's size."""

    def __init__(self) -> None:
        self._number, self._mean, self._squares = 0, 0.0, 0.0
        self._minimum, self._maximum = np.inf, -np.inf
        self._bins = np.zeros(1 << 32 - _DROPPED, np.int64)

    def update(self, values: npt.NDArray[Any]) -> None:
        for part in _parts(values):
            exact = part.astype(np.float64)
            mean = float(exact.mean())
            squares = float(np.square(exact - mean).sum())
            number = self._number + exact.size
            apart = mean - self._mean
            self._squares += squares + apart * apart * self._number * (exact.size / number)
            self._mean += apart * (exact.size / number)
            self._number = number
            self._minimum = min(self._minimum, float(exact.min()))
            self._maximum = max(self._maximum, float(exact.max()))
            self._bins += np.bincount(_bins(part), minlength=len(self._bins))

    def result(self, name: str) -> BandStatistics:
        filled = np.flatnonzero(self._bins)
        values = np.clip(_middles(filled), self._minimum, self._maximum)
        weights = self._bins[filled]
        return BandStatistics(
            name,
            self._mean,
            (self._squares / self._number) ** 0.5,
            self._minimum,
            self._maximum,
            *(_percentile(values, weights, part) for part in (_LOW, _HIGH)),
        )


def _parts(values: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def _counts(values: npt.NDArray[Any], bins: int) -> npt.NDArray[np.int64]:
    counts = np.zeros(bins, np.int64)
    for part in _parts(values):
        counts += np.bincount(part, minlength=bins)
    return counts


def _bins(values: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """A number by value that rises with it: the leading bits of its float32, in order."""
    if values.dtype == np.float64:
        values = np.clip(values, -_LARGEST, _LARGEST)
    bits = values.astype(np.float32).view(np.uint32)
    turned = (bits.view(np.int32) >> 31).view(np.uint32) | np.uint32(1 << 31)
    return (bits ^ turned) >> np.uint32(_DROPPED)


def _middles(bins: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The value in the middle of each bin."""
    keys = (bins.astype(np.uint32) << np.uint32(_DROPPED)) | np.uint32(1 << (_DROPPED - 1))
    bits = np.where(keys >> np.uint32(31), keys ^ np.uint32(1 << 31), ~keys)
    values = bits.view(np.float32).astype(np.float64)
    values[np.abs(values) < np.finfo(np.float32).tiny] = 0
    return values


def _percentile(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.int64], part: float
) -> float:
    """Of ascending values with their numbers, interpolated as `numpy.percentile` does."""
    until = np.cumsum(weights)
    place = (int(until[-1]) - 1) * part
    below = int(place)
    low, high = values[np.searchsorted(until, [below, min(below + 1, until[-1] - 1)], "right")]
    return float(low + (high - low) * (place - below))
