import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rio_cogeo.cogeo import cog_validate

from rsseg.errors import LegendError, OutputError
from rsseg.geo.class_raster import (
    LEGEND_TAG,
    colour_map,
    count_codes,
    is_class_raster,
    read_legend,
    write_raster,
)
from rsseg.geo.gis_sidecars import sidecars, write_sidecars
from rsseg.geo.grid import Grid, GroundControl
from rsseg.geo.opening import open_raster
from rsseg.geo.strips import Strip, assemble, assemble_shares, write_strip
from rsseg.legend import LAND_COVER, NODATA, LandClass, Legend

UTM = CRS.from_epsg(32633)
NORTH_UP = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
PLACES = {
    "north up": (NORTH_UP, UTM),
    "rotated": (NORTH_UP @ Affine.rotation(30), UTM),
    "south up": (Affine(0.5, 0, 400_000, 0, 0.5, 5_000_000), UTM),
    "geographic": (Affine(1e-5, 0, 15.1234567890123, 0, -1e-5, 45.1), CRS.from_epsg(4326)),
    "no CRS": (NORTH_UP, None),
    "nowhere": (Affine.identity(), None),
}
SPARSE = Legend(
    (
        LandClass(7, 'sand & "gravel" <dry>', (1, 2, 3)),
        LandClass(2, "Straße", (255, 0, 128)),
        LandClass(254, "ice", (250, 250, 255)),
    )
)


def _codes(legend, height, width, seed=0):
    values = np.append(legend.codes, NODATA)
    return np.random.default_rng(seed).choice(values, (height, width)).astype(np.uint8)


def _grid(codes, place="north up"):
    return Grid(*codes.shape, *PLACES[place])


def _assemble(out, codes, legend, *, cuts=(), place="north up", tags=None):
    """Write codes by way of strips that end at these rows."""
    folder = out.parent / f"{out.name}.parts"
    folder.mkdir()
    strips = []
    rows = [0, *cuts, len(codes)]
    for start, stop in zip(rows, rows[1:], strict=False):
        strips.append(Strip(folder / f"{start}.tif", start, stop))
        write_strip(strips[-1].path, codes[None, start:stop])
    counts = {int(code): int((codes == code).sum()) for code in legend.codes}
    assemble(strips, out, _grid(codes, place), legend, counts, tags or {})
    for strip in strips:
        strip.path.unlink()
    folder.rmdir()


# --- the raster


@pytest.mark.parametrize("place", PLACES)
def test_assembled_pixels_and_grid_are_the_scenes(tmp_path, place):
    codes = _codes(LAND_COVER, 33, 20)
    out = tmp_path / "map.tif"
    _assemble(out, codes, LAND_COVER, cuts=(1, 16), place=place)
    with open_raster(out) as dataset:
        assert np.array_equal(dataset.read(1), codes)
        assert dataset.count == 1
        assert dataset.dtypes == ("uint8",)
        assert dataset.nodata == NODATA
        assert dataset.crs == PLACES[place][1]
        assert dataset.transform.almost_equals(PLACES[place][0], precision=1e-12)
        _grid(codes, place).require_same(Grid.of(dataset), "scene", "map")
    assert {path.name for path in tmp_path.iterdir()} == {"map.tif", "map.qml", "map.tif.aux.xml"}


@pytest.mark.parametrize("shape", [(1, 1), (33, 20), (1100, 530)])
@pytest.mark.parametrize("place", PLACES)
def test_assembled_files_are_valid_cogs(tmp_path, place, shape):
    out = tmp_path / "map.tif"
    _assemble(out, _codes(LAND_COVER, *shape), LAND_COVER, place=place)
    valid, errors, warnings = cog_validate(out, strict=True, quiet=True)
    assert (valid, errors, warnings) == (True, [], [])


@pytest.mark.parametrize("place", PLACES)
def test_shares_are_valid_cogs_too(tmp_path, place):
    shares = np.random.default_rng(0).integers(0, 255, (2, 600, 530), dtype=np.uint8)
    strip = Strip(tmp_path / "strip.tif", 0, 600)
    write_strip(strip.path, shares)
    out = tmp_path / "shares.tif"
    assemble_shares([strip], out, _grid(shares[0], place), {2: "water", 1: "land"}, {})
    assert cog_validate(out, strict=True, quiet=True) == (True, [], [])
    with open_raster(out) as dataset:
        assert dataset.descriptions == ("water", "land")
        assert np.array_equal(dataset.read(), shares[::-1])


@pytest.mark.parametrize("meaning", ["Area", "Point"])
@pytest.mark.parametrize("place", PLACES)
def test_what_a_pixel_stands_for_is_kept_and_moves_nothing(tmp_path, place, meaning):
    out = tmp_path / "map.tif"
    codes = _codes(LAND_COVER, 33, 20)
    _assemble(out, codes, LAND_COVER, place=place, tags={"AREA_OR_POINT": meaning})
    with open_raster(out) as dataset:
        assert dataset.tags().get("AREA_OR_POINT", "Area") == meaning
        assert dataset.transform.almost_equals(PLACES[place][0], precision=1e-9)


@pytest.mark.parametrize("legend", [LAND_COVER, SPARSE])
def test_assembled_file_is_a_styled_cog(tmp_path, legend):
    codes = _codes(legend, 600, 700)
    out = tmp_path / "map.tif"
    _assemble(out, codes, legend, cuts=(300,), tags={"RSSEG_MODEL": "x & y"})
    with rasterio.open(out) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.compression.name == "deflate"
        assert dataset.overviews(1) == [2]
        assert dataset.colorinterp == (ColorInterp.palette,)
        colours = dataset.colormap(1)
        assert {code: colours[code] for code in colour_map(legend)} == colour_map(legend)
        assert dataset.tags()["RSSEG_MODEL"] == "x & y"
        assert is_class_raster(dataset)
        assert read_legend(dataset) == legend
    counts = count_codes(out)
    assert counts.tolist() == np.bincount(codes.ravel(), minlength=256).tolist()


def test_overviews_show_the_commonest_class(tmp_path):
    coarse = _codes(LAND_COVER, 300, 400)
    codes = coarse.repeat(2, axis=0).repeat(2, axis=1)
    odd = np.random.default_rng(1).integers(0, 2, (2, 300, 400))
    rows, columns = np.mgrid[:300, :400] * 2
    codes[rows + odd[0], columns + odd[1]] = 3  # one of four is another class
    valid = coarse != NODATA  # how nodata weighs is GDAL's own matter
    out = tmp_path / "map.tif"
    _assemble(out, codes, LAND_COVER)
    with rasterio.open(out, overview_level=0) as overview:
        assert overview.shape == (300, 400)
        assert np.array_equal(overview.read(1)[valid], coarse[valid])


def test_bytes_do_not_depend_on_the_strips_or_the_folder(tmp_path):
    codes = _codes(LAND_COVER, 520, 530)
    contents = []
    for number, cuts in enumerate([(), (1,), (100, 300, 519), (256, 512)]):
        out = tmp_path / f"run {number}" / "map.tif"
        out.parent.mkdir()
        _assemble(out, codes, LAND_COVER, cuts=cuts)
        contents.append([path.read_bytes() for path in (out, *sidecars(out))])
    assert all(content == contents[0] for content in contents)


def test_assembling_again_replaces_all_three_files(tmp_path):
    out = tmp_path / "map.tif"
    _assemble(out, _codes(SPARSE, 8, 8), SPARSE)
    codes = _codes(LAND_COVER, 9, 9)
    _assemble(out, codes, LAND_COVER)
    with rasterio.open(out) as dataset:
        assert np.array_equal(dataset.read(1), codes)
        assert read_legend(dataset) == LAND_COVER
    for sidecar in sidecars(out):
        assert "water" in sidecar.read_text(encoding="utf-8")
        assert "ice" not in sidecar.read_text(encoding="utf-8")


def test_a_failed_assembly_leaves_the_old_files(tmp_path):
    out = tmp_path / "map.tif"
    codes = _codes(LAND_COVER, 8, 8)
    _assemble(out, codes, LAND_COVER)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    strips = [Strip(tmp_path / "gone.tif", 0, 8)]
    with pytest.raises(OutputError, match=r"map\.tif cannot be written"):
        assemble(strips, out, _grid(codes), SPARSE, {}, {})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_map_of_a_scene_with_control_points_only_keeps_them(tmp_path):
    codes = _codes(LAND_COVER, 33, 20)
    points = ((0.0, 0.0, 4e5, 5e6, 0.0), (20.0, 0.5, 4.1e5, 5e6, 7.5), (0.0, 33.0, 4e5, 4.9e6, 0.0))
    grid = Grid(33, 20, Affine.identity(), None, GroundControl(points, UTM))
    write_strip(tmp_path / "strip.tif", codes[None])
    out = tmp_path / "map.tif"
    assemble([Strip(tmp_path / "strip.tif", 0, 33)], out, grid, LAND_COVER, {0: 1}, {})
    with open_raster(out) as dataset:
        assert Grid.of(dataset) == grid
        assert not Grid.of(dataset).georeferenced
        assert read_legend(dataset) == LAND_COVER
    assert cog_validate(out, strict=True, quiet=True)[0]


# --- names and colours, as GDAL sees them


def _as_gdal_sees(path):
    """The band of a VRT copy: GDAL writes into it all that it knows of the raster."""
    copy = path.with_suffix(".vrt")
    rasterio.shutil.copy(path, copy, driver="VRT")
    return ElementTree.parse(copy).getroot().find("VRTRasterBand[1]")


@pytest.mark.parametrize("legend", [LAND_COVER, SPARSE])
def test_gdal_reads_names_and_attribute_table(tmp_path, legend):
    codes = _codes(legend, 30, 40)
    out = tmp_path / "map.tif"
    _assemble(out, codes, legend)
    band = _as_gdal_sees(out)

    names = [entry.text or "" for entry in band.findall("CategoryNames/Category")]
    assert len(names) == max(legend.codes) + 1
    assert {code: name for code, name in enumerate(names) if name} == {
        c.code: c.name for c in legend
    }

    table = band.find("GDALRasterAttributeTable")
    assert table.get("tableType") == "thematic"
    fields = [
        (field.findtext("Name"), int(field.findtext("Usage")))
        for field in table.findall("FieldDefn")
    ]
    assert fields == [
        ("Value", 5),
        ("Class", 2),
        ("Red", 6),
        ("Green", 7),
        ("Blue", 8),
        ("Alpha", 9),
        ("Count", 1),
    ]
    rows = [[value.text for value in row.findall("F")] for row in table.findall("Row")]
    assert [(int(r[0]), r[1], tuple(map(int, r[2:6])), float(r[6])) for r in rows] == [
        (c.code, c.name, (*c.colour, 255), (codes == c.code).sum()) for c in legend
    ]


# --- writing and reading back


@pytest.mark.parametrize("place", PLACES)
def test_write_raster_round_trip(tmp_path, place):
    pixels = np.random.default_rng(0).integers(0, 60000, (3, 20, 33), dtype=np.uint16)
    grid = Grid(20, 33, *PLACES[place])
    write_raster(tmp_path / "a.tif", pixels, grid, nodata=0)
    with open_raster(tmp_path / "a.tif") as dataset:
        assert np.array_equal(dataset.read(), pixels)
        assert dataset.nodata == 0
        assert not is_class_raster(dataset)
        grid.require_same(Grid.of(dataset), "a", "b")


@pytest.mark.parametrize("legend", [LAND_COVER, SPARSE])
def test_write_raster_keeps_the_legend(tmp_path, legend):
    codes = _codes(legend, 20, 33)
    write_raster(tmp_path / "a.tif", codes[None], _grid(codes), nodata=NODATA, legend=legend)
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert is_class_raster(dataset)
        assert read_legend(dataset) == legend
        colours = dataset.colormap(1)
    assert {code: colours[code] for code in colour_map(legend)} == colour_map(legend)


def test_legend_of_others_is_their_names_then_their_colours_then_the_codes(tmp_path):
    codes = np.array([[0, 1, 2, 255]], np.uint8)
    path = tmp_path / "other.tif"
    write_raster(path, codes[None], _grid(codes), nodata=NODATA)
    with rasterio.open(path) as dataset:
        assert read_legend(dataset).codes.tolist() == list(range(NODATA))

    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {1: (9, 8, 7, 255)})
    with rasterio.open(path) as dataset:
        assert is_class_raster(dataset)
        legend = read_legend(dataset)
        assert legend.by_code(1) == LandClass(1, "class 1", (9, 8, 7))
        assert legend.by_code(NODATA) is None

    write_sidecars(path, Legend((LandClass(1, "fields", (0, 0, 0)),)), {})
    with rasterio.open(path) as dataset:
        assert read_legend(dataset) == Legend((LandClass(1, "fields", (9, 8, 7)),))


@pytest.mark.parametrize("tag", ["not json", "{}", "[]", '[{"code": 1}]'])
def test_a_damaged_legend_tag_is_refused(tmp_path, tag):
    codes = np.zeros((4, 4), np.uint8)
    path = tmp_path / "bad.tif"
    write_raster(path, codes[None], _grid(codes), legend=LAND_COVER)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**{LEGEND_TAG: tag})
    with rasterio.open(path) as dataset, pytest.raises(LegendError):
        read_legend(dataset)


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from rasterio import Affine
from rsseg.errors import OutputError
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.geo.strips import Strip, assemble, write_strip
from rsseg.legend import LAND_COVER

folder = Path(sys.argv[1])
codes = np.random.default_rng(0).integers(0, 5, (700, 700), dtype=np.uint8)
grid = Grid(*codes.shape, Affine.identity(), None)
write_strip(folder / "strip.tif", codes[None])
for name, write in {
    "raster.tif": lambda out: write_raster(out, codes[None], grid),
    "part.tif": lambda out: write_strip(out, codes[None]),
    "map.tif": lambda out: assemble(
        [Strip(folder / "strip.tif", 0, 700)], out, grid, LAND_COVER, {}, {}
    ),
}.items():
    out = folder / name
    write(out)
    whole = out.stat().st_size
    written = 0
    for limit in (whole, whole - 1, whole - 1000, whole - 70_000, whole // 2, 10_000):
        out.unlink(missing_ok=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            write(out)
        except OutputError:
            assert not out.exists(), (name, limit)
        else:
            with open_raster(out) as dataset:
                assert (dataset.read(1) == codes).all(), (name, limit)
            written += 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert written == 1, (name, written)
"""


def test_on_a_full_disk_files_appear_whole_or_not_at_all(tmp_path):
    pytest.importorskip("resource")
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert not list(tmp_path.glob("*unfinished*"))


def test_where_nothing_can_be_written_the_target_is_named():
    codes = np.zeros((4, 4), np.uint8)
    target = Path("/nonexistent/folder/map.tif")
    for write in (
        lambda: write_raster(target, codes[None], _grid(codes)),
        lambda: write_strip(target, codes[None]),
        lambda: assemble([], target, _grid(codes), LAND_COVER, {}, {}),
    ):
        with pytest.raises(OutputError, match=r"map\.tif cannot be written") as caught:
            write()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", [0, NODATA])
def test_rasters_of_one_value_are_whole_too(tmp_path, code):
    codes = np.full((600, 600), code, np.uint8)
    write_raster(tmp_path / "a.tif", codes[None], _grid(codes), nodata=NODATA)
    _assemble(tmp_path / "map.tif", codes, LAND_COVER)
    for name in ("a.tif", "map.tif"):
        with rasterio.open(tmp_path / name) as dataset:
            assert (dataset.read(1) == code).all()
