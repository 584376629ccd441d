"""Where a grid lies in degrees, as GeoJSON and STAC want it."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import numpy as np
import shapely
import shapely.affinity
import shapely.geometry

from rsseg.geo.grid import Grid

CRS84 = "OGC:CRS84"
"""Longitude and latitude on WGS 84, in this order."""

_DIGITS = 7
"""Decimals of a degree: a centimetre."""

Geometry: TypeAlias = "shapely.Polygon | shapely.MultiPolygon"


def lon_lat_outline(grid: Grid) -> Geometry | None:
    """The outline of a grid, counter-clockwise; None where it has no place on the ground.

    One that crosses the 180th meridian is cut there (RFC 7946, section 3.1.9). Of one around a pole
    it is the cap down to its lowest corner.
    """
    if not grid.georeferenced:
        return None
    points = shapely.get_coordinates(grid.outline(crs=CRS84))
    if not np.isfinite(points).all():
        return None
    around = np.unwrap(points[:, 0], period=360)
    if abs(around[-1] - around[0]) > 1:
        south, north = points[:, 1].min(), points[:, 1].max()
        cap = (south, 90.0) if north > 0 else (-90.0, north)
        return _tidy(shapely.box(-180, cap[0], 180, cap[1]))
    whole = shapely.Polygon(np.column_stack([around, points[:, 1]]))
    turns = [shapely.affinity.translate(whole, 360 * turn) for turn in (-1, 0, 1)]
    parts = [shapely.clip_by_rect(each, -180, -90, 180, 90) for each in turns]
    seen = [part for part in parts if part.area > 0]
    return _tidy(seen[0] if len(seen) == 1 else shapely.MultiPolygon(seen))


def lon_lat_box(outline: Geometry) -> list[float]:
    """West, south, east and north of an outline; west lies east of east across the meridian."""
    west, south, east, north = outline.bounds
    if isinstance(outline, shapely.MultiPolygon) and (west, east) == (-180, 180):
        boxes = [part.bounds for part in outline.geoms]
        west = max(box[0] for box in boxes)
        east = min(box[2] for box in boxes)
    return [west, south, east, north]


def as_geojson(geometry: Geometry) -> dict[str, Any]:
    """A geometry as GeoJSON."""
    told: dict[str, Any] = json.loads(shapely.to_geojson(geometry))
    return told


def outline_of(told: dict[str, Any] | None) -> Geometry | None:
    """The geometry of a GeoJSON; None of None."""
    return None if told is None else shapely.geometry.shape(told)


def _tidy(geometry: Geometry) -> Geometry:
    """Rounded, and outer rings counter-clockwise."""
    rounded = shapely.transform(geometry, lambda points: np.round(points, _DIGITS))
    turned: Geometry = shapely.orient_polygons(rounded)
    return turned
