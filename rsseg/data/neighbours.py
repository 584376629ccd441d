"""Which rows of a catalogue lie on or beside the same ground, as adjoining tiles do."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from rasterio.windows import Window

from rsseg.data.catalogue import LabelledScene
from rsseg.geo.grid import Grid

_SLACK = 0.01  # of a pixel: grids that adjoin do so but for rounding


def neighbour_groups(
    rows: Sequence[LabelledScene], grids: Sequence[Grid], sources: Sequence[int], gap: int
) -> list[int]:
    """Number of the group of each row; rows nearer than the gap, of different sources, share one.

    Rows with a place are compared on the ground, whatever their CRS; those without only with parts
    of the same image.

    Args:
        rows: Rows, or parts of rows.
        grids: What `LabelledScene.footprint` gives for each.
        sources: By row a number; rows of the same number are never compared.
        gap: Distance in pixels of the rows from which on they do not belong together.

    Returns:
        By row the number of the first row of its group.
    """
    frames = [
        "" if grid.georeferenced else os.path.realpath(row.image)
        for row, grid in zip(rows, grids, strict=True)
    ]
    groups = list(range(len(rows)))
    for frame in set(frames):
        here = [number for number, each in enumerate(frames) if each == frame]
        plain = [_outline(rows[n], grids[n], 0) for n in here]
        grown = [_outline(rows[n], grids[n], gap - _SLACK) for n in here]
        for pair in shapely.STRtree(plain).query(grown, predicate="intersects").T.tolist():
            one, other = (here[place] for place in pair)
            if sources[one] != sources[other]:
                first, second = sorted((_first(groups, one), _first(groups, other)))
                groups[second] = first
    return [_first(groups, number) for number in range(len(rows))]


def _first(groups: list[int], number: int) -> int:
    """The first row of a row's group, as far as groups were joined."""
    while groups[number] != number:
        groups[number] = groups[groups[number]]
        number = groups[number]
    return number


def _outline(row: LabelledScene, grid: Grid, margin: float) -> shapely.Polygon:
    """The outline of a row, so many pixels larger: in longitude and latitude, or in pixels."""
    box = shapely.box(-margin, -margin, grid.width + margin, grid.height + margin)
    if not grid.georeferenced or grid.crs is None:
        window = row.window or Window(0, 0, grid.width, grid.height)
        return shapely.transform(box, lambda xy: xy + (window.col_off, window.row_off))
    box = shapely.segmentize(box, max(grid.width, grid.height) / 8)
    way = pyproj.Transformer.from_crs(grid.crs.to_wkt(), "EPSG:4326", always_xy=True)
    here = grid.transform

    def placed(xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        columns, rows = xy.T
        x = here.a * columns + here.b * rows + here.c
        y = here.d * columns + here.e * rows + here.f
        return np.column_stack(way.transform(x, y))

    return shapely.transform(box, placed)
