"""Outlines in degrees: where the corners are, across the 180th meridian and around the poles."""

from __future__ import annotations

import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from rsseg.geo.grid import Grid
from rsseg.geo.lon_lat import as_geojson, lon_lat_box, lon_lat_outline, outline_of


def grid(crs: str, west: float, north: float, pixel: float, side: int = 100) -> Grid:
    transform = Affine(pixel, 0, west, 0, -pixel, north)
    return Grid(side, side, transform, rasterio.CRS.from_string(crs))


def test_the_outline_of_a_utm_grid() -> None:
    outline = lon_lat_outline(grid("EPSG:32633", 500_000, 5_000_000, 10))
    assert outline is not None
    west, south, east, north = lon_lat_box(outline)
    assert (west, north) == pytest.approx((15, 45.1534), abs=1e-3), "the central meridian"
    assert (east - west, north - south) == pytest.approx((0.01272, 0.009), abs=1e-4)
    assert outline.exterior.is_ccw
    assert outline_of(as_geojson(outline)).equals(outline)
    assert outline_of(None) is None


@given(st.floats(-179, 170), st.floats(-80, 80), st.floats(1e-4, 0.08))
def test_a_grid_in_degrees_is_its_own_outline(west: float, north: float, pixel: float) -> None:
    outline = lon_lat_outline(grid("EPSG:4326", west, north, pixel))
    assert outline is not None
    expected = (west, north - 100 * pixel, west + 100 * pixel, north)
    assert lon_lat_box(outline) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("crs", ["EPSG:32601", "EPSG:32660", "EPSG:3832"])
def test_what_crosses_the_meridian_is_cut_there(crs: str) -> None:
    to = rasterio.warp.transform("EPSG:4326", crs, [179.95], [-16])
    outline = lon_lat_outline(grid(crs, to[0][0], to[1][0], 100))
    assert isinstance(outline, shapely.MultiPolygon)
    west, south, east, north = lon_lat_box(outline)
    assert west == pytest.approx(179.95, abs=5e-3)
    assert east == pytest.approx(-179.957, abs=5e-3)
    assert south < north
    assert outline.area == pytest.approx(0.0934 * 0.0904, rel=0.1)
    assert all(part.exterior.is_ccw for part in outline.geoms)


def test_the_whole_earth_is_not_cut() -> None:
    whole = Grid(180, 360, Affine(1, 0, -180, 0, -1, 90), rasterio.CRS.from_epsg(4326))
    outline = lon_lat_outline(whole)
    assert outline is not None
    assert outline.geom_type == "Polygon"
    assert lon_lat_box(outline) == [-180, -90, 180, 90]


@pytest.mark.parametrize(("crs", "sign"), [("EPSG:3413", 1), ("EPSG:3031", -1)])
def test_around_a_pole_it_is_the_cap(crs: str, sign: int) -> None:
    outline = lon_lat_outline(grid(crs, -500_000, 500_000, 10_000))
    assert outline is not None
    west, south, east, north = lon_lat_box(outline)
    assert (west, east) == (-180, 180)
    assert sorted(map(abs, (south, north)))[1] == 90
    assert 83 < sign * (south + north) - 90 < 86


def test_no_place_no_outline() -> None:
    assert lon_lat_outline(Grid(5, 5, Affine.identity(), None)) is None
