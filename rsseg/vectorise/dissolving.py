"""Small regions of a raster that join the neighbour they share the longest border with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from rsseg.vectorise.adjacency import Strips, recoded
from rsseg.vectorise.heap import pop, push
from rsseg.vectorise.labelling import Regions, root_of
from rsseg.vectorise.runs import Ints


def dissolved(
    source: Strips, min_area: float, connectivity: int, on_pixels: Callable[[int], None]
) -> Strips:
    """Strips without regions of fewer pixels than ``min_area``, but for those with no neighbour.

    The smallest goes first, of equal ones that with the first pixel. It takes the code of the
    neighbour with which it shares the longest border, of equal ones the largest, then that with
    the first pixel, and joins all its neighbours of that code; what is still small waits for its
    turn. Takes some 150 bytes of memory for each region.

    Args:
        source: Strips to change.
        min_area: Pixels.
        connectivity: 4 or 8.
        on_pixels: Called with the pixels of each strip while deciding.
    """
    return recoded(source, connectivity, min_area, dissolved_codes, on_pixels)


def dissolved_codes(regions: Regions, pairs: npt.NDArray[np.int32], small: float) -> Ints:
    """The code that each region takes by `dissolved`, see `adjacency.Decision`."""
    parent = np.arange(len(regions), dtype=np.int32)
    codes = regions.code.copy()
    _dissolve(pairs, parent, codes, regions.area.copy(), small)
    return codes[parent]


@njit(nogil=True, cache=True)
def _dissolve(pairs: Any, parent: Any, codes: Any, area: Any, small: float) -> None:
    """Join small roots to others; in the end every root's parent is what it became part of."""
    count = len(parent)
    # Each small root has a list of neighbours, joined end to end when roots are.
    head, tail = np.full(count, -1, np.int32), np.full(count, -1, np.int32)
    following = np.full(2 * len(pairs), -1, np.int32)
    for entry in range(2 * len(pairs)):
        owner = pairs[entry >> 1, entry & 1]
        if area[owner] < small:
            if head[owner] < 0:
                head[owner] = entry
            else:
                following[tail[owner]] = entry
            tail[owner] = entry
    numbers, keys = np.empty(2 * count + 1), np.empty(2 * count + 1, np.int64)
    used = 0
    for root in range(count):
        if head[root] >= 0:
            used = push(numbers, keys, used, area[root], root)
    border, touched = np.full(count, -1, np.int64), np.empty(count, np.int32)
    while used:
        number, root = numbers[0], keys[0]
        used = pop(numbers, keys, used)
        if parent[root] != root or area[root] != number:
            continue
        many, entry = 0, head[root]
        while entry >= 0:
            other = root_of(parent, pairs[entry >> 1, 1 - (entry & 1)])
            if other != root:
                if border[other] < 0:
                    touched[many], border[other] = other, 0
                    many += 1
                border[other] += pairs[entry >> 1, 2]
            entry = following[entry]
        best = -1
        for k in range(many):
            other = touched[k]
            if border[other] > 0 and (
                best < 0
                or border[other] > border[best]
                or (
                    border[other] == border[best]
                    and (area[other] > area[best] or (area[other] == area[best] and other < best))
                )
            ):
                best = other
        whole = root
        if best >= 0:
            code = codes[best]
            for k in range(many):
                other = touched[k]
                if codes[other] == code:
                    low, high = min(whole, other), max(whole, other)
                    parent[high] = low
                    area[low] += area[high]
                    if head[low] < 0:
                        head[low], tail[low] = head[high], tail[high]
                    elif head[high] >= 0:
                        following[tail[low]] = head[high]
                        tail[low] = tail[high]
                    whole = low
            codes[whole] = code
            if area[whole] < small:
                used = push(numbers, keys, used, area[whole], whole)
        for k in range(many):
            border[touched[k]] = -1
    for root in range(count):
        parent[root] = parent[parent[root]]
