"""``rsseg prepare gaofen1``: a delivered folder as a scene and its labels, or one line why not."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from affine import Affine
from click.testing import CliRunner, Result

from rsseg.data import read_catalogue
from rsseg_cli.main import main

NAME = "GF1_PMS2_E9.0_N51.0_20150601_L1A0000654321"
RPB = """satId = "GF1";
bandId = "{kind}";
SpecId = "RPC00B";
BEGIN_GROUP = IMAGE
\terrBias = 1.0;
\terrRand = 0.0;
\tlineOffset = {middle};
\tsampOffset = {middle};
\tlatOffset = 51.0;
\tlongOffset = 9.0;
\theightOffset = 200;
\tlineScale = {half};
\tsampScale = {half};
\tlatScale = 0.00086256;
\tlongScale = 0.0013674;
\theightScale = 500;
\tlineNumCoef = ({line});
\tlineDenCoef = ({one});
\tsampNumCoef = ({sample});
\tsampDenCoef = ({one});
END_GROUP = IMAGE
END;
"""
"""A camera straight above: rows follow latitude, columns longitude, height does not matter."""
XML = "<ProductMetaData><SensorID>PMS2</SensorID><CenterTime>2015-06-01 10:0:0</CenterTime>{}"


def prepare(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["prepare", "gaofen1", *map(str, arguments)])


def unit(place: int, value: int = 1) -> str:
    return ", ".join(str(value if index == place else 0) for index in range(20))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A scene of 192 m as delivered; its left quarter is dark."""
    folder = tmp_path / "source" / NAME
    folder.mkdir(parents=True)
    for kind, size, bands in (("PAN2", 96, 1), ("MSS2", 24, 4)):
        path = folder / f"{NAME}-{kind}.tiff"
        pixels = np.full((bands, size, size), 400, np.uint16)
        pixels[:, :, : size // 4] = 150
        shape = {"count": bands, "height": size, "width": size, "dtype": "uint16"}
        with rasterio.open(path, "w", driver="GTiff", **shape) as target:
            target.write(pixels)
        numbers = {"kind": kind, "middle": (size - 1) / 2, "half": size / 2}
        lists = {"line": unit(2, -1), "sample": unit(1), "one": unit(0)}
        path.with_suffix(".rpb").write_text(RPB.format(**numbers, **lists), encoding="ascii")
        path.with_suffix(".xml").write_text(XML.format("</ProductMetaData>"), encoding="utf-8")
    return folder


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    """A field of 0.0005 x 0.0003 degrees around the scene's centre."""
    square = shapely.to_wkb(shapely.box(8.99975, 50.99985, 9.00025, 51.00015))
    pyogrio.raw.write(
        tmp_path / "fields.gpkg",
        np.array([square], dtype=object),
        [np.array(["beet"])],
        ["crop"],
        geometry_type="Polygon",
        crs="EPSG:4326",
    )
    return tmp_path / "fields.gpkg"


def test_a_scene_is_written(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    result = prepare(source, target)
    assert (result.exit_code, result.stdout) == (0, f"{target}: 1 scene\n"), result.stderr
    notes = result.stderr.splitlines()
    assert len(notes) == 2
    assert "all ground is taken to lie at 200 m" in notes[0]
    assert "those of CRESDA for PMS2 in 2015" in notes[1]
    with rasterio.open(target / f"{NAME}.tif") as dataset:
        assert dataset.crs.to_epsg() == 32632
        pixels = dataset.read()
        height, width = dataset.shape
    assert 88 <= height <= 100
    assert 88 <= width <= 100
    middle = pixels[:, height // 2]
    assert np.abs(middle[:, 60:80].astype(int) - 400).max() < 12
    assert np.abs(middle[:, 8:18].astype(int) - 150).max() < 12


def test_polygons_give_a_catalogue(source: Path, fields: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    given = ["--polygons", fields, "--class-field", "crop", "--background", "other"]
    result = prepare(source, target, *given, "--split", "test", "--json", "--overviews")
    assert result.exit_code == 0, result.stderr
    data = json.loads(result.stdout)
    assert data["target"] == str(target)
    assert data["images"] == [str(target / f"{NAME}.tif")]
    assert data["labelled"] == 1
    assert abs(data["pixels"]["beet"] * 4 - 35.1 * 33.4) < 60, "square metres"
    scene = next(iter(read_catalogue(target / "catalogue.csv")))
    assert (scene.split, scene.group) == ("test", NAME)
    plain = prepare(source, target, *given).stdout
    assert plain.startswith(f"{target}/catalogue.csv: 1 scene, 1 labelled, other 9")


def test_gains_give_radiances(source: Path, tmp_path: Path) -> None:
    table = tmp_path / "gains.csv"
    rows = "".join(f"PMS2,2015,{band},0.2,0\n" for band in ("blue", "green", "red", "nir"))
    table.write_text(f"sensor,year,band,gain,offset\n{rows}", encoding="utf-8")
    result = prepare(source, tmp_path / "target", "--gains", table)
    assert "radiances in steps of 0.01 W/(m2 sr um)" in result.stderr
    with rasterio.open(tmp_path / "target" / f"{NAME}.tif") as dataset:
        assert abs(int(dataset.read(1)[46, 70]) - 8000) < 240
        assert dataset.scales[0] == 0.01


def test_a_dem_is_taken(source: Path, tmp_path: Path) -> None:
    dem = tmp_path / "dem.tif"
    transform = Affine(0.0005, 0, 8.99, 0, -0.0005, 51.01)
    shape = {"count": 1, "height": 40, "width": 40, "dtype": "float32"}
    with rasterio.open(
        dem, "w", driver="GTiff", crs="EPSG:4326", transform=transform, **shape
    ) as target:
        target.write(np.full((1, 40, 40), 180, np.float32))
    result = prepare(source, tmp_path / "target", "--dem", dem, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    result = prepare(source, tmp_path / "target", "--dem", tmp_path / "none.tif")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no file" in result.stderr


def test_what_cannot_be_prepared_is_one_line(source: Path, tmp_path: Path) -> None:
    spoilt = Path(shutil.copytree(source, tmp_path / "spoilt"))
    (spoilt / f"{NAME}-MSS2.rpb").unlink()
    for folder, words in ((spoilt, "there is no .*-MSS2.rpb"), (tmp_path / "x", "no folder")):
        result = prepare(folder, tmp_path / "target")
        assert (result.exit_code, result.stdout) == (1, ""), result.exception
        assert len(result.stderr.splitlines()) == 1
        assert re.search(words, result.stderr)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a",),
        ("a", "b", "--polygons", "f.gpkg"),
        ("a", "b", "--class-field", "crop"),
        ("a", "b", "--background", "other"),
        ("a", "b", "--areas", "f.gpkg"),
        ("a", "b", "--split", "val"),
    ],
)
def test_wrong_usage_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = prepare(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []
