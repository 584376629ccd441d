"""Small regions of a raster that take the code of their largest neighbour, as GDAL sieves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from rsseg.vectorise.adjacency import Strips, recoded
from rsseg.vectorise.labelling import Regions
from rsseg.vectorise.runs import Ints


def sieved(
    source: Strips, threshold: int, connectivity: int, on_pixels: Callable[[int], None]
) -> Strips:
    """Strips whose regions of fewer pixels than ``threshold`` took another code.

    That of the largest neighbour, of equal ones the first met; if that one is itself small, that
    of its largest neighbour, and so on. Regions with no way to a large one stay. The pixels equal
    those of ``rasterio.features.sieve`` on the whole raster. Takes some 150 bytes of memory for
    each region.

    Args:
        source: Strips to change.
        threshold: Pixels.
        connectivity: 4 or 8.
        on_pixels: Called with the pixels of each strip while deciding.
    """
    return recoded(source, connectivity, threshold, sieved_codes, on_pixels)


def sieved_codes(regions: Regions, pairs: npt.NDArray[np.int32], small: float) -> Ints:
    """The code that each region takes by `sieved`, see `adjacency.Decision`."""
    target = np.full(len(regions), -1, np.int32)
    _choose(pairs, regions.area, small, target)
    codes = regions.code.copy()
    moved = target >= 0
    codes[moved] = regions.code[target[moved]]
    return codes


@njit(nogil=True, cache=True)
def _choose(pairs: Any, area: Any, small: float, target: Any) -> None:
    """Write the region whose code each root takes, -1 to keep its own."""
    largest = np.full(len(area), -1, np.int32)
    for pair in range(len(pairs)):
        a, b = pairs[pair, 0], pairs[pair, 1]
        if largest[a] < 0 or area[largest[a]] < area[b]:
            largest[a] = b
        if largest[b] < 0 or area[largest[b]] < area[a]:
            largest[b] = a
    passed = np.full(len(area), -1, np.int32)
    for root in range(len(area)):
        if largest[root] >= 0 and area[root] < small:
            at = root
            while area[at] < small and passed[at] != root:
                passed[at] = root
                at = largest[at]
            if area[at] >= small:
                target[root] = at
