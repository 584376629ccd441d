"""A map on the ground: areas of its pixels, places of its windows, its scale, and north."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import rasterio.warp
import shapely
from rasterio._err import CPLE_BaseError  # what transforming raises; it has no public name
from rasterio.errors import CRSError, RasterioError
from rasterio.windows import Window

from rsseg.geo.code_raster import Codes
from rsseg.geo.grid import Grid
from rsseg.report.wording import degrees, digits, length, round_length

_SIDE = 64
"""Pixels on a turned geographic grid whose areas are taken for one."""
_DEGREE = 111_320.0
"""Metres of a degree of the equator."""


@dataclass(frozen=True)
class ScaleBar:
    """A bar of a round length: its text, and its part of the picture's width."""

    text: str
    part: float


@dataclass(frozen=True)
class Spot:
    """Where a window lies, each a text.

    Args:
        pixels: Its first row and column.
        ground: Its middle in the CRS, if that is not in longitude and latitude.
        degrees: Its middle in longitude and latitude.
    """

    pixels: str
    ground: str | None
    degrees: str | None


class GroundAreas:
    """Areas by code, added strip by strip; on the ellipsoid where the CRS is geographic.

    Args:
        grid: Of the map; it must be `measurable`.
        name: Of the map, for messages.
    """

    def __init__(self, grid: Grid, name: str) -> None:
        from rsseg.vectorise.measure import Measure  # it loads numba

        self._grid, self._measure = grid, Measure(grid, name)
        self.by_code = np.zeros(256)
        """Square metres by code, ``(256,)``."""

    def add(self, start: int, codes: Codes, counts: npt.NDArray[np.int64]) -> None:
        """Add rows of the map.

        Args:
            start: First row.
            codes: Codes ``(h, W)``.
            counts: Pixels of these rows by code, ``(256,)``.
        """
        if not self._measure.geographic:
            self.by_code += counts * self._measure.pixel_area
            return
        height, width = codes.shape
        turned = self._grid.transform.b or self._grid.transform.d
        # pixels of a row are alike where rows are parallels
        rows, columns = (_SIDE, _SIDE) if turned else (1, width)
        corners = [(y, x) for y in range(0, height, rows) for x in range(0, width, columns)]
        blocks = [codes[y : y + rows, x : x + columns] for y, x in corners]
        middles = [
            (start + y + block.shape[0] // 2, x + block.shape[1] // 2)
            for (y, x), block in zip(corners, blocks, strict=True)
        ]
        for block, area in zip(blocks, self._pixel_areas(middles), strict=True):
            self.by_code += np.bincount(block.ravel(), minlength=256) * area

    def _pixel_areas(self, pixels: list[tuple[int, int]]) -> npt.NDArray[np.float64]:
        from rsseg.vectorise.rows import on_ground

        rows, columns = np.array(pixels).T
        outlines = shapely.box(columns, rows, columns + 1, rows + 1, ccw=False)
        return self._measure(outlines, on_ground(outlines, self._grid.transform))[0]


def measurable(grid: Grid) -> bool:
    """Whether pixels of a grid have an area on the ground."""
    if grid.crs is None or not grid.georeferenced or grid.transform.is_degenerate:
        return False
    try:
        return bool(grid.crs.is_geographic or grid.crs.linear_units_factor[1] > 0)
    except CRSError:
        return False


def spot(grid: Grid, window: Window) -> Spot:
    """Where the middle of a window lies."""
    row, column = int(window.row_off), int(window.col_off)
    pixels = f"row {row:,}, column {column:,}"
    if grid.crs is None or not grid.georeferenced:
        return Spot(pixels, None, None)
    x, y = grid.transform @ (column + window.width / 2, row + window.height / 2)
    found = _to_degrees(grid, x, y)
    if found is not None and grid.crs.is_geographic:
        return Spot(pixels, None, degrees(*found))
    ground = f"x {x:,.1f}, y {y:,.1f}"
    return Spot(pixels, ground, None if found is None else degrees(*found))


def scale_bar(grid: Grid) -> ScaleBar | None:
    """A bar of about a quarter of the map's width, by the pixels of its middle row."""
    across = _across(grid)
    if across is None:
        return None
    metres = round_length(0.3 * grid.width * across)
    return ScaleBar(length(metres), metres / (grid.width * across))


def north(grid: Grid) -> float | None:
    """Degrees by which north, the CRS's y, is turned clockwise from straight up; None without."""
    if not grid.georeferenced or grid.transform.is_degenerate:
        return None
    inverse = ~grid.transform
    right, down = inverse.b, inverse.e
    return math.degrees(math.atan2(right, -down))


def crs_name(grid: Grid) -> str:
    """What the CRS is called, with its code where it has one."""
    if grid.crs is None:
        return "none"
    found = re.match(r'\w+\["([^"]+)"', grid.crs.to_wkt())
    code, name = grid.crs.to_authority(), found.group(1) if found else grid.crs.to_string()
    return f"{name} ({':'.join(code)})" if code else name


def pixel_size(grid: Grid) -> str | None:
    """The sides of a pixel on the ground, in the CRS's unit; degrees also as metres."""
    if grid.crs is None or not grid.georeferenced:
        return None
    a, b, d, e = grid.transform.a, grid.transform.b, grid.transform.d, grid.transform.e
    across, down = math.hypot(a, d), math.hypot(b, e)
    metres = _across(grid)
    if grid.crs.is_geographic and metres is not None:
        return f"{across:.3g}° (about {digits(metres)} m across)"
    unit = f" {_unit(grid)}"
    if abs(across - down) <= 1e-6 * across:
        return f"{across:.6g}{unit}"
    return f"{across:.6g}{unit} × {down:.6g}{unit}"


def _unit(grid: Grid) -> str:
    assert grid.crs is not None
    try:
        name = str(grid.crs.linear_units)
    except CRSError:
        return "units"
    return "m" if name in ("metre", "meter") else name


def _across(grid: Grid) -> float | None:
    """Metres of a pixel along a row, in the middle of the grid."""
    if not measurable(grid):
        return None
    assert grid.crs is not None
    a, d = grid.transform.a, grid.transform.d
    if not grid.crs.is_geographic:
        return math.hypot(a, d) * float(grid.crs.linear_units_factor[1])
    radians = float(grid.crs.units_factor[1])
    _, latitude = grid.transform @ (grid.width / 2, grid.height / 2)
    shrunk = max(math.cos(latitude * radians), 1e-6)
    return math.hypot(a * shrunk, d) * math.degrees(radians) * _DEGREE


def _to_degrees(grid: Grid, x: float, y: float) -> tuple[float, float] | None:
    try:
        longitudes, latitudes = rasterio.warp.transform(grid.crs, "EPSG:4326", [x], [y])
    except (RasterioError, CPLE_BaseError):
        return None
    longitude, latitude = longitudes[0], latitudes[0]
    known = math.isfinite(longitude) and math.isfinite(latitude)
    return (longitude, latitude) if known else None
