"""The part of a scene that is of interest: all of it, a box, or what polygons cover."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.windows import Window

from rsseg.errors import OptionError
from rsseg.geo.features import PolygonRaster, read_features
from rsseg.geo.grid import Grid

Box = tuple[float, float, float, float]
"""West, south, east, north."""


@dataclass(frozen=True)
class Area:
    """A block of pixels of a grid, and which of them are of interest.

    Args:
        whole: The grid.
        window: The block, whole pixels of the grid.
        polygons: 255 outside of the area, on the grid; None if all of the block is of interest.
        identity: Hash of the polygons, None without.
        notes: What the user should know, one sentence each.
    """

    whole: Grid
    window: Window
    polygons: PolygonRaster | None = None
    identity: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """The grid of the block."""
        return self.whole.crop(self.window)


def whole_area(grid: Grid) -> Area:
    """All of a grid."""
    return Area(grid, Window(0, 0, grid.width, grid.height))


def area_of_box(grid: Grid, box: Box) -> Area:
    """The pixels whose centres lie in a box; on a turned grid, the least block that has them all.

    Args:
        grid: Of the scene.
        box: In the CRS of the grid.

    Raises:
        OptionError: If there is no such pixel.
    """
    west, south, east, north = box
    corners = np.array([(west, south), (east, south), (east, north), (west, north)])
    window = _window(grid, corners)
    if window is None:
        text = ", ".join(f"{value:.10g}" for value in box)
        raise OptionError(
            f"the box {text} has no pixel of the scene",
            expected=f"a part of {_bounds(grid)} (west, south, east, north in the scene's CRS)",
        )
    return Area(grid, window)


def area_of_polygons(grid: Grid, path: str | Path) -> Area:
    """The pixels whose centres lie in polygons, and the block that holds them.

    Args:
        grid: Of the scene.
        path: Vector file with polygons in any CRS.

    Raises:
        SceneError: If the file cannot be read.
        OptionError: If it has no polygon, or none on the scene.
        GridMismatch: If it has a CRS and the grid has none.
    """
    features = read_features(path, grid, ())
    polygons = features.geometries[shapely.get_dimensions(features.geometries) == 2]
    if not len(polygons):
        raise OptionError(f"{path} has no polygon", expected="an area", got="points or lines")
    window = _window(grid, shapely.get_coordinates(polygons))
    if window is None:
        box = ", ".join(f"{value:.10g}" for value in shapely.total_bounds(polygons))
        raise OptionError(
            f"the polygons of {path} have no pixel of the scene",
            expected=f"a part of {_bounds(grid)} (west, south, east, north in the scene's CRS)",
            got=box,
        )
    digest = hashlib.sha256()
    for wkb in shapely.to_wkb(polygons):
        digest.update(wkb)
    raster = PolygonRaster(polygons, np.zeros(len(polygons), np.uint8), grid)
    raster.read(Window(window.col_off, window.row_off, 1, 1))  # builds its tree before threads read
    return Area(grid, window, raster, digest.hexdigest(), features.notes)


def _window(grid: Grid, points: npt.NDArray[np.float64]) -> Window | None:
    """The pixels whose centres lie within the bounds of points ``(n, 2)``, None if there are none.

    Bounds are taken along rows and columns.
    """
    inverse = ~grid.transform
    columns = inverse.a * points[:, 0] + inverse.b * points[:, 1] + inverse.c
    rows = inverse.d * points[:, 0] + inverse.e * points[:, 1] + inverse.f
    (top, bottom), (left, right) = (
        (max(0, math.ceil(axis.min() - 0.5)), min(length, math.floor(axis.max() - 0.5) + 1))
        for axis, length in ((rows, grid.height), (columns, grid.width))
    )
    if top >= bottom or left >= right:
        return None
    return Window(left, top, right - left, bottom - top)


def _bounds(grid: Grid) -> str:
    ends = [(0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height)]
    places = [grid.transform @ end for end in ends]
    xs, ys = [x for x, _ in places], [y for _, y in places]
    return ", ".join(f"{value:.10g}" for value in (min(xs), min(ys), max(xs), max(ys)))
