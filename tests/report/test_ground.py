import numpy as np
import pytest
from affine import Affine
from pyproj import Geod
from rasterio.crs import CRS
from rasterio.windows import Window

from rsseg.geo.grid import Grid
from rsseg.report.ground import (
    GroundAreas,
    crs_name,
    measurable,
    north,
    pixel_size,
    scale_bar,
    spot,
)

UTM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)


def grid(transform, crs, height=64, width=64):
    return Grid(height, width, transform, None if crs is None else CRS.from_string(crs))


def areas(place, codes):
    found = GroundAreas(place, "map.tif")
    for start in (0, 48):  # two strips
        rows = codes[start : start + 48]
        found.add(start, rows, np.bincount(rows.ravel(), minlength=256))
    return found.by_code


CODES = (np.add.outer(np.arange(64), np.arange(64)) % 3).astype(np.uint8)


def test_projected_areas_are_pixels_times_their_area():
    expected = np.bincount(CODES.ravel(), minlength=256) * 0.25
    np.testing.assert_allclose(areas(grid(UTM, "EPSG:32633"), CODES), expected)
    feet = areas(grid(UTM, "EPSG:2263"), CODES)  # US survey feet
    np.testing.assert_allclose(feet, expected * (1200 / 3937) ** 2)


@pytest.mark.parametrize("turn", [0, 30])
def test_geographic_areas_are_those_of_the_ellipsoid(turn):
    transform = Affine.translation(10, 50) @ Affine.rotation(turn) @ Affine.scale(0.01, -0.01)
    place = grid(transform, "EPSG:4326")
    found = areas(place, CODES)
    corners = [(0, 0), (64, 0), (64, 64), (0, 64)]
    lon, lat = zip(*(transform @ corner for corner in corners), strict=True)
    # geodesics and parallels part by little at this size
    whole, _ = Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)
    assert found.sum() == pytest.approx(abs(whole), rel=2e-4)
    assert found[0] / found.sum() == pytest.approx((CODES == 0).mean(), rel=1e-2)


def test_pixels_nearer_to_the_pole_are_smaller():
    place = grid(Affine(0.1, 0, 10, 0, -0.1, 60), "EPSG:4326")
    codes = np.zeros((64, 64), np.uint8)
    codes[32:] = 1
    north_half, south_half = areas(place, codes)[:2]
    assert south_half > 1.05 * north_half


@pytest.mark.parametrize(
    ("transform", "crs", "expected"),
    [
        (UTM, "EPSG:32633", True),
        (UTM, None, False),
        (Affine.identity(), "EPSG:32633", False),
        (UTM, 'LOCAL_CS["site",UNIT["metre",1]]', False),  # GDAL tells no unit of it
        (Affine(0, 0, 4, 0, 0, 5), "EPSG:32633", False),
    ],
)
def test_what_can_be_measured(transform, crs, expected):
    place = grid(transform, crs)
    assert measurable(place) is expected
    if expected:
        assert areas(place, CODES).sum() > 0


@pytest.mark.parametrize("turn", [-90, -30, 0, 45, 120])
def test_north_turns_with_the_grid(turn):
    transform = Affine.translation(4e5, 5e6) @ Affine.rotation(turn) @ Affine.scale(1, -1)
    assert north(grid(transform, "EPSG:32633")) == pytest.approx(turn)
    assert north(grid(Affine.identity(), None)) is None


def test_south_up_has_north_below():
    assert abs(north(grid(Affine(1, 0, 0, 0, 1, 5), "EPSG:32633"))) == pytest.approx(180)


def test_the_scale_bar_is_a_round_length_of_the_map():
    bar = scale_bar(grid(UTM, "EPSG:32633", width=1000))
    assert (bar.text, bar.part) == ("100\xa0m", pytest.approx(0.2))
    lon = scale_bar(grid(Affine(0.001, 0, 10, 0, -0.001, 60), "EPSG:4326", width=1000))
    assert lon.text == "10\xa0km"
    across = Geod(ellps="WGS84").inv(10, 59.968, 11, 59.968)[2]
    assert lon.part == pytest.approx(10_000 / across, rel=5e-3)
    assert scale_bar(grid(UTM, None)) is None


def test_a_spot_has_all_the_coordinates_there_are():
    place = spot(grid(UTM, "EPSG:32633"), Window(10, 20, 4, 4))
    assert place.pixels == "row 20, column 10"
    assert place.ground == "x 400,006.0, y 4,999,989.0"
    assert place.degrees.endswith("E")
    assert spot(grid(UTM, None), Window(0, 0, 1, 1)).ground is None
    local = spot(grid(UTM, 'LOCAL_CS["site",UNIT["metre",1]]'), Window(0, 0, 1, 1))
    assert local.ground is not None
    assert local.degrees is None


def test_names_of_the_grid():
    assert crs_name(grid(UTM, "EPSG:32633")) == "WGS 84 / UTM zone 33N (EPSG:32633)"
    assert crs_name(grid(UTM, None)) == "none"
    assert pixel_size(grid(UTM, "EPSG:32633")) == "0.5 m"
    assert pixel_size(grid(Affine(2, 0, 0, 0, -3, 1), "EPSG:32633")) == "2 m × 3 m"
    degrees = grid(Affine(0.1, 0, 0, 0, -0.1, 3.2), "EPSG:4326")
    assert pixel_size(degrees) == "0.1° (about 11,132 m across)"
    assert pixel_size(grid(UTM, None)) is None
