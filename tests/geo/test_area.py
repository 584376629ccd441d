"""Areas of interest: the pixels whose centres lie in a box or in polygons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.windows import Window

from rsseg.errors import GridMismatch, OptionError, SceneError
from rsseg.geo.area import Box, area_of_box, area_of_polygons, whole_area
from rsseg.geo.grid import Grid
from rsseg.legend import NODATA

UTM = CRS.from_epsg(32633)
NORTH_UP = Grid(40, 60, Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000), UTM)
SOUTH_UP = Grid(40, 60, Affine(0.5, 0, 400_000, 0, 0.5, 5_000_000), UTM)
TURNED = Grid(40, 60, Affine(0.4, 0.3, 400_000, 0.3, -0.4, 5_000_000), UTM)
PLAIN = Grid(40, 60, Affine.identity(), None)


def centres(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """East and north of every pixel's centre."""
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    return grid.transform @ (columns, rows)


@pytest.mark.parametrize("grid", [NORTH_UP, SOUTH_UP, PLAIN])
@given(data=st.data())
def test_a_box_has_the_pixels_whose_centres_lie_in_it(grid: Grid, data: st.DataObject) -> None:
    x, y = centres(grid)
    span = st.floats(-0.2, 1.2)
    (west, east), (south, north) = (
        sorted(axis.min() + np.ptp(axis) * data.draw(span) for _ in range(2)) for axis in (x, y)
    )
    if not (west < east and south < north):
        return
    inside = (x >= west) & (x <= east) & (y >= south) & (y <= north)
    if not inside.any():
        with pytest.raises(OptionError, match="has no pixel of the scene"):
            area_of_box(grid, (west, south, east, north))
        return
    area = area_of_box(grid, (west, south, east, north))
    rows, columns = area.window.toslices()
    assert inside[rows, columns].all()
    assert inside.sum() == area.window.height * area.window.width
    assert area.grid == grid.crop(area.window)


def test_a_box_along_the_edges_of_pixels_has_these_pixels() -> None:
    t = NORTH_UP.transform
    west, north = t @ (7, 9)
    east, south = t @ (19, 30)
    assert area_of_box(NORTH_UP, (west, south, east, north)).window == Window(7, 9, 12, 21)


def test_a_box_on_a_turned_grid_lies_in_its_block() -> None:
    x, y = centres(TURNED)
    box: Box = (400_010.0, 4_999_996.0, 400_018.0, 5_000_004.0)
    inside = (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])
    assert inside.any()
    rows, columns = area_of_box(TURNED, box).window.toslices()
    assert inside[rows, columns].sum() == inside.sum()


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (400_000.3, 4_999_999.3, 400_000.4, 4_999_999.4)])
def test_a_box_without_a_pixel_names_the_scenes(box: Box) -> None:
    with pytest.raises(OptionError, match="expected a part of 400000, 4999980, 400030, 5000000"):
        area_of_box(NORTH_UP, box)


def test_the_whole_of_a_grid() -> None:
    area = whole_area(TURNED)
    assert (area.grid, area.polygons, area.identity) == (TURNED, None, None)


def write(path: Path, shapes: list[shapely.Geometry], crs: str | None = "EPSG:32633") -> Path:
    pyogrio.raw.write(
        path,
        np.array([shapely.to_wkb(shape) for shape in shapes], object),
        [],
        [],
        geometry_type=shapes[0].geom_type,
        crs=crs,
    )
    return path


TRIANGLE = shapely.Polygon([(400_003, 4_999_990), (400_017, 4_999_985), (400_012, 4_999_997)])


@pytest.mark.parametrize("grid", [NORTH_UP, TURNED])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:3857"])
def test_polygons_of_any_crs(tmp_path: Path, grid: Grid, crs: str) -> None:
    way = Transformer.from_crs("EPSG:32633", crs, always_xy=True)
    moved = shapely.transform(TRIANGLE, way.transform, interleaved=False)
    area = area_of_polygons(grid, write(tmp_path / "area.gpkg", [moved], crs))
    x, y = centres(grid)
    inside = shapely.contains_xy(TRIANGLE, x, y)
    assert area.polygons is not None
    burnt = area.polygons.read(Window(0, 0, grid.width, grid.height)) != NODATA
    assert np.count_nonzero(burnt != inside) <= 1  # a centre on the line
    rows, columns = area.window.toslices()
    assert burnt[rows, columns].sum() == burnt.sum()
    if grid is NORTH_UP:
        assert area.window == area_of_box(grid, shapely.bounds(TRIANGLE)).window
    assert any("reprojected" in note for note in area.notes) == (crs != "EPSG:32633")


def test_the_identity_is_that_of_the_polygons(tmp_path: Path) -> None:
    same = [
        area_of_polygons(NORTH_UP, write(tmp_path / n, [TRIANGLE])) for n in ("a.gpkg", "b.fgb")
    ]
    other = shapely.transform(TRIANGLE, lambda xy: xy + 0.01)
    moved = area_of_polygons(NORTH_UP, write(tmp_path / "c.gpkg", [other]))
    assert same[0].identity == same[1].identity != moved.identity


def test_what_is_no_area_is_refused(tmp_path: Path) -> None:
    away = shapely.transform(TRIANGLE, lambda xy: xy + 1000)
    points = write(tmp_path / "points.gpkg", [shapely.Point(400_010, 4_999_990)])
    with pytest.raises(OptionError, match="has no polygon, expected an area"):
        area_of_polygons(NORTH_UP, points)
    with pytest.raises(OptionError, match=r"away.gpkg have no pixel of the scene.*got 401003"):
        area_of_polygons(NORTH_UP, write(tmp_path / "away.gpkg", [away]))
    with pytest.raises(GridMismatch, match="the raster has no CRS"):
        area_of_polygons(PLAIN, write(tmp_path / "area.gpkg", [TRIANGLE]))
    with pytest.raises(SceneError, match="there is no file"):
        area_of_polygons(NORTH_UP, tmp_path / "none.gpkg")
