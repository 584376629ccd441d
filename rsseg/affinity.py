"""The neighbouring-pixel affinity map of a label: how many pixels around each one differ.

NPALoss (Feng et al. 2020) weights pixels by it. Each row keeps, for every class, a prefix sum along
the row of how often the class occurs in the window's rows; the next row changes it in one pass, and
a pixel's count is the difference of two entries, whatever the size of the window. Counts of several
classes share a 64-bit word: sums of words are sums of each class modulo 2^64, so only the counts of
one window must fit into a class's bits, not the prefix sums.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from numba import int64, njit, uint64

from rsseg.errors import OptionError
from rsseg.legend import NODATA

IgnoreNeighbour = Literal["neutral", "differs"]
_LABELS = 255
_MAX_RADIUS = 16_383
"""So that a window has fewer than 2^30 pixels."""


def neighbouring_pixel_affinity(
    labels: npt.NDArray[np.integer[Any]],
    k: int,
    ignore_index: int = NODATA,
    ignore_neighbour: IgnoreNeighbour = "neutral",
) -> npt.NDArray[np.int32]:
    """Count the pixels within k rows and columns whose label differs.

    Beyond the edges the edge pixels repeat (the NPALoss paper, section 2.1).

    Args:
        labels: Class indices ``(H, W)`` from 0 to 254, or ``ignore_index``.
        k: Radius of the window of ``(2k + 1) x (2k + 1)`` pixels, at least 1.
        ignore_index: Label of pixels that do not count; their own count is 0.
        ignore_neighbour: Whether such a pixel beside a labelled one is left out (``neutral``) or
            ``differs`` from it.

    Returns:
        Counts ``(H, W)`` from 0 to ``(2k + 1)**2 - 1``.

    Raises:
        OptionError: If k, ignore_neighbour or a label is out of range.
    """
    check_window(k, ignore_neighbour)
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise OptionError(
            "a label map has two dimensions and integers", got=f"{labels.shape} {labels.dtype}"
        )
    counts = np.empty(labels.shape, np.int32)
    if not labels.size:
        return counts
    compact = np.empty(labels.shape, np.uint8)
    classes, ignored = _renumber(np.ascontiguousarray(labels), ignore_index, compact)
    if classes < 0:
        raise OptionError("unusable label", expected=f"0 to {_LABELS - 1}", got=ignored)
    _count(compact, classes, k, ignored, ignore_neighbour == "neutral", counts)
    return counts


def check_window(k: int, ignore_neighbour: str) -> None:
    """Check the options of an affinity map.

    Raises:
        OptionError: If one is out of range.
    """
    if not isinstance(k, int | np.integer) or not 1 <= k <= _MAX_RADIUS:
        raise OptionError("unusable search region", expected=f"1 to {_MAX_RADIUS} pixels", got=k)
    if ignore_neighbour not in get_args(IgnoreNeighbour):
        raise OptionError(
            "unusable ignore_neighbour", expected="neutral or differs", got=ignore_neighbour
        )


@njit(nogil=True, cache=True)
def _renumber(labels: Any, ignore_index: int, compact: Any) -> tuple[int, int]:
    """Number the labels from 0 in the order they occur, written to ``compact``.

    Returns:
        How many there are, and the number of the ignored one, -1 if it does not occur; or -1 and a
        label that is out of range.
    """
    height, width = labels.shape
    number_of = np.full(_LABELS + 2, -1, np.int64)  # the last for an ignored label beyond 255
    own = ignore_index if 0 <= ignore_index <= _LABELS else _LABELS + 1
    classes = 0
    for y in range(height):
        for x in range(width):
            label = int64(labels[y, x])
            if label < 0 or label > _LABELS:
                if label != ignore_index:
                    return -1, label
                label = own
            if number_of[label] < 0:
                number_of[label] = classes
                classes += 1
            compact[y, x] = number_of[label]
    if number_of[_LABELS] >= 0 and ignore_index != _LABELS:
        return -1, _LABELS
    return classes, number_of[own]


@njit(nogil=True, cache=True)
def _count(compact: Any, classes: int, k: int, ignored: int, neutral: bool, counts: Any) -> None:
    height, width = compact.shape
    lanes = 4 if k <= 127 else 2  # 255 x 255 < 2^16
    bits = 64 // lanes
    mask = (uint64(1) << uint64(bits)) - uint64(1)
    words = (classes + lanes - 1) // lanes
    unit = np.zeros((words, 256), np.uint64)
    start_of, shift_of = np.zeros(256, np.int64), np.zeros(256, np.uint64)
    for label in range(classes):
        word, lane = label // lanes, label % lanes
        start_of[label], shift_of[label] = word * (width + 1), bits * lane
        unit[word, label] = uint64(1) << shift_of[label]

    prefix = _first_row(compact, unit, k)
    flat = prefix.ravel()  # a view
    cells = (2 * k + 1) ** 2
    inner, outer = min(k, width), max(width - k, min(k, width))
    for y in range(height):
        if y:
            old, new = compact[max(y - 1 - k, 0)], compact[min(y + k, height - 1)]
            for word in range(words):
                table, line, change = unit[word], prefix[word], uint64(0)
                for x in range(width):
                    change += table[new[x]] - table[old[x]]
                    line[x + 1] += change
        row = compact[y]
        for x in range(inner, outer):  # windows inside the map's columns
            own = row[x]
            at = uint64(start_of[own]) + uint64(x)  # unsigned, so that numba looks for no sign
            within = flat[at + uint64(k + 1)] - flat[at - uint64(k)]
            counts[y, x] = cells - int64((within >> shift_of[own]) & mask)
        for x in range(inner):
            own = row[x]
            counts[y, x] = cells - _at_edge(flat, start_of[own], width, x, k, shift_of[own], mask)
        for x in range(outer, width):
            own = row[x]
            counts[y, x] = cells - _at_edge(flat, start_of[own], width, x, k, shift_of[own], mask)
        if ignored >= 0 and neutral:
            start, shift = start_of[ignored], shift_of[ignored]
            low = flat[start + inner - k : start + outer - k]
            high = flat[start + inner + k + 1 : start + outer + k + 1]
            within = counts[y, inner:outer]
            for x in range(outer - inner):
                within[x] -= np.int32(((high[x] - low[x]) >> shift) & mask)
            for x in range(inner):
                counts[y, x] -= _at_edge(flat, start, width, x, k, shift, mask)
            for x in range(outer, width):
                counts[y, x] -= _at_edge(flat, start, width, x, k, shift, mask)
        if ignored >= 0:
            for x in range(width):
                counts[y, x] *= row[x] != ignored  # no branch: such pixels lie anywhere


@njit(nogil=True, cache=True)
def _first_row(compact: Any, unit: Any, k: int) -> Any:
    """Prefix sums ``(words, W + 1)`` for the windows of row 0; rows beyond the edges repeat."""
    height, width = compact.shape
    inside = min(k, height - 1)
    prefix = np.zeros((len(unit), width + 1), np.uint64)
    for word in range(len(unit)):
        table, total = unit[word], uint64(0)
        for x in range(width):
            total += table[compact[0, x]] * uint64(k + 1)
            total += table[compact[height - 1, x]] * uint64(k - inside)
            for y in range(1, inside + 1):
                total += table[compact[y, x]]
            prefix[word, x + 1] = total
    return prefix


@njit(nogil=True, cache=True)
def _at_edge(flat: Any, start: int, width: int, x: int, k: int, shift: Any, mask: Any) -> int:
    """Count of one class in a window that may reach beyond the first or last column."""
    end = start + width
    total = flat[min(start + x + k + 1, end)] - flat[max(start + x - k, start)]
    total += uint64(max(k - x, 0)) * (flat[start + 1] - flat[start])
    total += uint64(max(x + k + 1 - width, 0)) * (flat[end] - flat[end - 1])
    count: int = int64((total >> shift) & mask)
    return count
