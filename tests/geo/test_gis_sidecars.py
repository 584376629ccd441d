"""What GDAL and QGIS find beside a class map."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from rsseg.geo.class_raster import write_raster
from rsseg.geo.gis_sidecars import is_plain_style, polygon_style, sidecars, write_sidecars
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA, LandClass, Legend

SPARSE = Legend(
    (
        LandClass(7, 'sand & "gravel" <dry>', (1, 2, 3)),
        LandClass(2, "Straße", (255, 0, 128)),
        LandClass(254, "ice", (250, 250, 255)),
    )
)
LEGENDS = pytest.mark.parametrize("legend", [LAND_COVER, SPARSE])


def _write(folder: Path, codes: np.ndarray, legend: Legend) -> Path:
    path = folder / "map.tif"
    grid = Grid(*codes.shape, Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
    write_raster(path, codes[None], grid, nodata=NODATA, legend=legend)
    counts = np.bincount(codes.ravel(), minlength=256)
    write_sidecars(path, legend, {code: int(count) for code, count in enumerate(counts)})
    return path


def test_names_are_what_gdal_and_qgis_look_for(tmp_path: Path) -> None:
    auxiliary, style = sidecars(tmp_path / "map.v2.tif")
    assert (auxiliary.name, style.name) == ("map.v2.tif.aux.xml", "map.v2.qml")


# --- statistics


@given(codes=st.lists(st.sampled_from([0, 2, 7, 254, NODATA]), min_size=1, max_size=60))
def test_gdal_finds_the_statistics_of_the_valid_pixels(
    tmp_path_factory: pytest.TempPathFactory, codes: list[int]
) -> None:
    pixels = np.array([codes], np.uint8)
    path = _write(tmp_path_factory.mktemp("map"), pixels, SPARSE)
    with rasterio.open(path) as dataset:
        tags = dataset.tags(1)
    told = {key.removeprefix("STATISTICS_").lower(): float(tags[key]) for key in tags}
    valid = pixels[pixels != NODATA].astype(float)
    expected = {}
    if valid.size:
        expected = {
            "minimum": valid.min(),
            "maximum": valid.max(),
            "mean": valid.mean(),
            "stddev": valid.std(),
        }
    assert told == pytest.approx(expected)


def test_counts_beyond_32_bits_stay_exact(tmp_path: Path) -> None:
    many = 2**33 + 1
    write_sidecars(tmp_path / "map.tif", LAND_COVER, {0: many, 4: many})
    root = ElementTree.parse(sidecars(tmp_path / "map.tif")[0]).getroot()
    rows = root.findall("PAMRasterBand/GDALRasterAttributeTable/Row")
    assert [row.findall("F")[-1].text for row in rows] == [str(many), "0", "0", "0", str(many)]
    told = {each.get("key"): each.text for each in root.iter("MDI")}
    assert float(told["STATISTICS_MEAN"]) == 2
    assert float(told["STATISTICS_STDDEV"]) == 2


# --- styles


@LEGENDS
def test_style_names_and_colours_every_class(tmp_path: Path, legend: Legend) -> None:
    write_sidecars(tmp_path / "map.tif", legend, {})
    style = sidecars(tmp_path / "map.tif")[1]
    assert is_plain_style(style)
    renderer = ElementTree.parse(style).getroot().find("pipe/rasterrenderer")
    assert renderer is not None
    assert renderer.get("type") == "paletted"
    assert [
        (int(e.get("value", "")), e.get("label"), e.get("color"))
        for e in renderer.findall("colorPalette/paletteEntry")
    ] == [(c.code, c.name, c.hex) for c in legend]


@LEGENDS
def test_polygon_style_gives_every_class_its_own_fill(legend: Legend) -> None:
    root = ElementTree.fromstring(polygon_style(legend))
    assert (root.tag, root.findtext("layerGeometryType")) == ("qgis", "2")
    renderer = root.find("renderer-v2")
    assert renderer is not None
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "class")
    fills = {
        symbol.get("name"): {
            option.get("name"): option.get("value") for option in symbol.findall("layer/Option/*")
        }
        for symbol in renderer.findall("symbols/symbol")
    }
    categories = renderer.findall("categories/category")
    assert len(fills) == len(categories) == len(legend)
    for category, known in zip(categories, legend, strict=True):
        assert (category.get("value"), category.get("label")) == (known.name, known.name)
        fill = fills[category.get("symbol")]
        assert json.loads(f"[{fill['color']}]") == [*known.colour, 255]
        assert fill["outline_width"] == "0", "a hairline, one pixel wide"


def test_a_style_of_another_kind_is_not_plain(tmp_path: Path) -> None:
    path = tmp_path / "map.qml"
    path.write_text(polygon_style(LAND_COVER), encoding="utf-8")
    assert not is_plain_style(path)
    path.write_text("<qgis>")
    assert not is_plain_style(path)
    assert not is_plain_style(tmp_path / "missing.qml")
