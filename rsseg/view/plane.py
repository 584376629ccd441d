"""The plane in which tiles lie: Web Mercator, or the map's own pixels.

A plane has two coordinates, ``u`` to the right and ``v`` upwards: metres of Web Mercator, or the
column and the negative row of a pixel. Tile ``(0, 0)`` of zoom 0 begins at its upper left corner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio._err import CPLE_BaseError  # what PROJ raises by way of rasterio
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform

from rsseg.errors import GridMismatch
from rsseg.geo.grid import Grid

TILE = 256
"""Pixels along the side of a tile."""

MERCATOR = CRS.from_epsg(3857)
DEGREES = CRS.from_epsg(4326)
DEEPER = 2
"""Zooms beyond the map's own resolution, so that borders of pixels are drawn where they are."""

Bounds = tuple[float, float, float, float]
"""Left, bottom, right, top."""
Coordinates = npt.NDArray[np.float64]

_HALF_WORLD = math.pi * 6_378_137
_DEEPEST = 28
_STEPS = 33


@dataclass(frozen=True)
class Plane:
    """Where the tiles of a map lie.

    Args:
        grid: The map's grid.
        mercator: Whether it is Web Mercator; else the map's pixels.
        zoom: The least zoom at which a pixel of a tile is no larger than one of the map.
        extent: Where the map lies. Across the 180th meridian it goes on beyond the world's edge.
    """

    grid: Grid
    mercator: bool
    zoom: int
    extent: Bounds

    @classmethod
    def of(cls, grid: Grid) -> Plane:
        """Web Mercator where the map has a place in it, else its pixels."""
        extent = _mercator_extent(grid) if grid.georeferenced else None
        if extent is not None:
            zoom = math.ceil(math.log2(2 * _HALF_WORLD / TILE / pixel_size(grid)) - 1e-6)
            return cls(grid, True, min(max(zoom, 0), _DEEPEST - DEEPER), extent)
        zoom = math.ceil(math.log2(max(grid.height, grid.width, TILE) / TILE))
        return cls(grid, False, zoom, (0.0, -float(grid.height), float(grid.width), 0.0))

    @property
    def deepest(self) -> int:
        """The last zoom that has tiles."""
        return self.zoom + DEEPER

    def tile(self, zoom: int, column: int, row: int) -> Bounds | None:
        """Where a tile lies; None if there is no such tile, or the map is elsewhere."""
        if not (0 <= zoom <= self.deepest and 0 <= column < 2**zoom and 0 <= row < 2**zoom):
            return None
        side = self._world / 2**zoom
        left, top = self._corner
        left, top = left + column * side, top - row * side
        bounds = left, top - side, left + side, top
        return bounds if self._meets(bounds) else None

    def holds(self, u: float, v: float) -> bool:
        """Whether a point is one of the plane at all: PROJ counts turns of the world one by one."""
        if not self.mercator:
            return math.isfinite(u) and math.isfinite(v)
        return abs(u) <= 2 * self._world and abs(v) <= self._world

    def from_ground(
        self, crs: CRS | None, x: Sequence[float] | Coordinates, y: Sequence[float] | Coordinates
    ) -> tuple[Coordinates, Coordinates]:
        """Coordinates of the plane, from those of a CRS.

        Raises:
            GridMismatch: If there is no way from one to the other.
        """
        home = MERCATOR if self.mercator else self.grid.crs
        x, y = _transformed(crs, home, x, y)
        if self.mercator:
            return x, y
        column, row = along(~self.grid.transform, x, y)
        return column, -row

    def to_ground(
        self, crs: CRS | None, u: Sequence[float] | Coordinates, v: Sequence[float] | Coordinates
    ) -> tuple[Coordinates, Coordinates]:
        """Coordinates of a CRS, from those of the plane.

        Raises:
            GridMismatch: If there is no way from one to the other.
        """
        u, v = np.asarray(u, np.float64), np.asarray(v, np.float64)
        if self.mercator:
            return _transformed(MERCATOR, crs, u, v)
        return _transformed(self.grid.crs, crs, *along(self.grid.transform, u, -v))

    @property
    def _world(self) -> float:
        """The side of the only tile of zoom 0."""
        return 2 * _HALF_WORLD if self.mercator else float(TILE * 2**self.zoom)

    @property
    def _corner(self) -> tuple[float, float]:
        return (-_HALF_WORLD, _HALF_WORLD) if self.mercator else (0.0, 0.0)

    def _meets(self, bounds: Bounds) -> bool:
        left, bottom, right, top = self.extent
        if bounds[3] <= bottom or top <= bounds[1]:
            return False
        turns = (-1, 0, 1) if self.mercator else (0,)
        shifts = (turn * self._world for turn in turns)
        return any(bounds[0] + s < right and left < bounds[2] + s for s in shifts)


def along(matrix: Affine, x: Coordinates, y: Coordinates) -> tuple[Coordinates, Coordinates]:
    """Where an affine leads many points."""
    return matrix.a * x + matrix.b * y + matrix.c, matrix.d * x + matrix.e * y + matrix.f


def border(bounds: Bounds) -> tuple[Coordinates, Coordinates]:
    """Points along the border of a rectangle, as straight lines bend from CRS to CRS."""
    left, bottom, right, top = bounds
    across, along = np.linspace(left, right, _STEPS), np.linspace(bottom, top, _STEPS)
    ends = np.ones(_STEPS)
    x = np.concatenate([across, across, ends * left, ends * right])
    y = np.concatenate([ends * bottom, ends * top, along, along])
    return x, y


def pixel_size(grid: Grid) -> float:
    """The shorter side of the pixel in the middle, in metres of Web Mercator."""
    column, row = grid.width / 2, grid.height / 2
    columns, rows = np.array([column, column + 1, column]), np.array([row, row, row + 1])
    u, v = _transformed(grid.crs, MERCATOR, *along(grid.transform, columns, rows))
    return float(np.hypot(u[1:] - u[0], v[1:] - v[0]).min())


def _mercator_extent(grid: Grid) -> Bounds | None:
    """Where a grid lies in Web Mercator; None if not all of it has a place there."""
    columns, rows = border((0, 0, grid.width, grid.height))
    try:
        u, v = _transformed(grid.crs, MERCATOR, *along(grid.transform, columns, rows))
    except GridMismatch:
        return None
    if not (np.isfinite(u).all() and np.isfinite(v).all() and np.abs(v).max() <= _HALF_WORLD):
        return None
    u = u[0] + (u - u[0] + _HALF_WORLD) % (2 * _HALF_WORLD) - _HALF_WORLD
    extent = float(u.min()), float(v.min()), float(u.max()), float(v.max())
    return extent if extent[0] < extent[2] and extent[1] < extent[3] else None


def _transformed(
    source: CRS | None,
    target: CRS | None,
    x: Sequence[float] | Coordinates,
    y: Sequence[float] | Coordinates,
) -> tuple[Coordinates, Coordinates]:
    """By GDAL, as the tiles are: another library may take another way between two datums."""
    if source == target:
        return np.asarray(x, np.float64), np.asarray(y, np.float64)
    if source is None or target is None:
        raise GridMismatch("one has a place on the ground and the other has none")
    try:
        xs, ys = transform(source, target, x, y)
    except (RasterioError, CPLE_BaseError) as error:
        raise GridMismatch(f"{source} cannot be brought to {target}") from error
    return np.asarray(xs, np.float64), np.asarray(ys, np.float64)
