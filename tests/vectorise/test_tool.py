"""`vectorise`: from a class GeoTIFF to a vector file."""

import json
import shutil
import threading

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pyproj import Geod, Transformer
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.features import rasterize

from rsseg.errors import OptionError, OutputError, SceneError
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA
from rsseg.vectorise import VectoriseOptions, assembling, polygonise, tool
from rsseg.vectorise import vectorise as vectorise_with
from rsseg.vectorise.outlines import Batch, outlines
from rsseg.vectorise.rows import on_ground

TRANSFORM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
MAP = np.array([[0, 0, 1, 4], [0, 2, 1, 4], [255, 2, 2, 0], [255, 255, 3, 0]], np.uint8)
SUFFIXES = [".gpkg", ".fgb", ".geojson"]


def vectorise(raster, out, on_progress=lambda done, total: None, **options):
    return vectorise_with(raster, out, options=VectoriseOptions(**options), on_progress=on_progress)


def read(path, layer=None):
    """The first layer as a table; a GeoPackage has its styles beside it."""
    return pyogrio.read_dataframe(path, layer=layer or pyogrio.list_layers(path)[0, 0])


@pytest.fixture
def make_map(tmp_path):
    """A function that writes a class raster with the embedded model's legend."""

    def make(array=MAP, crs="EPSG:32633", transform=TRANSFORM, name="map.tif", legend=LAND_COVER):
        grid = Grid(*array.shape, transform, crs and CRS.from_string(crs))
        write_raster(tmp_path / name, array[None], grid, nodata=NODATA, legend=legend)
        return tmp_path / name

    return make


@pytest.fixture
def folder(tmp_path):
    """Where outputs go, so that what is left behind can be seen."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def cut(monkeypatch):
    """A function that makes the engine's batches no larger than a number of polygons."""

    def to(size):
        def smaller(*args, **kwargs):
            for batch in outlines(*args, **kwargs):
                for start in range(0, len(batch.codes), size):
                    part = slice(start, start + size)
                    confidence = batch.confidence
                    yield Batch(
                        batch.outlines[part],
                        batch.codes[part],
                        confidence if confidence is None else confidence[part],
                        batch.keys[part],
                    )

        monkeypatch.setattr(tool, "outlines", smaller)

    return to


def names(path):
    return sorted(p.name for p in path.iterdir())


# --- what is written


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_the_layer_holds_the_map(make_map, folder, suffix):
    out = folder / f"land{suffix}"
    result = vectorise(make_map(), out)
    assert names(folder) == [out.name]
    info = pyogrio.read_info(out, layer="land")
    assert pyogrio.list_layers(out)[0].tolist() == ["land", "Polygon"]
    assert info["crs"] == "EPSG:32633"
    assert info["geometry_type"] == "Polygon"
    assert list(info["fields"]) == ["class_id", "class", "area_m2", "perimeter_m"]
    assert info["dtypes"].tolist() == ["int32", "object", "float64", "float64"]
    table = read(out)
    assert (table["class"] == [LAND_COVER.by_code(c).name for c in table["class_id"]]).all()
    assert (table["area_m2"] == table.area).all()
    assert table["perimeter_m"].to_numpy() == pytest.approx(table.length)
    expected, codes = polygonise(MAP, TRANSFORM)
    assert sorted(codes.tolist()) == sorted(table["class_id"])
    assert shapely.union_all(expected).equals(table.union_all())
    assert result.to_json() == {
        "out": str(out),
        "layers": ("land",),
        "crs": "EPSG:32633",
        "polygons": len(table),
        "classes": {"building": 2, "land": 1, "road": 1, "vegetation": 1, "water": 1},
        "notes": (),
    }
    assert len(table) == 6
    assert json.dumps(result.to_json())


maps = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
    elements=st.sampled_from([0, 1, 4, 255]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@given(array=maps, connectivity=st.sampled_from([4, 8]), suffix=st.sampled_from([".gpkg", ".fgb"]))
@pytest.mark.parametrize(
    "transform", [TRANSFORM, TRANSFORM @ Affine.scale(1, -1), TRANSFORM @ Affine.rotation(30)]
)
def test_area_is_pixels_and_rasterising_gives_the_map(
    make_map, folder, transform, array, connectivity, suffix
):
    out = folder / f"land{suffix}"
    result = vectorise(
        make_map(array, transform=transform), out, connectivity=connectivity, overwrite=True
    )
    table = read(out)
    for code, name in ((0, "building"), (1, "land"), (4, "water")):
        area = table["area_m2"][table["class"] == name].sum()
        assert area == pytest.approx((array == code).sum() * 0.25, rel=1e-12)
        assert result.classes.get(name, 0) == (table["class_id"] == code).sum()
    drawn = np.full_like(array, 255)
    if len(table):
        pairs = zip(table.geometry, table["class_id"], strict=True)
        drawn = rasterize(pairs, out=drawn, transform=transform)
    assert np.array_equal(drawn, array)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_a_map_of_nodata_is_an_empty_layer(make_map, folder, connectivity):
    raster = make_map(np.full((3, 3), 255, np.uint8))
    for by_class in (False, True):
        out = folder / f"{by_class}.gpkg"
        result = vectorise(raster, out, connectivity=connectivity, by_class=by_class)
        assert (result.polygons, result.classes, result.layers) == (0, {}, (out.stem,))
        info = pyogrio.read_info(out)
        assert (info["features"], info["crs"]) == (0, "EPSG:32633")
        assert info["geometry_type"] == ("Polygon" if connectivity == 4 else "MultiPolygon")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_bytes_however_the_engine_cuts(make_map, folder, suffix, cut):
    raster = make_map(np.random.default_rng(0).integers(0, 5, (40, 30), dtype=np.uint8))
    vectorise(raster, folder / f"a{suffix}", layer="land")
    vectorise(raster, folder / f"b{suffix}", layer="land")
    cut(7)
    vectorise(raster, folder / f"c{suffix}", layer="land")
    assert len({p.read_bytes() for p in folder.iterdir()}) == 1


def test_connectivity_8_writes_multipolygons(make_map, folder):
    array = np.array([[1, 255], [255, 1]], np.uint8)
    result = vectorise(make_map(array), folder / "land.gpkg", connectivity=8)
    table = read(folder / "land.gpkg")
    assert result.polygons == len(table) == 1
    assert table.geom_type.tolist() == ["MultiPolygon"]
    assert table["area_m2"].tolist() == [0.5]


# --- coordinates


def test_geographic_areas_are_geodesic(make_map, folder):
    vectorise(
        make_map(crs="EPSG:4326", transform=Affine(0.001, 0, 13, 0, -0.001, 48)),
        folder / "land.gpkg",
    )
    table = read(folder / "land.gpkg")
    geod = Geod(ellps="WGS84")
    areas = [geod.geometry_area_perimeter(p)[0] for p in table.geometry]
    assert table["area_m2"].to_numpy() == pytest.approx(areas, rel=1e-5)
    lengths = [geod.geometry_length(p.boundary) for p in table.geometry]
    assert table["perimeter_m"].to_numpy() == pytest.approx(lengths)
    assert table.crs.to_epsg() == 4326


def test_feet_become_metres(make_map, folder):
    vectorise(make_map(crs="EPSG:2263"), folder / "land.gpkg")
    table = read(folder / "land.gpkg")
    assert table["area_m2"].to_numpy() == pytest.approx(table.area * (1200 / 3937) ** 2)
    assert table["perimeter_m"].to_numpy() == pytest.approx(table.length * 1200 / 3937)
    assert table.crs.to_epsg() == 2263


def test_geojson_is_in_longitude_and_latitude(make_map, folder):
    result = vectorise(make_map(), folder / "land.geojson")
    assert result.crs == "EPSG:4326"
    content = json.loads((folder / "land.geojson").read_text(encoding="utf-8"))
    assert content["name"] == "land"
    assert len(content["features"]) == result.polygons
    to_lon_lat = Transformer.from_crs(32633, 4326, always_xy=True)
    expected, codes = polygonise(MAP, TRANSFORM)
    expected = shapely.transform(expected, to_lon_lat.transform, interleaved=False)
    table = read(folder / "land.geojson")
    assert table["class_id"].tolist() == codes.tolist()
    assert table["area_m2"].sum() == (MAP != 255).sum() * 0.25
    for mine, theirs in zip(expected, table.geometry, strict=True):
        assert mine.symmetric_difference(theirs).area < 1e-3 * mine.area
        assert theirs.exterior.is_ccw


def test_geojson_keeps_long_edges_in_place(make_map, folder):
    """Straight in the projection is not straight in longitude and latitude."""
    transform = TRANSFORM @ Affine.scale(200)
    vectorise(make_map(np.zeros((1, 600), np.uint8), transform=transform), folder / "a.geojson")
    to_lon_lat = Transformer.from_crs(32633, 4326, always_xy=True)
    every_corner = shapely.segmentize(shapely.box(0, 0, 600, 1), 1)
    expected = shapely.transform(
        on_ground(np.array([every_corner]), transform), to_lon_lat.transform, interleaved=False
    )[0]
    (found,) = read(folder / "a.geojson").geometry
    assert found.symmetric_difference(expected).area < 0.001 * expected.area


def test_geojson_is_cut_at_the_180th_meridian(make_map, folder):
    # the meridian runs at easting 166 km on the equator, at the edge of zone 1
    transform = Affine(1000, 0, 160_000, 0, -1000, 1_000_000)
    vectorise(
        make_map(np.zeros((4, 40), np.uint8), "EPSG:32601", transform), folder / "land.geojson"
    )
    table = read(folder / "land.geojson")
    assert table.geom_type.tolist() == ["MultiPolygon"]
    assert shapely.area(table.geometry).sum() == pytest.approx(40 * 4 / 111**2, rel=0.05)


# --- choices


@pytest.fixture
def asked(monkeypatch):
    """What the engine is asked for."""
    seen = {}

    def remember(raster, **kwargs):
        seen.update(kwargs)
        yield from ()

    monkeypatch.setattr(tool, "outlines", remember)
    return seen


@pytest.mark.parametrize(
    ("crs", "transform", "area"),
    [
        ("EPSG:32633", TRANSFORM, 0.25),
        ("EPSG:2263", Affine(2, 0, 1e6, 0, -3, 2e5), 6 * (1200 / 3937) ** 2),
        ("EPSG:32633", TRANSFORM @ Affine.rotation(30) @ Affine.scale(2), 1),
    ],
)
def test_metres_become_pixels(make_map, folder, asked, crs, transform, area):
    raster = make_map(crs=crs, transform=transform)
    result = vectorise(raster, folder / "a.gpkg", sieve=5, min_area=12, simplify=3, smooth=True)
    assert (asked["sieve"], asked["smooth"]) == (5, True)
    assert asked["min_area"] == pytest.approx(12 / area)
    assert asked["simplify"] == pytest.approx(3 / area**0.5)
    assert result.notes == ()


def test_degrees_become_pixels_of_the_middle(make_map, folder, asked):
    raster = make_map(
        np.zeros((2001, 1), np.uint8), "EPSG:4326", Affine(0.01, 0, 13, 0, -0.01, 70.005)
    )
    result = vectorise(raster, folder / "a.gpkg", min_area=1e6, simplify=100)
    x, y = [13, 13.01, 13.01, 13], [59.995, 59.995, 60.005, 60.005]
    area, _ = Geod(ellps="WGS84").polygon_area_perimeter(x, y)
    assert asked["min_area"] == pytest.approx(1e6 / area, rel=1e-6)
    assert asked["simplify"] == pytest.approx(100 / area**0.5, rel=1e-6)
    assert result.notes == (
        f"{raster} is in degrees: metres were taken as pixels of {area:.4g} m², their size in "
        "its middle",
    )
    assert vectorise(raster, folder / "b.gpkg", sieve=2).notes == ()


@pytest.mark.parametrize("classes", [("water", "land"), ("4", "1"), ("water", "1")])
def test_only_some_classes(make_map, folder, classes):
    result = vectorise(make_map(), folder / "a.gpkg", classes=classes)
    assert result.classes == {"land": 1, "water": 1}
    assert set(read(folder / "a.gpkg")["class_id"]) == {1, 4}


def test_a_class_by_its_code_needs_no_name(make_map, folder):
    result = vectorise(make_map(np.array([[0, 9]], np.uint8)), folder / "a.gpkg", classes=("9",))
    assert result.classes == {"class 9": 1}
    nothing = vectorise(make_map(), folder / "b.gpkg", classes=("9",))
    assert (nothing.polygons, nothing.classes) == (0, {})


@pytest.mark.parametrize("name", ["watr", "255", "-1"])
def test_other_classes_are_refused(make_map, folder, name):
    hint = "; did you mean 'water'" if name == "watr" else ""
    with pytest.raises(OptionError, match=f"has no class '{name}', expected one of build.*{hint}"):
        vectorise(make_map(), folder / "a.gpkg", classes=("water", name))
    assert names(folder) == []


def test_a_layer_for_each_class(make_map, folder):
    result = vectorise(make_map(), folder / "a.gpkg", by_class=True, classes=("land", "building"))
    assert result.layers == ("building", "land")
    assert result.classes == {"building": 2, "land": 1}
    assert pyogrio.list_layers(folder / "a.gpkg")[:2, 0].tolist() == ["building", "land"]
    assert set(read(folder / "a.gpkg", "building")["class"]) == {"building"}
    with pytest.raises(OptionError, match="FlatGeobuf has one layer"):
        vectorise(make_map(), folder / "a.fgb", by_class=True)


@pytest.mark.parametrize(
    "options",
    [
        {"sieve": -1},
        {"min_area": -0.5},
        {"simplify": float("nan")},
        {"min_area": float("inf")},
        {"connectivity": 6},
        {"layer": "a", "by_class": True},
    ],
)
def test_values_out_of_range_are_refused(options):
    with pytest.raises(OptionError):
        VectoriseOptions(**options)


# --- names and validity


def test_codes_beyond_the_legend_have_a_name(make_map, folder):
    result = vectorise(make_map(np.array([[0, 9], [9, 200]], np.uint8)), folder / "land.gpkg")
    assert result.classes == {"building": 1, "class 9": 2, "class 200": 1}
    table = read(folder / "land.gpkg")
    assert set(table["class"]) == {"building", "class 9", "class 200"}


def test_a_raster_without_legend_has_numbered_classes(make_scene, folder):
    raster = make_scene(pixels=np.array([[[3, 254, 255]]], np.uint8))
    result = vectorise(raster, folder / "land.gpkg")
    assert result.classes == {"class 3": 1, "class 254": 1}  # 255 is never a class


def test_names_may_hold_any_letter(make_map, folder):
    legend = type(LAND_COVER).of({"Wald & Gebüsch": (0, 90, 0), "水域": (0, 0, 200)})
    result = vectorise(make_map(np.array([[0, 1]], np.uint8), legend=legend), folder / "ä b.gpkg")
    assert list(result.classes) == ["Wald & Gebüsch", "水域"]
    table = read(folder / "ä b.gpkg")
    assert set(table["class"]) == {"Wald & Gebüsch", "水域"}


def test_nodata_other_than_255(make_scene, folder):
    valid = np.array([[True, False, True]])
    raster = make_scene(
        pixels=np.array([[[1, 7, 2]]], np.uint8), valid=valid, validity="nodata", nodata=7
    )
    assert vectorise(raster, folder / "land.gpkg").classes == {"class 1": 1, "class 2": 1}


def test_pixels_hidden_by_a_mask_get_no_polygon(make_scene, folder):
    valid = np.random.default_rng(3).random((20, 20)) > 0.3
    pixels = np.random.default_rng(4).integers(0, 3, (1, 20, 20), dtype=np.uint8)
    raster = make_scene(pixels=pixels, valid=valid, validity="mask")
    seen = []
    vectorise(raster, folder / "land.gpkg", on_progress=lambda *step: seen.append(step))
    table = read(folder / "land.gpkg")
    drawn = rasterize(
        zip(table.geometry, table["class_id"], strict=True), (20, 20), 255, transform=TRANSFORM
    )
    assert np.array_equal(drawn, np.where(valid, pixels[0], 255))
    assert seen[-1] == (400, 400)


def test_progress_counts_pixels(make_map, folder):
    seen = []
    vectorise(make_map(), folder / "land.gpkg", on_progress=lambda *step: seen.append(step))
    assert seen == sorted(seen)
    assert seen[-1] == (16, 16)


# --- refusals


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.shp", "Shapefile cuts the name"),
        ("a.kml", "expected a name ending in"),
    ],
)
def test_other_formats_are_refused(make_map, folder, name, reason):
    with pytest.raises(OptionError, match=reason):
        vectorise(make_map(), folder / name)
    assert names(folder) == []


def test_what_is_there_stays_unless_overwritten(make_map, folder):
    out = folder / "land.gpkg"
    vectorise(make_map(), out)
    before = out.read_bytes()
    with pytest.raises(OutputError, match=r"is already there; add --overwrite"):
        vectorise(make_map(), out)
    assert out.read_bytes() == before
    vectorise(make_map(np.zeros((2, 2), np.uint8)), out, overwrite=True)
    assert len(read(out)) == 1
    assert pyogrio.list_layers(out)[:, 0].tolist() == ["land", "layer_styles"]


def test_the_raster_itself_is_not_replaced(tmp_path):
    path = tmp_path / "map.gpkg"
    with rasterio.open(
        path, "w", driver="GPKG", width=8, height=8, count=1, dtype="uint8",
        crs="EPSG:3857", transform=Affine(1, 0, 10, 0, -1, 10),
    ) as target:  # fmt: skip
        target.write(np.ones((1, 8, 8), np.uint8))
    before = path.read_bytes()
    with pytest.raises(OptionError, match="would replace its own input"):
        vectorise(path, path, overwrite=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("bands", "dtype", "got"),
    [(3, "uint8", "3 bands of uint8"), (1, "float32", "1 band of float32"), (1, "int16", "int16")],
)
def test_other_rasters_are_refused(make_scene, folder, bands, dtype, got):
    raster = make_scene(bands=bands, dtype=dtype)
    with pytest.raises(SceneError, match=f"not a class raster, expected one band .* got .*{got}"):
        vectorise(raster, folder / "land.gpkg")
    assert names(folder) == []


@pytest.mark.parametrize("crs", [None, "EPSG:32633"])
def test_a_raster_without_a_place_is_refused(make_map, folder, crs):
    raster = make_map(crs=crs, transform=Affine.identity())
    with pytest.raises(SceneError, match=r"no place on the ground.*georeference it"):
        vectorise(raster, folder / "land.gpkg")
    assert names(folder) == []


def test_ground_control_points_are_no_place_yet(make_scene, folder):
    raster = make_scene(bands=1, crs=None, transform=Affine.identity())
    corners = [(0, 0, 5e5, 5e6), (0, 64, 5e5 + 64, 5e6), (64, 0, 5e5, 5e6 - 64)]
    with rasterio.open(raster, "r+") as target:
        target.gcps = (
            [GroundControlPoint(*corner) for corner in corners],
            CRS.from_epsg(32633),
        )
    with pytest.raises(SceneError, match=r"ground control points.*warp it"):
        vectorise(raster, folder / "land.gpkg")


def test_a_missing_raster(folder):
    with pytest.raises(SceneError, match="there is no file"):
        vectorise(folder / "no.tif", folder / "land.gpkg")


# --- failures


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_leaves_what_was_there(make_map, folder, suffix):
    out = folder / f"land{suffix}"
    vectorise(make_map(), out)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vectorise(make_map(), out, overwrite=True, on_progress=stop)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_damaged_raster_is_no_empty_layer(make_map, folder):
    raster = make_map(np.random.default_rng(0).integers(0, 5, (600, 300), dtype=np.uint8))
    content = bytearray(raster.read_bytes())
    quarter = len(content) // 4
    content[quarter : 3 * quarter] = bytes(2 * quarter)
    raster.write_bytes(content)
    with pytest.raises(SceneError, match=r"cannot be read.*; the file is damaged"):
        vectorise(raster, folder / "land.gpkg")
    assert names(folder) == []


def test_a_folder_with_odd_letters(make_map, tmp_path):
    odd = tmp_path / "ä [1] b"
    odd.mkdir()
    raster = shutil.copy(make_map(), odd / "map.tif")
    vectorise(raster, odd / "land.gpkg")
    assert names(odd) == ["land.gpkg", "map.tif"]


def test_a_writer_that_fails_stops_the_readers(make_map, folder, monkeypatch):
    """The error holds the frames of the call, so that nothing in them is closed by itself."""

    def fail(out, layer, rows, *rest, **options):
        next(rows)
        raise OutputError("the disk is full")

    monkeypatch.setattr(assembling, "_WORTH", 0)
    monkeypatch.setattr(tool, "write_layers", fail)
    raster = make_map(np.indices((200, 300)).sum(axis=0).astype(np.uint8) % 4)
    with pytest.raises(OutputError) as error:
        vectorise(raster, folder / "a.gpkg", sieve=2, memory=75_000)
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("read", "outlines"))]
    assert error.value is not None


@pytest.mark.parametrize("side", [0.1, 0.3, 0.07])
def test_a_region_of_just_the_least_area_stays(make_map, folder, side):
    """Whatever the size of a pixel is rounded to."""
    array = np.zeros((60, 60), np.uint8)
    for size in range(1, 15):
        array[4 * size - 3, 1 : 1 + 3 * size] = 1
    raster = make_map(array, transform=Affine(side, 0, 0, 0, -side, 0))
    for size in range(1, 15):
        out = folder / f"{size}.gpkg"
        vectorise(raster, out, min_area=round(3 * size * side**2, 6))
        assert (read(out)["class_id"] == 1).sum() == 15 - size
