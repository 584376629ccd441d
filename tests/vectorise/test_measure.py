"""Areas and perimeters, against pyproj and plane geometry."""

import math

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod
from rasterio.crs import CRS

from rsseg.errors import SceneError
from rsseg.geo.grid import Grid
from rsseg.vectorise import polygonise
from rsseg.vectorise.measure import Measure
from rsseg.vectorise.rows import on_ground

WGS84 = Geod(ellps="WGS84")
EARTH = 5.10065621724e14
UTM = Affine(10, 0, 400_000, 0, -10, 5_000_000)
LON_LAT = Affine(0.001, 0, 13, 0, -0.001, 48)
FOOT = 1200 / 3937
RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)


def outlines_of(array, **options):
    """In pixel coordinates, outer rings counter-clockwise as seen on the raster."""
    outlines, codes = polygonise(array, Affine.identity(), **options)
    return shapely.reverse(outlines), codes


def measured(array, transform, crs):
    outlines, codes = outlines_of(array)
    grid = Grid(*array.shape, transform, CRS.from_string(crs))
    polygons = on_ground(outlines, transform)
    areas, perimeters = Measure(grid, "map.tif")(outlines, polygons)
    order = np.argsort(codes, kind="stable")
    return areas[order], perimeters[order], polygons[order]


def test_metres():
    areas, perimeters, _ = measured(RING, UTM, "EPSG:32633")
    assert areas.tolist() == [100, 800]
    assert perimeters.tolist() == [40, 160]


def test_us_survey_feet():
    areas, perimeters, _ = measured(RING, UTM, "EPSG:2263")
    assert areas == pytest.approx([100 * FOOT**2, 800 * FOOT**2], rel=1e-9)
    assert perimeters == pytest.approx([40 * FOOT, 160 * FOOT], rel=1e-9)


def test_kilometres():
    crs = "+proj=utm +zone=33 +datum=WGS84 +units=km +type=crs"
    areas, perimeters, _ = measured(RING, Affine(0.01, 0, 400, 0, -0.01, 5000), crs)
    assert areas == pytest.approx([100, 800], rel=1e-9)
    assert perimeters == pytest.approx([40, 160], rel=1e-9)


@pytest.mark.parametrize("change", [Affine.rotation(30), Affine.scale(1, -1), Affine.shear(20)])
def test_rotated_south_up_and_sheared(change):
    transform = UTM @ change
    areas, perimeters, _ = measured(RING, transform, "EPSG:32633")
    across, down = math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e)
    assert areas == pytest.approx(np.array([1, 8]) * abs(transform.determinant), rel=1e-12)
    assert perimeters == pytest.approx(np.array([2, 8]) * (across + down), rel=1e-9)


@pytest.mark.parametrize("change", [Affine.identity(), Affine.rotation(30), Affine.scale(1, -1)])
def test_degrees_are_measured_on_the_ellipsoid(change):
    areas, perimeters, polygons = measured(RING, LON_LAT @ change, "EPSG:4326")
    expected = [WGS84.geometry_area_perimeter(p)[0] for p in polygons]
    assert areas == pytest.approx(expected, rel=1e-9)
    lengths = [WGS84.geometry_length(p.boundary) for p in polygons]  # with those of holes
    assert perimeters == pytest.approx(lengths, rel=1e-9)
    if change.is_rectilinear:
        plane = (0.001 * 111_320) ** 2 * math.cos(math.radians(48))
        assert areas == pytest.approx([plane, 8 * plane], rel=0.01)


def test_the_ellipsoid_is_the_one_of_the_crs():
    areas, _, polygons = measured(RING, LON_LAT, "EPSG:4267")
    clarke = Geod(ellps="clrk66")
    expected = [clarke.geometry_area_perimeter(p)[0] for p in polygons]
    assert areas == pytest.approx(expected, rel=1e-9)
    assert areas != pytest.approx(measured(RING, LON_LAT, "EPSG:4326")[0], rel=1e-6)


def test_grads():
    """NTF (Paris) counts 400 grads to the circle."""
    grads = LON_LAT @ Affine.scale(10 / 9)
    grads = Affine(grads.a, 0, 3, 0, grads.e, 48 * 10 / 9)
    areas, _, _ = measured(RING, grads, "EPSG:4807")
    plane = (0.001 * 111_320) ** 2 * math.cos(math.radians(48))
    assert areas == pytest.approx([plane, 8 * plane], rel=0.01)


def test_parts_of_the_world_add_up():
    """Wide edges follow their parallel, and what exceeds half the earth is not its complement."""
    world = np.zeros((17, 36), np.uint8)
    world[6:9, 5:30] = 1
    areas, _, polygons = measured(world, Affine(10, 0, -180, 0, -10, 85), "EPSG:4326")
    assert len(polygons) == 2
    caps = 2 * np.pi * 6378137**2 * (1 - math.sin(math.radians(85)))
    assert areas.min() > EARTH / 9
    assert areas.sum() == pytest.approx(EARTH - 2 * caps, rel=1e-4)


def test_half_a_pixel_beyond_the_pole_is_the_pole():
    row = np.zeros((1, 4), np.uint8)
    beyond, _, _ = measured(row, Affine(1, 0, 0, 0, -1, 90.5), "EPSG:4326")
    half, _, _ = measured(row, Affine(1, 0, 0, 0, -0.5, 90), "EPSG:4326")
    assert beyond == pytest.approx(half, rel=1e-6)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [(None, UTM), ("EPSG:32633", Affine.identity()), (None, Affine.identity())],
)
def test_without_a_place_there_is_no_area(crs, transform):
    grid = Grid(2, 2, transform, crs and CRS.from_string(crs))
    with pytest.raises(SceneError, match=r"^map\.tif has no place on the ground.*georeference it"):
        Measure(grid, "map.tif")


@pytest.mark.parametrize("transform", [Affine(0, 0, 5, 0, 0, 5), Affine(1, 1, 0, 1, 1, 0)])
def test_pixels_without_area_are_refused(transform):
    with pytest.raises(SceneError, match="no area"):
        Measure(Grid(2, 2, transform, CRS.from_epsg(32633)), "map.tif")


def test_multipolygons_are_measured_whole():
    array = np.array([[1, 255], [255, 1]], np.uint8)
    outlines, _ = outlines_of(array, connectivity=8)
    grid = Grid(2, 2, LON_LAT, CRS.from_epsg(4326))
    polygons = on_ground(outlines, LON_LAT)
    areas, perimeters = Measure(grid, "map.tif")(outlines, polygons)
    parts = [WGS84.geometry_area_perimeter(p) for p in shapely.get_parts(polygons)]
    assert areas == pytest.approx([sum(area for area, _ in parts)], rel=1e-9)
    assert perimeters == pytest.approx([sum(length for _, length in parts)], rel=1e-9)


def test_simplified_polygons_are_measured_as_they_are():
    """Edges across meridians and parallels, long and short, against a dense geodesic polygon."""
    outlines = np.array([shapely.Polygon([(0, 0), (0, 900), (700, 1200), (900, 100)])])
    outlines = shapely.orient_polygons(outlines, exterior_cw=True)
    polygons = on_ground(outlines, LON_LAT)
    areas, perimeters = Measure(Grid(1200, 900, LON_LAT, CRS.from_epsg(4326)), "a")(
        outlines, polygons
    )
    dense = shapely.segmentize(polygons[0], 1e-3)
    assert areas == pytest.approx([WGS84.geometry_area_perimeter(dense)[0]], rel=1e-8)
    assert perimeters == pytest.approx([WGS84.geometry_length(dense.exterior)], rel=1e-8)


def test_areas_of_parts_are_that_of_the_whole():
    generator = np.random.default_rng(0)
    parts, _, _ = measured(generator.integers(0, 3, (40, 60)), LON_LAT, "EPSG:4326")
    whole, _, _ = measured(np.zeros((40, 60), np.uint8), LON_LAT, "EPSG:4326")
    assert parts.sum() == pytest.approx(whole[0], rel=1e-12)


def test_a_sphere_has_no_flattening():
    sphere = "+proj=longlat +R=6371000 +no_defs +type=crs"
    areas, _, _ = measured(np.zeros((90, 180), np.uint8), Affine(2, 0, -180, 0, -2, 90), sphere)
    assert areas == pytest.approx([4 * np.pi * 6371000**2], rel=1e-12)


@pytest.mark.parametrize(("crs", "area"), [("EPSG:32633", 100), ("EPSG:2263", 100 * FOOT**2)])
def test_area_of_a_pixel(crs, area):
    grid = Grid(3, 3, UTM, CRS.from_string(crs))
    assert Measure(grid, "map.tif").pixel_area == pytest.approx(area)


def test_area_of_a_pixel_in_degrees_is_that_of_the_middle():
    grid = Grid(3, 5, Affine(1, 0, 10, 0, -1, 61), CRS.from_epsg(4326))
    areas, _, _ = measured(np.arange(15).reshape(3, 5), grid.transform, "EPSG:4326")
    assert Measure(grid, "map.tif").pixel_area == pytest.approx(areas[7], rel=1e-12)
