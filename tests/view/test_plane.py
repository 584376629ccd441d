"""Planes: every point of the ground has its place there, and the way back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from rsseg.errors import GridMismatch
from rsseg.geo.grid import Grid
from rsseg.view.plane import DEGREES, MERCATOR, TILE, Plane

WORLD = 2 * math.pi * 6_378_137
UTM = CRS.from_epsg(32633)
GROUND = Grid(600, 800, Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000), UTM)
PIXELS = Grid(600, 800, Affine.identity(), None)


def _of(crs: str, transform: Affine, shape: tuple[int, int] = (100, 100)) -> Plane:
    return Plane.of(Grid(*shape, transform, CRS.from_user_input(crs)))


@given(st.floats(0, 800), st.floats(0, 600))
def test_the_way_to_the_plane_leads_back(column: float, row: float) -> None:
    plane = Plane.of(GROUND)
    assert plane.mercator
    x, y = GROUND.transform @ (column, row)
    u, v = plane.from_ground(UTM, [x], [y])
    left, bottom, right, top = plane.extent
    assert left - 1 <= u[0] <= right + 1
    assert bottom - 1 <= v[0] <= top + 1
    back = plane.to_ground(UTM, u, v)
    assert np.allclose(back, [[x], [y]], atol=1e-6)


def test_a_grid_without_a_place_is_a_plane_of_pixels() -> None:
    plane = Plane.of(PIXELS)
    assert not plane.mercator
    assert plane.extent == (0, -600, 800, 0)
    assert plane.zoom == 2, "four tiles of 256 pixels hold 800"
    assert plane.tile(2, 1, 0) == (256, -256, 512, 0)
    assert plane.tile(0, 0, 0) == (0, -1024, 1024, 0)
    assert plane.tile(4, 0, 0) == (0, -64, 64, 0)
    assert np.array_equal(plane.to_ground(None, [3.5], [-2.5]), [[3.5], [2.5]])


def test_pixels_of_the_deepest_zoom_are_finer_than_the_maps() -> None:
    plane = Plane.of(GROUND)
    at_zoom = WORLD / TILE / 2**plane.zoom
    size = 0.5 / math.cos(math.radians(45.15))  # a metre of Mercator is shorter there
    assert at_zoom <= size * 1.001 < 2 * at_zoom
    assert plane.deepest == plane.zoom + 2


@given(st.integers(0, 22), st.data())
def test_tiles_of_one_zoom_cover_the_map_once(zoom: int, data: st.DataObject) -> None:
    plane = Plane.of(GROUND)
    if zoom > plane.deepest:
        assert plane.tile(zoom, 0, 0) is None
        return
    left, bottom, right, top = plane.extent
    u, v = data.draw(st.floats(left, right)), data.draw(st.floats(bottom, top))
    side = WORLD / 2**zoom
    column, row = math.floor((u + WORLD / 2) / side), math.floor((WORLD / 2 - v) / side)
    bounds = plane.tile(zoom, column, row)
    if left < u < right and bottom < v < top:
        assert bounds is not None
        assert bounds[0] - 1e-6 <= u <= bounds[2] + 1e-6
        assert bounds[1] - 1e-6 <= v <= bounds[3] + 1e-6


@pytest.mark.parametrize("tile", [(-1, 0, 0), (3, 8, 0), (3, 0, 8), (3, -1, 0), (40, 0, 0)])
def test_tiles_beyond_the_world_are_none(tile: tuple[int, int, int]) -> None:
    assert Plane.of(GROUND).tile(*tile) is None
    assert Plane.of(PIXELS).tile(*tile) is None


def test_tiles_beside_the_map_are_none() -> None:
    assert Plane.of(GROUND).tile(3, 0, 0) is None
    assert Plane.of(PIXELS).tile(2, 0, 3) is None


def test_a_map_across_the_180th_meridian_is_in_one_piece() -> None:
    plane = _of("EPSG:32660", Affine(100, 0, 700_000, 0, -100, 100_000), (1000, 3000))
    left, _, right, _ = plane.extent
    assert 0 < right - left < WORLD / 50
    assert left < WORLD / 2 < right
    assert plane.tile(5, 31, 15) is not None
    assert plane.tile(5, 0, 15) is not None, "the part beyond the meridian"
    assert plane.tile(5, 16, 15) is None


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:3031", Affine(100, 0, -5000, 0, -100, 5000)),  # over the south pole
        ("EPSG:4326", Affine(3.6, 0, -180, 0, -1.8, 90)),  # with both poles
        ("EPSG:4326", Affine(1, 0, 400_000, 0, -1, 5_000_000)),  # metres told as degrees
        ('LOCAL_CS["a wall", UNIT["metre", 1]]', Affine(1, 0, 5, 0, -1, 5)),
    ],
)
def test_what_mercator_cannot_show_is_shown_by_pixels(crs: str, transform: Affine) -> None:
    plane = _of(crs, transform)
    assert not plane.mercator
    assert plane.tile(0, 0, 0) is not None
    x, y = plane.to_ground(plane.grid.crs, [10.0], [-20.0])
    assert (x[0], y[0]) == pytest.approx(transform @ (10, 20))


def test_nothing_leads_from_the_ground_to_pixels_without_a_place() -> None:
    with pytest.raises(GridMismatch, match="has none"):
        Plane.of(PIXELS).from_ground(UTM, [0.0], [0.0])
    with pytest.raises(GridMismatch, match="has none"):
        Plane.of(GROUND).from_ground(None, [0.0], [0.0])


def test_a_map_in_web_mercator_is_its_own_plane() -> None:
    plane = _of("EPSG:3857", Affine(10, 0, 1000, 0, -10, 2000))
    assert plane.extent == pytest.approx((1000, 1000, 2000, 2000))
    assert plane.from_ground(MERCATOR, [5.0], [6.0])[0][0] == 5
    lon, lat = plane.to_ground(DEGREES, [0.0], [0.0])
    assert (lon[0], lat[0]) == pytest.approx((0, 0))


def test_points_far_away_are_of_no_plane() -> None:
    plane = Plane.of(GROUND)
    assert plane.holds(0, 0)
    assert plane.holds(1.5 * WORLD, 0.9 * WORLD)
    assert not plane.holds(1e300, 0), "which would keep PROJ busy for years"
    assert not plane.holds(0, -1e300)
    assert Plane.of(PIXELS).holds(1e300, 0)
