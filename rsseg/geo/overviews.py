"""Overviews of byte rasters: each pixel of a level stands for two by two of the one below.

GDAL makes them too, but takes as long for it as for all the rest of a Cloud-Optimized GeoTIFF.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from rsseg.legend import NODATA

Bytes = npt.NDArray[np.uint8]
Shrink = Callable[[Bytes], Bytes]
_ROWS, _COLUMNS = 256, 4096
"""Pixels of a level that are worked out at a time: they stay in the cache of a core."""


def level_shapes(height: int, width: int, side: int) -> Iterator[tuple[int, int]]:
    """Rows and columns of each level, until one fits into a tile of this side."""
    while max(height, width) > side:
        height, width = -(-height // 2), -(-width // 2)
        yield height, width


def write_level(below: DatasetReader, level: DatasetWriter, shrink: Shrink) -> None:
    """Fill a level from the one below it, or from the raster itself.

    Args:
        below: Open bytes of twice the rows and columns, less one where these are odd.
        level: Open for writing, with as many bands.
        shrink: `commonest` or `mean`.
    """
    for top in range(0, level.height, _ROWS):
        for left in range(0, level.width, _COLUMNS):
            rows = min(_ROWS, level.height - top)
            columns = min(_COLUMNS, level.width - left)
            place: dict[str, Any] = {"window": Window(left, top, columns, rows)}
            height = min(2 * rows, below.height - 2 * top)
            width = min(2 * columns, below.width - 2 * left)
            source = Window(2 * left, 2 * top, width, height)
            for band in range(1, level.count + 1):
                pixels = below.read(band, window=source)
                pads = (0, 2 * rows - height), (0, 2 * columns - width)
                if any(map(any, pads)):
                    pixels = np.pad(pixels, pads, constant_values=NODATA)
                level.write(shrink(pixels), band, **place)


def commonest(pixels: Bytes) -> Bytes:
    """The value that most of each two by two pixels have, nodata where none has one.

    Of values that are equally common it is the first, row by row.

    Args:
        pixels: Bytes ``(2h, 2w)``.

    Returns:
        Bytes ``(h, w)``.
    """
    first, second = _columns(pixels[::2])
    third, fourth = _columns(pixels[1::2])
    four = first, second, third, fourth
    best = first
    votes = np.zeros(best.shape, np.uint8)
    for number, value in enumerate(four):
        # how many from here on are alike: an earlier one like it has had its vote
        alike = sum(((value == other).view(np.uint8) for other in four[number + 1 :]), start=1)
        counted = (value != NODATA).view(np.uint8) * alike
        best = np.where(counted > votes, value, best)
        votes = np.maximum(votes, counted)
    return best


def mean(pixels: Bytes) -> Bytes:
    """The rounded mean of those of each two by two pixels that have a value, nodata where none has.

    Args:
        pixels: Bytes ``(2h, 2w)``.

    Returns:
        Bytes ``(h, w)``.
    """
    missing = pixels == NODATA
    if not missing.any():
        total = _sums(pixels)
        total += 2
        total >>= 2
        return total.astype(np.uint8)
    count = 4 - _sums(missing.view(np.uint8))
    total = _sums(np.where(missing, 0, pixels).astype(np.uint8))
    shared = (total + count // 2) // np.maximum(count, 1)
    return np.where(count, shared, NODATA).astype(np.uint8)


def _sums(pixels: Bytes) -> npt.NDArray[np.uint16]:
    """Of two by two pixels each."""
    pairs = np.ascontiguousarray(pixels).view("<u2")
    sums = (pairs & 255) + (pairs >> 8)
    return np.asarray(sums[::2] + sums[1::2], np.uint16)


def _columns(rows: Bytes) -> tuple[Bytes, Bytes]:
    """The even columns and the odd ones."""
    pairs = np.ascontiguousarray(rows).view("<u2")
    return pairs.astype(np.uint8), (pairs >> 8).astype(np.uint8)
