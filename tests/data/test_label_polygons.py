"""Labels that are polygons: burnt per window as if the whole scene had been rasterised."""

import dataclasses

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from rsseg.data import label_polygons
from rsseg.data.catalogue import LabelledScene
from rsseg.data.labels import open_labels
from rsseg.errors import GridMismatch, LegendError, OptionError, SceneError
from rsseg.legend import NODATA, Legend

LEGEND = Legend.of({"other": (1, 1, 1), "field": (2, 2, 2), "water": (3, 3, 3)})
SQUARES = {"field": (10, 5, 30, 25), "water": (20, 15, 40, 22)}
"""Class and pixel edges: left, top, right, bottom; the second lies over a part of the first."""


def square(left, top, right, bottom):
    """A square of pixel edges on the grid of `make_scene`."""
    transform = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
    return shapely.box(*(transform @ (left, bottom)), *(transform @ (right, top)))


def layer(path, geometries, crs="EPSG:32633", to=None, **columns):
    frame = geopandas.GeoDataFrame(columns, geometry=geometries, crs=crs)
    (frame.to_crs(to) if to else frame).to_file(path)
    return path


@pytest.fixture
def scene(make_scene, tmp_path):
    def make(field="class", areas=None, background=None, to=None, values=None, wanted=None):
        image = make_scene("image.tif", height=30, width=50)
        geometries = [square(*edges) for edges in SQUARES.values()]
        label = layer(
            tmp_path / "label.gpkg", geometries, to=to, **{field: values or list(SQUARES)}
        )
        outline = areas and layer(tmp_path / "areas.gpkg", [square(*edges) for edges in areas])
        return LabelledScene(image, label, "train", "", wanted, outline, background)

    return make


def whole(default, areas=None):
    expected = np.full((30, 50), default)
    for name, (left, top, right, bottom) in SQUARES.items():
        expected[top:bottom, left:right] = LEGEND.names.index(name)
    if areas:
        inside = np.zeros((30, 50), bool)
        for left, top, right, bottom in areas:
            inside[top:bottom, left:right] = True
        expected[~inside] = NODATA
    return expected


def read(row, window=None, shape=None):
    labels = open_labels(row, LEGEND, row.grid())
    return labels.read(window or Window(0, 0, 50, 30), shape)


@pytest.mark.parametrize("areas", [None, [(0, 0, 25, 30), (22, 10, 50, 18)]])
@pytest.mark.parametrize("background", [None, "other"])
def test_areas_and_background_say_what_is_known(scene, areas, background):
    row = scene(areas=areas, background=background)
    default = NODATA if background is None else LEGEND.names.index(background)
    assert np.array_equal(read(row), whole(default, areas))


@given(st.data())
def test_a_window_is_a_crop_of_the_whole_and_unlabelled_beyond(scene_row, data):
    row, expected = scene_row
    left, top = (data.draw(st.integers(-20, limit - 1)) for limit in (50, 30))
    width = data.draw(st.integers(max(1, 1 - left), 70))
    height = data.draw(st.integers(max(1, 1 - top), 70))
    padded = np.pad(expected, 100, constant_values=NODATA)
    crop = padded[100 + top : 100 + top + height, 100 + left : 100 + left + width]
    assert np.array_equal(read(row, Window(left, top, width, height)), crop)


@pytest.fixture(scope="module")
def scene_row(tmp_path_factory):
    import rasterio

    folder = tmp_path_factory.mktemp("polygons")
    transform = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": 30, "width": 50}
    with rasterio.open(
        folder / "i.tif", "w", crs="EPSG:32633", transform=transform, **profile
    ) as image:
        image.write(np.ones((1, 30, 50), np.uint8))
    geometries = [square(*edges) for edges in SQUARES.values()]
    label = layer(folder / "label.gpkg", geometries, **{"class": list(SQUARES)})
    row = LabelledScene(folder / "i.tif", label, "train", "", background="other")
    return row, whole(0)


def test_reading_finer_burns_finer(scene):
    finer = read(scene(background="other"), Window(5, 4, 30, 20), (60, 90))
    assert np.array_equal(finer, whole(0)[4:24, 5:35].repeat(3, 0).repeat(3, 1))


def test_codes_and_other_fields_and_crs(scene):
    assert np.array_equal(read(scene(field="class_id", values=[1, 2])), whole(NODATA))
    named = scene(field="Land Use", values=["field", "2"], wanted="class")
    with pytest.raises(OptionError, match=r"label\.gpkg has no field 'class', got Land Use"):
        read(named)
    import dataclasses

    assert np.array_equal(read(dataclasses.replace(named, field="Land Use")), whole(NODATA))
    away = scene(to="EPSG:4326")
    labels = open_labels(away, LEGEND, away.grid())
    assert (labels.read(Window(0, 0, 50, 30)) != whole(NODATA)).mean() < 0.03
    assert any("reprojected from WGS 84" in note for note in labels.notes)


def test_missing_geometries_and_classes_are_told(make_scene, tmp_path):
    image = make_scene("image.tif", height=30, width=50)
    geometries = [square(0, 0, 5, 5), None, square(9, 9, 12, 12)]
    label = layer(tmp_path / "l.gpkg", geometries, **{"class": ["field", "field", None]})
    row = LabelledScene(image, label, "train", "")
    labels = open_labels(row, LEGEND, row.grid())
    assert len(labels.notes) == 2
    assert "1 feature without geometry left out" in labels.notes[0]
    assert "1 feature without a value in the field 'class' left out" in labels.notes[1]
    assert (labels.read(Window(0, 0, 50, 30)) != NODATA).sum() == 25


def test_strangers_are_refused(scene, make_scene, tmp_path):
    with pytest.raises(LegendError, match=r"'class' of .*holds the class 'forest'.*1 field"):
        read(scene(values=["field", "forest"]))
    with pytest.raises(LegendError, match="background of .* holds the class 'soil'"):
        read(scene(background="soil"))
    image = make_scene("image.tif", height=30, width=50)
    points = layer(tmp_path / "p.gpkg", [shapely.Point(400_001, 4_999_999)], **{"class": ["field"]})
    with pytest.raises(SceneError, match="holds other geometries than polygons"):
        read(LabelledScene(image, points, "train", ""))
    nowhere = make_scene("nowhere.tif", height=30, width=50, crs=None)
    with pytest.raises(GridMismatch, match="raster has no CRS"):
        read(LabelledScene(nowhere, scene().label, "train", ""))
    (tmp_path / "bad.gpkg").write_bytes(b"no")
    with pytest.raises(SceneError, match="cannot be read as a vector file"):
        read(LabelledScene(image, tmp_path / "bad.gpkg", "train", ""))


def test_a_part_of_a_scene_has_its_own_corner(scene):
    import dataclasses

    row = dataclasses.replace(scene(background="other"), window=Window(12, 8, 20, 10))
    labels = open_labels(row, LEGEND, row.grid())
    assert labels.shape == (10, 20)
    assert np.array_equal(labels.read(Window(0, 0, 20, 10)), whole(0)[8:18, 12:32])
    beyond = labels.read(Window(-2, -2, 24, 14))
    assert (beyond[:2] == NODATA).all()
    assert (beyond[:, -2:] == NODATA).all()


@pytest.mark.slow
def test_real_fields(real_data):
    """198 fields and one without geometry, inside 16 annotated squares."""
    folder = real_data / "fields_s2"
    row = LabelledScene(
        next(folder.glob("*byte.tif")),
        next(folder.glob("*polygons.gpkg")),
        "train",
        "",
        "label_name",
        next(folder.glob("*locations.gpkg")),
        "other",
    )
    grid = row.grid()
    labels = open_labels(row, LEGEND, grid)
    assert any("1 feature without geometry" in note for note in labels.notes)
    classes = labels.read(Window(0, 0, grid.width, grid.height))
    counts = np.bincount(classes.ravel(), minlength=256)
    assert counts[1] == 17_052  # of 25,914 pixels of fields, as rasterio burns them whole
    assert counts[0] + counts[1] == 45_005


def test_unlabelled_polygons_stay_so_above_the_background(scene):
    row = scene(background="other", values=["field", "255"])
    expected = whole(0)
    expected[expected == LEGEND.names.index("water")] = NODATA
    assert np.array_equal(read(row), expected)


def test_files_without_a_polygon_in_the_scene_are_noted(scene, tmp_path):
    row = scene(areas=[(500, 500, 510, 510)])
    labels = open_labels(row, LEGEND, row.grid())
    assert labels.notes == (f"{row.areas} has no polygon in {row.image}",)
    part = dataclasses.replace(row, window=Window(0, 0, 9, 9))
    assert open_labels(part, LEGEND, part.grid()).notes == ()


def test_a_file_is_read_once_for_all_its_parts_and_again_when_it_changed(scene, monkeypatch):
    row = scene(background="other")
    read_features, times = label_polygons.read_features, []

    def counted(path, *arguments, **options):
        times.append(path)
        return read_features(path, *arguments, **options)

    monkeypatch.setattr(label_polygons, "read_features", counted)
    expected = whole(0)
    for left in range(0, 50, 10):
        part = dataclasses.replace(row, window=Window(left, 0, 10, 30))
        found = open_labels(part, LEGEND, part.grid()).read(Window(0, 0, 10, 30))
        assert np.array_equal(found, expected[:, left : left + 10])
    assert times == [row.label]
    layer(row.label, [square(0, 0, 1, 1), square(0, 0, 50, 30)], **{"class": ["water"] * 2})
    assert (read(row) == 2).all()
    assert times == [row.label] * 2
