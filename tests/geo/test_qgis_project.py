"""QGIS projects, read as XML; what QGIS makes of them is told by ``tests/qgis``."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS

from rsseg.errors import (
    BandError,
    GridMismatch,
    LegendError,
    OptionError,
    OutputError,
    RssegError,
    SceneError,
)
from rsseg.geo.qgis_layers import scene_layer
from rsseg.geo.qgis_project import write_project
from rsseg.legend import LAND_COVER

TRANSFORM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
ROTATED = TRANSFORM @ Affine.rotation(30)
CONFIDENCE = {"bands": 1, "dtype": "float32"}

Make = Callable[..., Path]


@pytest.fixture
def land_map(make_map: Make) -> Path:
    """A map of 64 x 64 pixels."""
    return make_map()


def _polygons(path: Path, layers: dict[str, list[str]], crs: str | None = "EPSG:32633") -> Path:
    """A file with layers of squares of these classes."""
    for name, classes in layers.items():
        squares = [shapely.box(400_000 + i, 4_999_990, 400_001 + i, 4_999_995) for i in range(64)]
        frame = geopandas.GeoDataFrame(
            {"class": classes}, geometry=squares[: len(classes)], crs="EPSG:32633"
        )
        frame = frame.set_crs(None, allow_override=True) if crs is None else frame.to_crs(crs)
        frame.to_file(path, layer=name)
    return path


def _read(project: Path) -> Element:
    with zipfile.ZipFile(project) as archive:
        assert archive.namelist() == [f"{project.stem}.qgs"]
        return ElementTree.fromstring(archive.read(f"{project.stem}.qgs"))


def _layers(root: Element) -> dict[str, Element]:
    """Layers by the first word of their name."""
    found = root.findall("projectlayers/maplayer")
    return {str(layer.findtext("layername")).partition(":")[0]: layer for layer in found}


def _extent(element: Element) -> list[float]:
    return [float(element.findtext(f"extent/{tag}", "")) for tag in _EDGES]


_EDGES = ("xmin", "ymin", "xmax", "ymax")


# --- the whole


def test_tree_and_layers_tell_the_same(make_scene: Make, land_map: Path) -> None:
    out = land_map.with_name("map.qgz")
    result = write_project(
        land_map,
        out,
        scene=make_scene("scene.tif"),
        polygons=_polygons(land_map.with_name("map.gpkg"), {"map": ["land", "water"]}),
        confidence=make_scene("sure.tif", **CONFIDENCE),
    )
    root = _read(out)
    names = ("polygons: map", "classes: map", "confidence: sure", "scene: scene")
    assert (result.out, result.crs, result.layers) == (str(out), "EPSG:32633", names)
    assert result.notes == ()
    tree = root.findall("layer-tree-group/layer-tree-layer")
    layers = root.findall("projectlayers/maplayer")
    assert tuple(each.get("name") for each in tree) == names
    assert [each.get("checked") for each in tree] == [
        "Qt::Checked",
        "Qt::Unchecked",
        "Qt::Unchecked",
        "Qt::Checked",
    ]
    for each, layer in zip(tree, layers, strict=True):
        assert each.get("id") == layer.findtext("id")
        assert len(str(each.get("id"))) > 10, "QGIS renames layers of shorter ones"
        assert each.get("source") == layer.findtext("datasource")
        assert each.get("providerKey") == layer.findtext("provider")
    assert len({layer.findtext("id") for layer in layers}) == len(layers)
    assert root.findtext("projectCrs/spatialrefsys/authid") == "EPSG:32633"
    assert root.findtext("properties/Measure/Ellipsoid") == "EPSG:7030"


@pytest.mark.parametrize("transform", [TRANSFORM, ROTATED, TRANSFORM @ Affine.scale(1, -1)])
def test_it_opens_where_the_map_lies(make_map: Make, tmp_path: Path, transform: Affine) -> None:
    land_map = make_map(transform=transform)
    write_project(land_map, tmp_path / "map.qgz")
    root = _read(tmp_path / "map.qgz")
    x, y = zip(
        *(transform @ corner for corner in [(0, 0), (64, 0), (0, 64), (64, 64)]), strict=True
    )
    bounds = [min(x), min(y), max(x), max(y)]
    assert _extent(_layers(root)["classes"]) == pytest.approx(bounds)
    canvas = root.find("mapcanvas")
    assert canvas is not None
    west, south, east, north = _extent(canvas)
    assert west < bounds[0] < bounds[2] < east
    assert south < bounds[1] < bounds[3] < north
    assert east - west < 1.1 * (bounds[2] - bounds[0])


@pytest.mark.parametrize("folder", [".", "project", "deep"])
def test_sources_are_relative_to_the_project(
    make_map: Make,
    make_scene: Make,
    tmp_path: Path,
    folder: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    land_map = make_map('ma"ps <&> ä/map.tif')
    polygons = _polygons(land_map.with_name("map.gpkg"), {"a b": ["land"]})
    scene = make_scene("scenes/scene.tif")
    (tmp_path / folder).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path)
    out = Path(folder) / "map.qgz"
    write_project(
        land_map.relative_to(tmp_path), out, scene=scene, polygons=polygons.relative_to(tmp_path)
    )
    sources = {
        name: str(layer.findtext("datasource")) for name, layer in _layers(_read(out)).items()
    }
    monkeypatch.chdir(tmp_path / folder)
    for name, path in {"classes": land_map, "scene": scene}.items():
        assert os.path.samefile(sources[name], path)
        assert sources[name].startswith("./" if folder == "." else "../")
    file, _, layer = sources["polygons"].partition("|layername=")
    assert os.path.samefile(file, polygons)
    assert layer == "a b"


def test_bytes_do_not_depend_on_time_or_place(make_map: Make) -> None:
    contents = []
    for name in ("first", "second"):
        land_map = make_map(f"{name}/map.tif")
        write_project(land_map, land_map.with_name("map.qgz"))
        contents.append(land_map.with_name("map.qgz").read_bytes())
    assert contents[0] == contents[1]


def test_classes_stand_out_alone_and_wait_under_polygons(land_map: Path) -> None:
    alone, covered = land_map.with_name("a.qgz"), land_map.with_name("b.qgz")
    write_project(land_map, alone)
    polygons = _polygons(land_map.with_name("map.gpkg"), {"map": ["land"]})
    write_project(land_map, covered, polygons=polygons)
    for out, checked in ((alone, "Qt::Checked"), (covered, "Qt::Unchecked")):
        tree = _read(out).findall("layer-tree-group/layer-tree-layer")
        assert [each.get("checked") for each in tree if each.get("name") == "classes: map"] == [
            checked
        ]


def test_a_crs_without_a_code_is_written_in_words(make_map: Make, tmp_path: Path) -> None:
    crs = CRS.from_proj4("+proj=laea +lat_0=51 +lon_0=10.5 +a=6370000 +b=6360000 +units=m")
    write_project(make_map(crs=crs), tmp_path / "map.qgz")
    root = _read(tmp_path / "map.qgz")
    reference = root.find("projectCrs/spatialrefsys")
    assert reference is not None
    assert reference.find("authid") is None
    assert CRS.from_wkt(str(reference.findtext("wkt"))) == crs
    assert root.findtext("properties/Measure/Ellipsoid") == "PARAMETER:6370000.0:6360000.0"


# --- scenes


def _scene_renderer(project: Path) -> Element:
    renderer = _layers(_read(project))["scene"].find("pipe/rasterrenderer")
    assert renderer is not None
    return renderer


def _drawn(renderer: Element) -> list[int]:
    if renderer.get("type") == "singlebandgray":
        return [int(renderer.get("grayBand", ""))]
    return [int(renderer.get(f"{colour}Band", "")) for colour in ("red", "green", "blue")]


@pytest.mark.parametrize(
    ("scene", "bands", "drawn"),
    [
        ({}, None, [1, 2, 3]),
        ({"bands": 1}, None, [1]),
        ({"bands": 2, "photometric": "minisblack"}, None, [1]),
        ({"bands": 4, "descriptions": ("blue", "green", "red", "nir")}, None, [3, 2, 1]),
        ({"bands": 5, "descriptions": ("", "", "", "", "")}, None, [1, 2, 3]),
        ({"validity": "alpha"}, None, [1, 2, 3]),
        ({"bands": 4}, [4, "green", "3"], [4, 2, 3]),
        ({"bands": 4}, [2], [2]),
    ],
)
def test_bands_are_those_asked_for_else_those_the_eye_sees(
    make_scene: Make, land_map: Path, scene: dict[str, Any], bands: Any, drawn: list[int]
) -> None:
    out = land_map.with_name("map.qgz")
    write_project(land_map, out, scene=make_scene(**scene), bands=bands)
    assert _drawn(_scene_renderer(out)) == drawn


@pytest.mark.parametrize(
    ("validity", "band"), [("none", -1), ("nodata", -1), ("alpha", 4), ("mask", 4)]
)
def test_what_the_scene_calls_invalid_is_transparent(
    make_scene: Make, land_map: Path, validity: str, band: int
) -> None:
    out = land_map.with_name("map.qgz")
    valid = np.tri(64, dtype=bool) if validity != "none" else None
    write_project(land_map, out, scene=make_scene(valid=valid, validity=validity))
    assert _scene_renderer(out).get("alphaBand") == str(band)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("bands", [1, 3])
def test_all_but_bytes_are_stretched_over_their_valid_values(
    make_scene: Make, land_map: Path, dtype: str, bands: int
) -> None:
    ramp = np.linspace(0, 100, 64 * 64).reshape(64, 64)
    pixels = np.stack([ramp + 50 * band for band in range(bands)]).astype(dtype)
    valid = np.ones((64, 64), bool)
    valid[:, :8] = False
    out = land_map.with_name("map.qgz")
    scene = make_scene(pixels=pixels, valid=valid, validity="nodata", nodata=255)
    write_project(land_map, out, scene=scene)
    for band, stretch in enumerate(
        each for each in _scene_renderer(out) if each.tag.lower().endswith("contrastenhancement")
    ):
        limits = [float(stretch.findtext(tag, "")) for tag in ("minValue", "maxValue")]
        expected = np.percentile(pixels[band][valid], (2, 98)) if dtype != "uint8" else (0, 255)
        assert limits == pytest.approx(list(expected))
    assert band == bands - 1


@pytest.mark.parametrize("value", [0, 7])
def test_a_scene_of_one_value_or_none_has_limits_too(
    make_scene: Make, land_map: Path, value: int
) -> None:
    out = land_map.with_name("map.qgz")
    scene = make_scene(
        pixels=np.full((1, 64, 64), value, np.uint16),
        valid=np.full((64, 64), value > 0),
        validity="nodata",
    )
    write_project(land_map, out, scene=scene)
    renderer = _scene_renderer(out)
    low, high = (
        float(renderer.findtext(f"contrastEnhancement/{tag}", ""))
        for tag in ("minValue", "maxValue")
    )
    assert low == value
    assert high > low


def test_a_scene_in_an_archive_is_named_as_gdal_does(make_scene: Make, land_map: Path) -> None:
    archive = land_map.with_name("scenes.zip")
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.write(make_scene(), "scene.tif")
    out = land_map.with_name("map.qgz")
    write_project(land_map, out, scene=f"zip://{archive}!scene.tif")
    source = _layers(_read(out))["scene"].findtext("datasource")
    assert source == f"/vsizip/{archive}/scene.tif"


def test_odd_files_are_scenes_or_refused_in_one_sentence(real_data: Path) -> None:
    drawn, reasons = 0, []
    for path in sorted((real_data / "geotiff").rglob("*.tif")):
        try:
            layer = scene_layer(path)
        except RssegError as error:
            reasons.append(str(error))
            continue
        assert layer.bounds is not None
        assert layer.bounds[0] < layer.bounds[2], path
        assert layer.bounds[1] < layer.bounds[3], path
        drawn += 1
    assert drawn > 20
    assert not [reason for reason in reasons if "\n" in reason]


@pytest.mark.parametrize(
    ("dtype", "scale", "white"),
    [("float32", None, 1), ("uint8", 1 / 254, 1), ("uint8", None, 254)],
)
def test_full_confidence_is_white(
    make_scene: Make, land_map: Path, dtype: str, scale: float | None, white: float
) -> None:
    path = make_scene("sure.tif", bands=1, dtype=dtype)
    if scale is not None:
        with rasterio.open(path, "r+") as dataset:
            dataset.scales = (scale,)
    out = land_map.with_name("map.qgz")
    write_project(land_map, out, confidence=path)
    layer = _layers(_read(out))["confidence"]
    assert layer.findtext("pipe/rasterrenderer/contrastEnhancement/minValue") == "0.0"
    assert float(layer.findtext("pipe/rasterrenderer/contrastEnhancement/maxValue", "")) == white


def test_a_map_without_colours_gets_some(make_scene: Make, tmp_path: Path) -> None:
    codes = np.full((1, 64, 64), 7, np.int16)
    codes[:, 30:] = 20
    result = write_project(make_scene("plain.tif", pixels=codes), tmp_path / "map.qgz")
    assert result.notes == ()
    entries = _layers(_read(Path(result.out)))["classes"].findall(".//paletteEntry")
    assert [each.get("label") for each in entries] == ["class 7", "class 20"]
    assert len({each.get("color") for each in entries}) == 2
    grey = write_project(make_scene("grey.tif", bands=1), tmp_path / "grey.qgz")
    assert "is it a map of classes?" in grey.notes[0]


# --- polygons


def _categories(layer: Element) -> list[str | None]:
    return [each.get("value") for each in layer.findall("renderer-v2/categories/category")]


def test_layers_by_class_show_their_own_classes_only(land_map: Path) -> None:
    out = land_map.with_name("map.qgz")
    polygons = _polygons(
        land_map.with_name("map.gpkg"),
        {"towns": ["building", "building"], "nature": ["water", "vegetation"], "none": []},
    )
    points = geopandas.GeoDataFrame(
        {"class": ["land"]}, geometry=[shapely.Point(4e5, 5e6)], crs="EPSG:32633"
    )
    points.to_file(polygons, layer="points")
    other = geopandas.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32633)
    other.to_file(polygons, layer="other")
    result = write_project(land_map, out, polygons=polygons)
    found = [
        layer
        for layer in _read(out).findall("projectlayers/maplayer")
        if layer.get("type") == "vector"
    ]
    assert [layer.findtext("layername") for layer in found] == [
        "polygons: towns",
        "polygons: nature",
        "polygons: none",
    ]
    assert [_categories(layer) for layer in found] == [
        ["building"],
        ["vegetation", "water"],
        list(LAND_COVER.names),
    ]
    assert result.layers[-1] == "classes: map"


def test_classes_that_the_map_does_not_name_are_told(land_map: Path) -> None:
    polygons = _polygons(land_map.with_name("map.gpkg"), {"map": ["land", "sand"]})
    result = write_project(land_map, land_map.with_name("map.qgz"), polygons=polygons)
    (note,) = result.notes
    assert "sand" in note
    assert "land," not in note


@pytest.mark.parametrize("suffix", [".geojson", ".fgb"])
def test_polygons_and_scene_may_have_another_crs(
    make_scene: Make, land_map: Path, suffix: str
) -> None:
    polygons = _polygons(land_map.with_suffix(suffix), {"map": ["land"]}, "EPSG:4326")
    with rasterio.open(land_map) as dataset:
        (west, east), (south, north) = rasterio.warp.transform(
            dataset.crs, "EPSG:4326", *zip(*[dataset.bounds[:2], dataset.bounds[2:]], strict=True)
        )
    degrees = Affine((east - west) / 64, 0, west, 0, (south - north) / 64, north)
    scene = make_scene(crs="EPSG:4326", transform=degrees)
    out = land_map.with_name("map.qgz")
    assert write_project(land_map, out, scene=scene, polygons=polygons).crs == "EPSG:32633"
    layers = _layers(_read(out))
    references = {
        name: layer.findtext("srs/spatialrefsys/authid") for name, layer in layers.items()
    }
    assert references == {"polygons": "EPSG:4326", "classes": "EPSG:32633", "scene": "EPSG:4326"}


# --- refusals


def _control_points(folder: Path, make_scene: Make) -> None:
    corners = [(0, 0), (0, 64), (64, 0), (64, 64)]
    points = [rasterio.control.GroundControlPoint(r, c, 4e5 + c, 5e6 - r) for r, c in corners]
    scene = make_scene("gcps.tif", crs=None, transform=Affine.identity())
    with rasterio.open(scene, "r+") as dataset:
        dataset.gcps = (points, CRS.from_epsg(32633))


def _unnamed(folder: Path, make_scene: Make) -> None:
    square = geopandas.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32633)
    square.to_file(folder / "unnamed.gpkg")


_SCENES: dict[str, dict[str, Any]] = {
    "scene.tif": {},
    "nowhere.tif": {"bands": 1, "crs": None, "transform": Affine.identity()},
    "far.tif": {"transform": Affine.translation(10_000, 0) @ TRANSFORM},
}
_OTHERS: dict[Any, Callable[[Path, Make], object]] = {
    "gcps.tif": _control_points,
    "map.gpkg": lambda folder, make: _polygons(folder / "map.gpkg", {"map": ["land"]}),
    "others.gpkg": lambda folder, make: _polygons(folder / "others.gpkg", {"a": ["wheat", "rye"]}),
    "nowhere.gpkg": lambda folder, make: _polygons(
        folder / "nowhere.gpkg", {"map": ["land"]}, crs=None
    ),
    "unnamed.gpkg": _unnamed,
}


@pytest.mark.parametrize(
    ("given", "error", "reason"),
    [
        ({"raster": "missing.tif"}, SceneError, "no file"),
        ({"raster": "scene.tif"}, SceneError, "not a class raster"),
        ({"raster": "nowhere map.tif"}, SceneError, "no place on the ground"),
        ({"raster": "map.gpkg"}, SceneError, "cannot be opened as a raster"),
        ({"scene": "missing.tif"}, SceneError, "no file"),
        ({"scene": "nowhere.tif"}, SceneError, "no place on the ground"),
        ({"scene": "gcps.tif"}, SceneError, "gdalwarp"),
        ({"scene": "far.tif"}, GridMismatch, "different places"),
        ({"scene": "scene.tif", "bands": ["nir"]}, BandError, "no band 'nir'"),
        ({"scene": "scene.tif", "bands": [1, 2]}, OptionError, "3 bands or 1"),
        ({"bands": [1, 2, 3]}, OptionError, "name the scene"),
        ({"polygons": "missing.gpkg"}, SceneError, "no file"),
        ({"polygons": "scene.tif"}, SceneError, "as polygons"),
        ({"polygons": "unnamed.gpkg"}, SceneError, "no polygons with a field 'class'"),
        ({"polygons": "others.gpkg"}, LegendError, "another map"),
        ({"polygons": "nowhere.gpkg"}, SceneError, "no place on the ground"),
        ({"confidence": "missing.tif"}, SceneError, "no file"),
        ({"confidence": "scene.tif"}, SceneError, "1 band"),
        ({"confidence": "nowhere.tif"}, SceneError, "no place"),
        ({"out": "map.qgs"}, OptionError, "ending in .qgz"),
        ({"out": "missing/map.qgz"}, OutputError, "no folder"),
        ({"out": "old.qgz"}, OutputError, "already there"),
    ],
)
@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_refusals_are_one_sentence_and_write_nothing(
    make_map: Make,
    make_scene: Make,
    tmp_path: Path,
    given: dict[str, Any],
    error: type[RssegError],
    reason: str,
) -> None:
    (tmp_path / "old.qgz").write_text("mine")
    call = {"raster": "map.tif", "out": "new.qgz"} | given
    make_map("map.tif")
    make_map("nowhere map.tif", crs=None)
    for name in filter(_SCENES.__contains__, map(str, call.values())):
        make_scene(name, **_SCENES[name])
    for name in filter(_OTHERS.__contains__, map(str, call.values())):
        _OTHERS[name](tmp_path, make_scene)
    paths = {key: value if key == "bands" else tmp_path / value for key, value in call.items()}
    with pytest.raises(error, match=reason) as caught:
        write_project(**paths)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "old.qgz").read_text() == "mine"
    assert [path.name for path in tmp_path.glob("*.qg*")] == ["old.qgz"]


def test_an_old_project_goes_only_when_told(land_map: Path) -> None:
    out = land_map.with_name("map.qgz")
    out.write_text("mine")
    write_project(land_map, out, overwrite=True)
    assert _read(out).tag == "qgis"
