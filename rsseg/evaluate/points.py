"""A map compared with sample points of known class, and what they say of the whole map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from rsseg.evaluate.counting import read_strips
from rsseg.evaluate.layers import Layer
from rsseg.evaluate.matching import Counts, Matching
from rsseg.geo.class_raster import pixels_by_code
from rsseg.geo.code_raster import CodeRaster
from rsseg.geo.grid import Grid
from rsseg.metrics import stratified_accuracy


@dataclass(frozen=True)
class Sample:
    """What points found on a map.

    Args:
        counts: Points by true code (row) and code of the map (column), ``(256, 256)``.
        mapped: Pixels of the whole map by code, ``(256,)``.
        notes: What the user should know of it.
    """

    counts: Counts
    mapped: Counts
    notes: tuple[str, ...]


def sample(raster: CodeRaster, points: Layer, on_progress: Callable[[int, int], None]) -> Sample:
    """Look up the map's code at each point, and count all of its pixels on the way.

    Raises:
        SceneError: If the map is damaged.
    """
    grid = raster.grid
    x, y = shapely.get_coordinates(points.geometries).T
    columns, rows = (np.floor(place) for place in ~grid.transform @ (x, y))
    inside = (columns >= 0) & (columns < grid.width) & (rows >= 0) & (rows < grid.height)
    rows, columns = rows[inside].astype(np.intp), columns[inside].astype(np.intp)
    truth = points.codes[inside]
    counts, mapped = np.zeros((256, 256), np.int64), np.zeros(256, np.int64)
    for start, (codes,) in read_strips((raster,), grid.height, grid.width):
        stop = start + len(codes)
        here = (rows >= start) & (rows < stop)
        np.add.at(counts, (truth[here], codes[rows[here] - start, columns[here]]), 1)
        mapped += pixels_by_code(codes)
        on_progress(stop * grid.width, grid.height * grid.width)
    outside = np.count_nonzero(~inside)
    plural = "point lies" if outside == 1 else "points lie"
    notes = (f"{outside:,} {plural} outside the map and were left out",) if outside else ()
    return Sample(counts, mapped, notes)


def estimates(found: Sample, matching: Matching, grid: Grid) -> dict[str, Any] | None:
    """Accuracies and areas of the whole map, the map's classes being the strata.

    They hold for points drawn at random within each mapped class. Pixels without a prediction are
    no part of it. Areas are m² where the CRS is projected, else pixels (``area_unit``).

    Returns:
        What `rsseg.metrics.stratified_accuracy` says; None if nothing is mapped.
    """
    points = matching.confusion(found.counts)[:, :-1].T
    pixels = np.zeros(256, np.int64)
    np.add.at(pixels, matching.predicted, found.mapped)  # the last takes what is of no class
    areas = pixels[: len(matching.names)]
    if not areas.any():
        return None
    unit = _pixel_area(grid)
    result = stratified_accuracy(points, areas * (unit or 1.0), matching.names)
    return {**result, "area_unit": "pixels" if unit is None else "m²"}


def _pixel_area(grid: Grid) -> float | None:
    """Square metres of a pixel; None where that is not one number."""
    if not grid.georeferenced or grid.crs is None or not grid.crs.is_projected:
        return None
    return float(abs(grid.transform.determinant) * grid.crs.linear_units_factor[1] ** 2)
