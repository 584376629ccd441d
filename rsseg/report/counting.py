"""Pixels, areas and confidence of a whole map, strip by strip in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg.evaluate.counting import read_strips
from rsseg.evaluate.histogram import joint_counts
from rsseg.geo.class_raster import pixels_by_code
from rsseg.geo.code_raster import CodeRaster
from rsseg.geo.opening import gdal_cache
from rsseg.legend import NODATA
from rsseg.report.confidence import ConfidenceRaster
from rsseg.report.ground import GroundAreas, measurable
from rsseg.report.places import Cells, side_for

CACHE = 64 << 20
"""Bytes of GDAL's block cache."""


@dataclass(frozen=True)
class Counted:
    """What a map holds.

    Args:
        pixels: Pixels by code, ``(256,)``; the last are those of no class.
        areas: Square metres by code, ``(256,)``; None where pixels have no area on the ground.
        certain: Pixels by code and by confidence in parts of 254, ``(256, 256)``, the last column
            without one; None if there is no confidence.
        cells: Mean confidence by squares, in parts of 254.
    """

    pixels: npt.NDArray[np.int64]
    areas: npt.NDArray[np.float64] | None
    certain: npt.NDArray[np.int64] | None = None
    cells: Cells | None = None


def count(
    raster: CodeRaster,
    confidence: ConfidenceRaster | None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Counted:
    """Count all of a map.

    Args:
        raster: The open map.
        confidence: On the same grid.
        on_progress: Called with pixels done and pixels in all.

    Raises:
        SceneError: If a file is damaged.
        LegendError: If a value is no code.
    """
    height, width = raster.grid.height, raster.grid.width
    areas = GroundAreas(raster.grid, raster.name) if measurable(raster.grid) else None
    pixels = np.zeros(256, np.int64)
    certain, cells = None, None
    if confidence is not None:
        certain = np.zeros((256, 256), np.int64)
        cells = Cells(height, width, side_for(height, width))
    sources = (raster,) if confidence is None else (raster, confidence)
    with gdal_cache(CACHE):
        for start, (codes, *shares) in read_strips(sources, height, width):
            found = pixels_by_code(codes)
            pixels += found
            if areas is not None:
                areas.add(start, codes, found)
            if certain is not None and cells is not None:
                certain += joint_counts(codes, shares[0])
                cells.add(start, shares[0], shares[0] != NODATA)
            on_progress((start + len(codes)) * width, height * width)
    return Counted(pixels, None if areas is None else areas.by_code, certain, cells)
