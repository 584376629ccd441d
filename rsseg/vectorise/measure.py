"""Areas in square metres and perimeters in metres."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import rasterio.crs
import shapely
from pyproj import CRS, Geod
from rasterio.errors import CRSError

from rsseg.errors import SceneError
from rsseg.geo.grid import Grid
from rsseg.vectorise.polygons import Polygons

Numbers = npt.NDArray[np.float64]

_LONGEST_EDGE = 0.1
"""Degrees; a longer edge follows its parallel, as pixels do, rather than the shortest way."""


class Measure:
    """Measures polygons of a grid: plane where the CRS is projected, else on its ellipsoid.

    Args:
        grid: The grid whose pixels the polygons outline.
        raster: Name of the raster, for the message.

    Raises:
        SceneError: If the grid has no place on the ground, or its CRS no unit of length.
    """

    def __init__(self, grid: Grid, raster: str) -> None:
        crs = grid.crs
        if crs is None or not grid.georeferenced:
            raise SceneError(
                f"{raster} has no place on the ground",
                expected="a coordinate reference system and a transform",
                remedy="georeference it, e.g. gdal_edit -a_srs EPSG:32633 -a_ullr W N E S",
            )
        transform = grid.transform
        if not math.isfinite(transform.determinant) or transform.is_degenerate:
            raise SceneError(f"the pixels of {raster} have no area on the ground")
        self.crs: rasterio.crs.CRS = crs
        self._geod = CRS.from_wkt(crs.to_wkt()).get_geod() if crs.is_geographic else None
        if self._geod is not None:
            self._degrees = math.degrees(crs.units_factor[1])
            self._earth = 2 * self._geod.polygon_area_perimeter([0, 120, 240], [0, 0, 0])[0]
            return
        try:
            self._metres = float(crs.linear_units_factor[1])
        except CRSError as error:
            raise SceneError(
                f"the coordinate reference system of {raster} has no unit of length",
                remedy="warp it into another, e.g. rio warp --dst-crs EPSG:32633",
            ) from error
        self._pixel_area = abs(transform.determinant) * self._metres**2

    def __call__(self, outlines: Polygons, polygons: Polygons) -> tuple[Numbers, Numbers]:
        """Areas in m² and perimeters in m, holes taken off the one and added to the other.

        Args:
            outlines: Geometries in pixel coordinates, ``(N,)``: there, areas are whole numbers.
            polygons: The same on the ground.
        """
        if self._geod is not None:
            return self._on_ellipsoid(self._geod, polygons)
        areas = shapely.area(outlines) * self._pixel_area
        return areas, shapely.length(polygons) * self._metres

    def _on_ellipsoid(self, geod: Geod, polygons: Polygons) -> tuple[Numbers, Numbers]:
        degrees = shapely.transform(polygons, self._to_degrees)
        short = shapely.segmentize(degrees, _LONGEST_EDGE)
        measured = [geod.geometry_area_perimeter(polygon) for polygon in short]
        areas, perimeters = np.array(measured, dtype=np.float64).reshape(-1, 2).T
        # What is larger than half the earth comes back as minus the rest.
        return np.where(areas < 0, areas + self._earth, areas), perimeters

    def _to_degrees(self, points: Numbers) -> Numbers:
        """Longitude and latitude; grids around the poles may reach beyond them by half a pixel."""
        degrees = points * self._degrees
        degrees[:, 1] = degrees[:, 1].clip(-90, 90)
        return degrees
