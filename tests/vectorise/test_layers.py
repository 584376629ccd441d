"""Vector files: every row in every format, the same bytes however rows are cut, styles."""

import functools
import shutil
import sqlite3
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from rasterio.crs import CRS

from rsseg.errors import MissingExtra, OptionError, OutputError
from rsseg.geo.gis_sidecars import polygon_style
from rsseg.legend import LAND_COVER, LandClass, Legend
from rsseg.vectorise import layers
from rsseg.vectorise.formats import FORMATS, format_of, require_writable
from rsseg.vectorise.layers import write_layers
from rsseg.vectorise.rows import Layer, Rows

UTM = CRS.from_epsg(32633)
LAYER = Layer("land", UTM, confidence=True)
SUFFIXES = [
    pytest.param(
        suffix,
        marks=pytest.mark.skipif(
            suffix == ".parquet" and not find_spec("pyarrow"), reason="pyarrow is not installed"
        ),
    )
    for suffix in FORMATS
]


def rows(count=50, seed=0):
    generator = np.random.default_rng(seed)
    x, y = generator.integers(0, 1000, (2, count)) + [[400_000], [5_000_000]]
    width, height = generator.integers(1, 50, (2, count))
    polygons = shapely.box(x, y, x + width, y + height)
    codes = generator.integers(0, 5, count).astype(np.int32)
    confidence = generator.random(count)
    confidence[::7] = np.nan
    names = np.array(LAND_COVER.names, object)[codes]
    return Rows.of(
        polygons, codes, names, shapely.area(polygons), shapely.length(polygons), confidence
    )


def cut(table, size):
    return [table[start : start + size] for start in range(0, len(table), size)]


def legend():
    return LAND_COVER


def read(path, layer=None):
    if path.suffix == ".parquet":
        return geopandas.read_parquet(path)
    return pyogrio.read_dataframe(path, layer=layer or pyogrio.list_layers(path)[0, 0])


def names(path):
    return sorted(p.name for p in path.iterdir())


# --- rows and bytes


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_row_is_there(tmp_path, suffix):
    table = rows()
    assert write_layers(tmp_path / f"a{suffix}", LAYER, cut(table, 7), legend) == ("land",)
    assert names(tmp_path) == [f"a{suffix}"]
    found = read(tmp_path / f"a{suffix}")
    if suffix == ".geojson":
        assert found.crs.to_epsg() == 4326
        found = found.to_crs(32633)
    assert found.crs.to_epsg() == 32633
    columns = ["class_id", "class", "area_m2", "perimeter_m", "mean_conf", "geometry"]
    assert [name for name in found.columns if name != "bbox"] == columns
    key = np.lexsort((table.perimeters, table.areas, table.codes))
    found = found.sort_values(["class_id", "area_m2", "perimeter_m"], ignore_index=True)
    assert found["class_id"].tolist() == table.codes[key].tolist()
    assert found["class"].tolist() == table.names[key].tolist()
    assert found["area_m2"].tolist() == table.areas[key].tolist()
    assert found["mean_conf"].to_numpy() == pytest.approx(table.confidence[key], nan_ok=True)
    for mine, theirs in zip(table.polygons[key], found.geometry, strict=True):
        off = 1e-3 if suffix == ".geojson" else 0  # m: GeoJSON has nine decimals of a degree
        assert mine.symmetric_difference(theirs).area <= off * mine.length


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_bytes_however_rows_are_cut(tmp_path, suffix):
    table = rows(3000)
    for name, size in (("a", 3000), ("b", 3000), ("c", 113)):
        write_layers(tmp_path / f"{name}{suffix}", LAYER, cut(table, size), legend)
    contents = {p.read_bytes() for p in tmp_path.iterdir()}
    assert len(contents) == 1
    assert pyogrio.get_gdal_config_option("OGR_CURRENT_DATE") is None


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("multi", [False, True])
def test_no_rows_are_an_empty_layer(tmp_path, suffix, multi):
    layer = Layer("land", UTM, multi=multi)
    assert write_layers(tmp_path / f"a{suffix}", layer, [], lambda: None) == ("land",)
    found = read(tmp_path / f"a{suffix}")
    assert len(found) == 0
    if suffix != ".geojson":  # which has a schema in its features alone
        assert found.crs.to_epsg() == 32633
        assert set(layer.fields) <= set(found.columns)
        if suffix != ".parquet":
            info = pyogrio.read_info(tmp_path / f"a{suffix}")
            assert info["geometry_type"] == layer.geometry_type


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_type_of_geometry(tmp_path, suffix):
    table = rows(4)
    pair = shapely.multipolygons(table.polygons[:1].tolist() + [shapely.box(0, 0, 1, 1)])
    mixed = Rows.of(np.array([*table.polygons[:3], pair]), *table.values, multi=True)
    write_layers(tmp_path / f"a{suffix}", Layer("a", UTM, True, True), [mixed], legend)
    found = read(tmp_path / f"a{suffix}")
    assert set(found.geom_type) == {"MultiPolygon"}
    assert sorted(map(len, found.geometry.map(lambda g: list(g.geoms)))) == [1, 1, 1, 2]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_window_finds_its_polygons(tmp_path, suffix):
    table = rows(500)
    write_layers(tmp_path / f"a{suffix}", LAYER, [table], legend)
    box = (400_200, 5_000_300, 400_400, 5_000_500)
    expected = shapely.intersects(table.polygons, shapely.box(*box)).sum()
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        found = geopandas.read_parquet(path, bbox=box)
    elif suffix == ".geojson":
        return
    else:
        layer = pyogrio.list_layers(path)[0, 0]
        found = pyogrio.read_dataframe(path, bbox=box, layer=layer)
        assert pyogrio.read_info(path, layer=layer)["capabilities"]["fast_spatial_filter"]
    assert 0 < len(found) == expected


def test_a_crs_without_a_code_is_kept(tmp_path):
    own = "+proj=laea +lat_0=47.5 +lon_0=14.25 +datum=WGS84 +units=m +type=crs"
    for suffix in (".gpkg", ".fgb"):
        layer = Layer("land", CRS.from_string(own), confidence=True)
        write_layers(tmp_path / f"a{suffix}", layer, [rows()], legend)
        assert read(tmp_path / f"a{suffix}").crs.equals(own)


# --- GeoPackage


def test_a_geopackage_has_the_style_of_its_classes(tmp_path):
    few = Legend(LAND_COVER.classes[:2])
    write_layers(tmp_path / "a.gpkg", LAYER, [rows()], lambda: few)
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as database:
        database.row_factory = sqlite3.Row
        (style,) = database.execute("SELECT * FROM layer_styles").fetchall()
        kinds = dict(database.execute("SELECT table_name, data_type FROM gpkg_contents"))
        (version,) = database.execute("PRAGMA user_version").fetchone()
    assert style["styleQML"] == polygon_style(few)
    assert (style["f_table_name"], style["f_geometry_column"]) == ("land", "geom")
    assert (style["f_table_catalog"], style["f_table_schema"]) == ("", "")
    assert style["useAsDefault"] == 1
    assert style["update_time"].startswith("1970-01-01T00:00:00")
    assert kinds == {"land": "features", "layer_styles": "attributes"}
    assert version < 10400, "GDAL before 3.7 warns of GeoPackage 1.4"


def test_a_layer_for_each_class(tmp_path):
    table = rows(400)
    several = write_layers(tmp_path / "a.gpkg", LAYER, cut(table, 60), legend, by_class=True)
    assert several == LAND_COVER.names
    assert names(tmp_path) == ["a.gpkg"]
    there = pyogrio.list_layers(tmp_path / "a.gpkg").tolist()
    assert there == [*([name, "Polygon"] for name in LAND_COVER.names), ["layer_styles", None]]
    for known in LAND_COVER:
        found = read(tmp_path / "a.gpkg", known.name)
        mine = table.codes == known.code
        assert set(found["class"]) == {known.name}
        assert found["area_m2"].tolist() == table.areas[mine].tolist()
        assert list(found.columns) == [*LAYER.fields, "geometry"]
        assert shapely.equals_identical(found.geometry.array, table.polygons[mine]).all()
        info = pyogrio.read_info(tmp_path / "a.gpkg", layer=known.name)
        assert info["capabilities"]["fast_spatial_filter"]
    styles = read(tmp_path / "a.gpkg", "layer_styles")
    assert styles["f_table_name"].tolist() == list(LAND_COVER.names)
    assert styles["styleQML"][1] == polygon_style(Legend((LAND_COVER.classes[1],)))


def test_layers_by_class_are_the_same_bytes(tmp_path):
    for name, size in (("a", 400), ("b", 60)):
        out = tmp_path / f"{name}.gpkg"
        write_layers(out, LAYER, cut(rows(400), size), legend, by_class=True)
    assert len({p.read_bytes() for p in tmp_path.iterdir()}) == 1


def test_no_class_is_an_empty_layer(tmp_path):
    out = tmp_path / "a.gpkg"
    assert write_layers(out, LAYER, [], lambda: None, by_class=True) == ("land",)
    assert len(read(out, "land")) == 0
    assert names(tmp_path) == ["a.gpkg"]


def test_names_that_sqlite_takes_for_one(tmp_path):
    two = Legend((LandClass(0, "Wald", (0, 9, 0)), LandClass(1, "wald", (0, 99, 0))))
    table = rows()
    few = Rows.of(*(values[table.codes < 2] for values in (table.polygons, *table.values)))
    several = write_layers(tmp_path / "a.gpkg", LAYER, [few], lambda: two, by_class=True)
    assert several == ("Wald 0", "wald 1")
    assert len(read(tmp_path / "a.gpkg", "wald 1")) == (few.codes == 1).sum()


def test_a_class_with_the_name_of_a_table_of_the_format(tmp_path):
    out = tmp_path / "a.gpkg"
    two = Legend((LandClass(0, "Layer_Styles", (0, 9, 0)), LandClass(1, "land", (9, 9, 0))))
    table = rows()
    few = Rows.of(*(values[table.codes < 2] for values in (table.polygons, *table.values)))
    assert write_layers(out, LAYER, [few], lambda: two, by_class=True) == ("class 0", "land")
    assert len(read(out, "class 0")) == (few.codes == 0).sum()
    assert len(read(out, "layer_styles")) == 2


def test_the_write_ahead_log_of_the_old_file_goes(tmp_path):
    """SQLite would replay it into the new one."""
    (tmp_path / "a.gpkg-wal").write_bytes(b"of the old file")
    write_layers(tmp_path / "a.gpkg", LAYER, [rows()], legend)
    assert names(tmp_path) == ["a.gpkg"]


# --- failures


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_what_was_there(tmp_path, suffix, failure, there):
    def broken():
        yield rows()
        raise failure

    out = tmp_path / f"a{suffix}"
    if there:
        write_layers(out, LAYER, [rows()], legend)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    for by_class in {False, suffix == ".gpkg"}:
        with pytest.raises(failure):
            write_layers(out, LAYER, broken(), legend, by_class=by_class)
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_file_that_cannot_be_written(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise layers.DataSourceError("disk full")

    monkeypatch.setattr(layers, "write_arrow", fail)
    with pytest.raises(OutputError, match=r"a\.gpkg cannot be written: disk full"):
        write_layers(tmp_path / "a.gpkg", LAYER, [rows()], legend)
    assert names(tmp_path) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_told(tmp_path, monkeypatch, suffix):
    def fail():
        yield rows()
        raise OSError("cannot rollback")

    write = functools.partial(write_layers, tmp_path / f"a{suffix}", LAYER)
    with pytest.raises(OutputError, match=r"cannot be written: cannot rollback$"):
        write(fail(), legend)
    usage = shutil.disk_usage(tmp_path)._replace(free=2_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OutputError, match=r"the disk is full, 2 MB are left \(cannot rollback\)"):
        write(fail(), legend)
    assert names(tmp_path) == []


def test_rows_left_behind_are_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(layers, "write_arrow", lambda *args, **kwargs: None)
    with pytest.raises(OutputError, match="not read to their end"):
        write_layers(tmp_path / "a.fgb", LAYER, [rows()], legend)


# --- formats


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.shp", "Shapefile cuts the name"),
        ("a.json", "are GeoJSON, expected a name ending in"),
        ("a.kml", r"to .*a\.kml, expected a name ending in \.gpkg, \.fgb, \.parquet or \.geojson$"),
        ("a", "expected a name ending in"),
    ],
)
def test_other_formats_are_refused(name, reason):
    with pytest.raises(OptionError, match=reason):
        require_writable(name)


def test_the_suffix_may_be_in_capitals():
    assert format_of("LAND.GPKG") is FORMATS[".gpkg"]


@pytest.mark.parametrize("suffix", [".fgb", ".geojson", ".parquet"])
def test_a_layer_for_each_class_needs_a_geopackage(suffix):
    with pytest.raises(OptionError, match=rf"a{suffix} cannot .* has one layer.* in \.gpkg$"):
        require_writable(f"a{suffix}", by_class=True)


@pytest.mark.parametrize("name", ["layer_styles", "Layer_Styles", "gpkg_map", "sqlite_x"])
def test_names_of_the_tables_of_a_geopackage_are_refused(tmp_path, name):
    """Styles would be written over polygons in a layer of that name."""
    with pytest.raises(OptionError, match=rf"named '{name}', .*; choose another file name"):
        require_writable(tmp_path / f"{name}.gpkg")
    with pytest.raises(OptionError, match=rf"named '{name}', .*; choose another layer name"):
        require_writable(tmp_path / "a.gpkg", layer=name)
    require_writable(tmp_path / f"{name}.gpkg", layer="land")
    require_writable(tmp_path / f"{name}.fgb")


def test_geoparquet_names_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    with pytest.raises(MissingExtra, match=r"pyarrow is not installed; pip install 'rsseg\[parq"):
        require_writable(tmp_path / "a.parquet")


def test_what_is_there_stays_unless_overwritten(tmp_path: Path):
    (tmp_path / "a.gpkg").write_text("mine")
    with pytest.raises(OutputError, match=r"is already there; add --overwrite"):
        require_writable(tmp_path / "a.gpkg")
    require_writable(tmp_path / "a.gpkg", overwrite=True)


def test_a_missing_folder_and_a_folder_as_target(tmp_path):
    with pytest.raises(OutputError, match="there is no folder"):
        require_writable(tmp_path / "deep" / "land.gpkg")
    (tmp_path / "land.gpkg").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        require_writable(tmp_path / "land.gpkg", overwrite=True)
