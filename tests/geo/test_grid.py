import math

import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio import warp
from rasterio.crs import CRS
from rasterio.windows import Window

from rsseg.errors import GridMismatch
from rsseg.geo.grid import Grid

UTM = CRS.from_epsg(32633)
NORTH_UP = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
ROTATED = NORTH_UP @ Affine.rotation(30)
SOUTH_UP = Affine(0.5, 0, 400_000, 0, 0.5, 5_000_000)
whole = st.integers(0, 5000)


@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED, SOUTH_UP])
@given(whole, whole, st.integers(1, 50), st.integers(1, 50))
def test_a_crop_leaves_every_pixel_where_it_was(transform, row, column, height, width):
    grid = Grid(6000, 6000, transform, UTM)
    crop = grid.crop(Window(column, row, width, height))
    assert (crop.height, crop.width, crop.crs) == (height, width, UTM)
    for x, y in ((0, 0), (width, height)):
        assert crop.transform @ (x, y) == pytest.approx(
            grid.transform @ (column + x, row + y), abs=1e-6
        )


def test_of_an_open_raster(make_scene):
    with rasterio.open(make_scene(height=5, width=7, transform=ROTATED)) as dataset:
        grid = Grid.of(dataset)
    grid.require_same(Grid(5, 7, ROTATED, UTM), "a", "b")


@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED, SOUTH_UP])
def test_a_thousandth_of_a_pixel_is_the_same_grid_and_a_tenth_is_not(transform):
    grid = Grid(1000, 2000, transform, UTM)
    grid.require_same(Grid(1000, 2000, transform @ Affine.translation(0.001, 0), UTM), "a", "b")
    for moved in (
        transform @ Affine.translation(0.1, 0),
        transform @ Affine.translation(0, -0.1),
        transform @ Affine.scale(1.0001),  # 0.2 pixels at the far corner
        transform @ Affine.rotation(180),
    ):
        with pytest.raises(GridMismatch):
            grid.require_same(Grid(1000, 2000, moved, UTM), "a", "b")


@pytest.mark.parametrize(
    "other",
    [
        Grid(1000, 2001, NORTH_UP, UTM),
        Grid(2000, 1000, NORTH_UP, UTM),
        Grid(1000, 2000, NORTH_UP, CRS.from_epsg(32634)),
        Grid(1000, 2000, NORTH_UP, None),
    ],
)
def test_a_mismatch_names_both_files_and_the_remedy(other):
    with pytest.raises(GridMismatch, match=r"labels\.tif is .*scene\.tif is .*rio warp"):
        Grid(1000, 2000, NORTH_UP, UTM).require_same(other, "scene.tif", "labels.tif")


@pytest.mark.parametrize(
    ("crs", "transform", "metres"),
    [
        (UTM, NORTH_UP, 0.5),
        (UTM, ROTATED, 0.5),
        (UTM, SOUTH_UP, 0.5),
        (UTM, Affine(1, 0, 5, 0, -3, 5), 2.0),
        (CRS.from_epsg(2263), NORTH_UP, 0.5 * 1200 / 3937),  # US survey feet
        (CRS.from_epsg(4326), NORTH_UP, None),
        (None, NORTH_UP, None),
        (UTM, Affine.identity(), None),
    ],
)
def test_ground_sample_distance_is_in_metres_or_unknown(crs, transform, metres):
    gsd = Grid(10, 10, transform, crs).gsd
    assert gsd is None if metres is None else math.isclose(gsd, metres, rel_tol=1e-9)


def test_an_outline_has_the_corners_and_its_margin():
    grid = Grid(30, 50, Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
    assert grid.outline().bounds == (400_000, 4_999_985, 400_025, 5_000_000)
    assert grid.outline(2).bounds == (399_999, 4_999_984, 400_026, 5_000_001)
    turned = Grid(30, 50, grid.transform @ Affine.rotation(30), grid.crs)
    assert turned.outline().area == pytest.approx(25 * 15)
    lon_lat = grid.outline(crs="EPSG:4326")
    xs, ys = warp.transform("EPSG:32633", "EPSG:4326", [400_000, 400_025], [5_000_000, 4_999_985])
    for x, y in zip(xs, ys, strict=True):
        assert lon_lat.buffer(1e-9).contains(shapely.Point(x, y))
    assert len(lon_lat.exterior.coords) > 5  # bent, as its sides are not straight there
