"""Vector files read and burnt, by brute force."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.windows import Window

from rsseg.errors import GridMismatch, OptionError, SceneError
from rsseg.geo import features
from rsseg.geo.features import PolygonRaster, did_you_mean, is_vector, looks_like_vector
from rsseg.geo.grid import Grid
from rsseg.legend import NODATA

TRANSFORM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
TURNED = TRANSFORM @ Affine.rotation(30)
GRID = Grid(37, 41, TRANSFORM, CRS.from_epsg(32633))
HOLE = shapely.Polygon([(2.1, 2), (30, 3.3), (20.7, 30)], [[(10, 5.1), (18.3, 6), (16, 12.7)]])


def shapes(seed, count=12, transform=TRANSFORM):
    """Random polygons in and around the grid: stars, some with hundreds of corners, and a hole."""
    random = np.random.default_rng(seed)
    found = [HOLE]
    for _ in range(count):
        corners = int(random.choice([3, 5, 40]))
        angles = np.sort(random.random(corners)) * 2 * np.pi
        radii = random.uniform(1, 15, corners)
        x, y = random.uniform(-5, 45, 2)
        ring = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)
        found.append(shapely.Polygon(ring))
    found.append(shapely.MultiPolygon([shapely.box(0.2, 30.3, 4.1, 36.2), found[1]]))
    placed = [
        shapely.transform(shape, lambda xy: np.stack(transform @ tuple(xy.T), axis=1))
        for shape in found
    ]
    codes = random.integers(0, 6, len(placed)).astype(np.uint8)
    return np.array(placed, object), codes


def by_point(polygons, codes, grid):
    """The code of the last polygon that holds each pixel's centre."""
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    x, y = grid.transform @ (columns, rows)
    burnt = np.full((grid.height, grid.width), NODATA, np.uint8)
    for polygon, code in zip(polygons, codes, strict=True):
        burnt[shapely.contains_xy(polygon, x, y)] = code
    return burnt


# --- laws of PolygonRaster


@pytest.mark.parametrize("transform", [TRANSFORM, TURNED], ids=["north up", "turned"])
@pytest.mark.parametrize("many", [1000, 4])
@given(seed=st.integers(0, 500))
def test_a_pixel_is_of_the_last_polygon_that_holds_its_centre(transform, many, seed):
    grid = Grid(37, 41, transform, GRID.crs)
    polygons, codes = shapes(seed, transform=transform)
    valid = shapely.is_valid(polygons)
    polygons, codes = polygons[valid], codes[valid]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_MANY", many)  # 4: nearly all are clipped
        burnt = PolygonRaster(polygons, codes, grid).read(Window(0, 0, 41, 37))
    assert (burnt == by_point(polygons, codes, grid)).all()
    assert (burnt != NODATA).any()


@pytest.mark.parametrize("many", [1000, 4])
@given(
    seed=st.integers(0, 500),
    column=st.integers(-9, 40),
    row=st.integers(-9, 36),
    width=st.integers(10, 60),
    height=st.integers(10, 60),
)
def test_a_window_is_a_crop_of_the_whole(many, seed, column, row, width, height):
    polygons, codes = shapes(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_MANY", many)
        raster = PolygonRaster(polygons, codes, GRID)
        whole = np.pad(raster.read(Window(0, 0, 41, 37)), 100, constant_values=NODATA)
        burnt = raster.read(Window(column, row, width, height))
    rows, columns = slice(100 + row, 100 + row + height), slice(100 + column, 100 + column + width)
    assert (burnt == whole[rows, columns]).all()


@given(
    seed=st.integers(0, 500),
    column=st.integers(0, 20),
    row=st.integers(0, 20),
    shape=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
def test_a_resized_window_is_burnt_on_that_grid(seed, column, row, shape):
    polygons, codes = shapes(seed)
    window = Window(column, row, 16, 12)
    burnt = PolygonRaster(polygons, codes, GRID).read(window, shape)
    corner = TRANSFORM @ Affine.translation(column, row)
    transform = corner @ Affine.scale(16 / shape[1], 12 / shape[0])
    slow = rasterize(
        zip(polygons, codes.tolist(), strict=True),
        out_shape=shape,
        transform=transform,
        fill=NODATA,
        dtype="uint8",
    )
    assert burnt.shape == shape
    assert (burnt == slow).all()


def test_adjoining_polygons_leave_neither_gap_nor_overlap():
    edges = np.linspace(0, 41, 8)
    corners = [(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    boxes = [shapely.box(*(TRANSFORM @ (a, 37)), *(TRANSFORM @ (b, 0))) for a, b in corners]
    burnt = PolygonRaster(np.array(boxes), np.arange(7, dtype=np.uint8), GRID).read(
        Window(0, 0, 41, 37)
    )
    centres = np.arange(41) + 0.5
    assert (burnt == np.searchsorted(edges, centres)[None] - 1).all()


def test_a_window_without_polygons_is_255_and_one_outside_is_refused():
    raster = PolygonRaster(np.empty(0, object), np.empty(0, np.uint8), GRID)
    assert (raster.read(Window(3, 4, 5, 6)) == NODATA).all()
    with pytest.raises(OptionError, match="outside"):
        raster.read(Window(100, 0, 5, 5))


# --- reading


def write(path: Path, geometries, crs=32633, layer=None, **fields):
    options = {"SPATIAL_INDEX": "NO"} if path.suffix == ".fgb" else {}  # it wants no gaps
    frame = geopandas.GeoDataFrame(fields, geometry=geometries, crs=crs)
    frame.to_file(path, layer=layer, **options)
    return path


def box(a, b):
    """From pixel (0, 0) to pixel (a, b) of the grid."""
    return shapely.box(*(TRANSFORM @ (0, b)), *(TRANSFORM @ (a, 0)))


@pytest.mark.parametrize("suffix", features.SUFFIXES)
def test_every_format_is_read_in_file_order(tmp_path, suffix):
    path = write(tmp_path / f"f{suffix}", [box(1, 1), box(2, 2)], kind=["a", "b"], n=[3, 4])
    found = features.read_features(path, GRID, ["m", "n", "kind"])
    assert (found.field, found.values.tolist(), found.layer) == ("n", [3, 4], "f")
    assert shapely.equals(found.geometries, [box(1, 1), box(2, 2)]).all()
    plain = features.read_features(path, GRID, [])
    assert (plain.field, len(plain.geometries), len(plain.values)) == (None, 2, 0)


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".geojson", ".shp"])
def test_features_without_geometry_or_value_are_noted(tmp_path, suffix):
    geometries = [box(1, 1), None, shapely.Polygon(), box(2, 2), box(3, 3)]
    path = write(tmp_path / f"f{suffix}", geometries, kind=["a", "b", "b", None, "c"])
    found = features.read_features(path, GRID, ["kind"])
    assert found.values.tolist() == ["a", "c"]
    assert found.notes == (
        f"{path}: 2 features without geometry left out",
        f"{path}: 1 feature without a value in the field 'kind' left out",
    )
    path = write(tmp_path / f"n{suffix}", [box(1, 1), box(2, 2)], n=[1, np.nan])
    assert features.read_features(path, GRID, ["n"]).values.tolist() == [1]


def test_heights_are_left_out(tmp_path):
    flat, tall = box(1, 1), shapely.force_3d(box(2, 2), 7)
    path = write(tmp_path / "f.geojson", [flat, tall], n=[0, 1])
    found = features.read_features(path, GRID, ["n"]).geometries
    assert shapely.get_coordinate_dimension(found).tolist() == [2, 2]
    assert found[1].equals(box(2, 2))


def test_layers_are_taken_by_name_and_tables_are_none(tmp_path):
    path = write(tmp_path / "f.gpkg", [box(1, 1)], layer="one", n=[1])
    assert features.read_features(path, GRID, ["n"]).notes == ()
    write(path, [box(1, 1), box(2, 2)], layer="two", n=[1, 2])
    first = features.read_features(path, GRID, ["n"])
    assert (first.layer, first.values.tolist()) == ("one", [1])
    assert first.notes == (f"{path} has 2 layers with geometries, 'one' was taken",)
    second = features.read_features(path, GRID, ["n"], layer="two")
    assert (second.layer, second.values.tolist(), second.notes) == ("two", [1, 2], ())
    with pytest.raises(SceneError, match="no layer 'Two', got one, two; did you mean 'two'?"):
        features.read_features(path, GRID, ["n"], layer="Two")


@pytest.mark.parametrize("crs", [4326, 3857, 32632])
def test_geometries_come_into_the_crs_of_the_grid(tmp_path, crs):
    there = geopandas.GeoSeries([box(30, 30)], crs=32633).to_crs(crs)
    path = write(tmp_path / "f.gpkg", there, crs=crs, n=[1])
    found = features.read_features(path, GRID, ["n"])
    assert found.geometries[0].hausdorff_distance(box(30, 30)) < 1e-3
    (note,) = found.notes
    assert note.startswith(f"{path} was reprojected from ")
    assert note.endswith(" to WGS 84 / UTM zone 33N")


def test_what_has_no_place_in_the_crs_is_noted(tmp_path):
    polar = Grid(5, 5, Affine(10, 0, 0, 0, -10, 0), CRS.from_epsg(3857))
    points = [shapely.Point(10, 0), shapely.Point(10, 91), shapely.Point(10, 95)]
    path = write(tmp_path / "f.gpkg", points, crs=4326, n=[0, 1, 2])
    found = features.read_features(path, polar, ["n"])
    assert found.values.tolist() == [0]
    assert found.notes[-1].endswith(", 2 features that have no place there left out")


def test_without_a_crs_the_other_sides_is_taken_or_refused(tmp_path):
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        path = write(tmp_path / "f.gpkg", [box(1, 1)], crs=None, n=[1])
    found = features.read_features(path, GRID, ["n"])
    assert found.notes == (f"{path} has no CRS: that of the raster was taken",)
    bare = Grid(37, 41, TRANSFORM, None)
    assert len(features.read_features(path, bare, ["n"]).geometries) == 1
    with pytest.raises(GridMismatch, match="UTM zone 33N, the raster has no CRS; give the raster"):
        features.read_features(write(tmp_path / "g.gpkg", [box(1, 1)], n=[1]), bare, ["n"])


def test_missing_fields_are_named_with_what_is_there(tmp_path):
    path = write(tmp_path / "f.gpkg", [box(1, 1)], Kind=["a"], n=[1])
    with pytest.raises(OptionError, match="no field 'class' or 'kind', got Kind, n; name the fi"):
        features.read_features(path, GRID, ["class", "kind"])
    with pytest.raises(OptionError, match="; say it; did you mean 'Kind'?"):
        features.read_features(path, GRID, ["KIND"], remedy="say it")


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(SceneError, match=r"there is no file .*none\.gpkg"):
        features.read_features(tmp_path / "none.gpkg", GRID, [])
    (tmp_path / "bad.gpkg").write_text("no database")
    with pytest.raises(SceneError, match="cannot be read as a vector file"):
        features.read_features(tmp_path / "bad.gpkg", GRID, [])
    empty = tmp_path / "empty.geojson"
    table = {"type": "Feature", "properties": {"n": 1}, "geometry": None}
    empty.write_text(json.dumps({"type": "FeatureCollection", "features": [table]}))
    found = features.read_features(empty, GRID, ["n"])
    assert len(found.geometries) == 0
    assert "1 feature without geometry left out" in found.notes[0]


# --- names


def test_names_of_vector_files_are_known_and_others_refused():
    assert [is_vector(name) for name in ("a.GPKG", Path("b/c.shp"), "d.tif", "e")] == [
        *(True, True),
        *(False, False),
    ]
    with pytest.raises(SceneError, match="a vector file of a kind that is not read, expected a ra"):
        is_vector("a.kml")
    with pytest.raises(SceneError, match=r"a table, .*; convert it: ogr2ogr a\.gpkg a\.csv -oo X_"):
        is_vector("a.csv")
    with pytest.raises(SceneError, match=r"; save it as \.csv and convert it: ogr2ogr a\.gpkg a\."):
        is_vector("a.XLSX")
    assert [looks_like_vector(name) for name in ("a.gpkg", "a.kml", "a.csv", "a.tif")] == [
        *(True, True, True),
        False,
    ]


def test_names_that_are_alike_are_proposed():
    assert did_you_mean("Water", ["land", "water"]) == "did you mean 'water'?"
    assert did_you_mean("Buildings", ["Road", "Building"]) == "did you mean 'Building'?"
    assert did_you_mean("fish", ["land", "water"]) is None
    assert did_you_mean("fish", []) is None
