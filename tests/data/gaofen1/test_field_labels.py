"""Field polygons as a class raster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS

from rsseg.data.gaofen1.field_labels import FieldPolygons, FieldRaster
from rsseg.errors import LegendError, OptionError, SceneError
from rsseg.geo.class_raster import read_legend, write_raster
from rsseg.geo.grid import Grid

GRID = Grid(40, 60, Affine(2, 0, 480_000, 0, -2, 4_417_000), CRS.from_epsg(32650))
SQUARES = [(480_010, 4_416_980, 480_030, 4_417_000), (480_060, 4_416_930, 480_080, 4_416_950)]
"""Two squares of 10 x 10 pixels: columns 5-15, rows 0-10 and columns 30-40, rows 25-35."""


@pytest.fixture
def make(tmp_path):
    """A function that writes polygons with values in the field ``crop``."""

    def write(values, boxes=SQUARES, name="fields.gpkg", kind="Polygon") -> Path:
        shapes = [shapely.box(*box) for box in boxes]
        if kind == "Point":
            shapes = [shape.centroid for shape in shapes]
        pyogrio.raw.write(
            tmp_path / name,
            np.array(shapely.to_wkb(shapes), dtype=object),
            [np.array(values)],
            ["crop"],
            geometry_type=kind,
            crs="EPSG:32650",
        )
        return tmp_path / name

    return write


def whole(raster: FieldRaster) -> np.ndarray:
    from rasterio.windows import Window

    return raster.codes(Window(0, 0, GRID.width, GRID.height))


def expected(first: int, second: int, outside: int) -> np.ndarray:
    codes = np.full((40, 60), outside, np.uint8)
    codes[0:10, 5:15] = first
    codes[25:35, 30:40] = second
    return codes


def test_names_become_codes_in_alphabetical_order(make) -> None:
    raster = FieldRaster.read(FieldPolygons(make(["wheat", "maize"]), "crop"), GRID)
    assert raster is not None
    assert [(c.code, c.name) for c in raster.legend] == [(0, "maize"), (1, "wheat")]
    np.testing.assert_array_equal(whole(raster), expected(1, 0, 255))


def test_numbers_are_codes(make) -> None:
    raster = FieldRaster.read(FieldPolygons(make([7, 3]), "crop"), GRID)
    assert raster is not None
    assert [(c.code, c.name) for c in raster.legend] == [(3, "class 3"), (7, "class 7")]
    np.testing.assert_array_equal(whole(raster), expected(7, 3, 255))


@pytest.mark.parametrize(("values", "code"), [(["a", "b"], 0), ([1, 2], 0), ([0, 2], 1)])
def test_the_background_takes_a_free_code(make, values, code) -> None:
    fields = FieldPolygons(make(values), "crop", background="other")
    raster = FieldRaster.read(fields, GRID)
    assert raster is not None
    assert raster.background == code
    assert raster.legend.by_code(code).name == "other"
    assert (whole(raster) == code).sum() == 40 * 60 - 200


def test_outside_of_the_annotated_areas_nothing_is_labelled(make) -> None:
    areas = make(["x"], [(480_000, 4_416_960, 480_040, 4_417_000)], "areas.gpkg")
    fields = FieldPolygons(make(["a", "b"]), "crop", background="other", areas=areas)
    raster = FieldRaster.read(fields, GRID)
    assert raster is not None
    codes = expected(1, 2, 0)
    codes[20:] = codes[:, 20:] = 255
    np.testing.assert_array_equal(whole(raster), codes)


def test_codes_are_those_of_the_whole_file(make) -> None:
    """So that scenes with few of the classes agree with the others."""
    far = [(490_000, 4_416_980, 490_030, 4_417_000), SQUARES[1]]
    raster = FieldRaster.read(FieldPolygons(make(["a", "b"], far), "crop"), GRID)
    assert raster is not None
    assert raster.legend.names == ("a", "b")
    assert set(whole(raster).ravel()) == {1, 255}


def test_the_background_may_be_a_class_of_the_polygons(make) -> None:
    raster = FieldRaster.read(FieldPolygons(make(["a", "b"]), "crop", background="b"), GRID)
    assert raster is not None
    np.testing.assert_array_equal(whole(raster), expected(0, 1, 1))


def test_polygons_or_areas_elsewhere_are_none(make) -> None:
    far = [tuple(value + 5000 for value in box) for box in SQUARES]
    elsewhere, here = make(["a", "b"], far, "far.gpkg"), make(["a", "b"])
    assert FieldRaster.read(FieldPolygons(elsewhere, "crop"), GRID) is None
    assert FieldRaster.read(FieldPolygons(here, "crop", areas=elsewhere), GRID) is None
    assert FieldRaster.read(FieldPolygons(here, "crop", areas=here), GRID) is not None


def test_what_is_written_opens_with_names_and_is_unlabelled_off_the_scene(make, tmp_path) -> None:
    pixels = np.full((4, 40, 60), 500, np.uint16)
    pixels[:, 5:, :10] = 0
    write_raster(tmp_path / "scene.tif", pixels, GRID, nodata=0)
    raster = FieldRaster.read(FieldPolygons(make(["wheat", "maize"]), "crop"), GRID)
    assert raster is not None
    parts = tmp_path / "parts"
    parts.mkdir()
    counts = raster.write(tmp_path / "scene.tif", tmp_path / "label.tif", parts)
    codes = expected(1, 0, 255)
    codes[5:, :10] = 255
    with rasterio.open(tmp_path / "label.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), codes)
        Grid.of(dataset).require_same(GRID, "label", "scene")
        assert read_legend(dataset).names == ("maize", "wheat")
    assert counts == {"maize": 100, "wheat": 75}


@pytest.mark.parametrize(
    ("values", "change", "error", "words"),
    [
        (["a", "b"], {"class_field": "kind"}, OptionError, "no field 'kind', got crop"),
        ([300, 1], {}, LegendError, "unusable code, expected 0-254"),
        ([-1, 1], {}, LegendError, "unusable code"),
    ],
)
def test_wrong_fields_are_refused(make, values, change, error, words) -> None:
    given = {"path": make(values), "class_field": "crop"} | change
    with pytest.raises(error, match=words):
        FieldRaster.read(FieldPolygons(**given), GRID)


def test_points_are_refused(make) -> None:
    points = make(["a", "b"], kind="Point")
    with pytest.raises(SceneError, match="holds other geometries than polygons"):
        FieldRaster.read(FieldPolygons(points, "crop"), GRID)


def test_a_missing_file_is_refused(tmp_path) -> None:
    with pytest.raises(SceneError, match="there is no file"):
        FieldRaster.read(FieldPolygons(tmp_path / "none.gpkg", "crop"), GRID)
