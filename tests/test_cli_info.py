"""``rsseg info`` on models, maps, scenes, and what is none of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner, Result

from rsseg.bundle import read_bundle
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg_cli.main import main

GRID = Grid(20, 30, Affine(10, 0, 500_000, 0, -10, 5_000_000), rasterio.CRS.from_epsg(32631))


def info(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["info", *map(str, arguments)])


def as_json(*arguments: object) -> dict[str, Any]:
    result = info(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def land_cover(tmp_path: Path) -> Path:
    """Half a map of road and water, in codes 2 and 4, a tenth of it nodata."""
    codes = np.full((1, 20, 30), 2, np.uint8)
    codes[:, :, 15:] = 4
    codes[:, :2] = 255
    path = tmp_path / "map.tif"
    write_raster(path, codes, GRID, nodata=255, legend=LAND_COVER)
    return path


def test_a_model() -> None:
    found, bundle = as_json(EMBEDDED_MODEL), read_bundle(EMBEDDED_MODEL)
    assert found["kind"] == "model"
    assert found["architecture"] == bundle.architecture
    assert found["bands"] == list(bundle.bands)
    assert found["classes"] == {str(c.code): c.name for c in bundle.legend}
    assert found["window"] == bundle.window
    assert found["normalisation"] == bundle.normalisation.to_json()
    assert found["licence"] == bundle.licence
    assert found["provenance"] == bundle.provenance
    text = info(EMBEDDED_MODEL).stdout
    assert all(name in text for name in (*bundle.legend.names, *bundle.bands, bundle.licence))


def test_a_model_is_described_without_torch() -> None:
    code = (
        "import sys\n"
        "from rsseg_cli.main import main\n"
        f"main(['info', {str(EMBEDDED_MODEL)!r}], standalone_mode=False)\n"
        "heavy = {'torch', 'openvino', 'safetensors'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert child.stderr == ""
    assert child.returncode == 0
    assert child.stdout.startswith("kind: model\n")


def test_a_map(land_cover: Path) -> None:
    found = as_json(land_cover)
    assert found["kind"] == "class raster"
    assert (found["width"], found["height"], found["crs"]) == (30, 20, "EPSG:32631")
    assert found["transform"] == [10, 0, 500_000, 0, -10, 5_000_000]
    assert found["pixel_size"] == [10, 10]
    assert found["bounds"] == [500_000, 4_999_800, 500_300, 5_000_000]
    assert found["provenance"] == {}
    assert found["nodata_pixels"] == 60
    assert list(found["classes"]) == list(LAND_COVER.names)
    assert found["classes"]["road"] == {"code": 2, "pixels": 270, "share": 0.5}
    assert found["classes"]["building"] == {"code": 0, "pixels": 0, "share": 0}
    text = info(land_cover).stdout
    assert "share: 0.5\n" in text
    assert "nodata_pixels: 60" in text


def test_how_a_map_was_made(land_cover: Path) -> None:
    with rasterio.open(land_cover, "r+") as target:
        target.update_tags(RSSEG_ENGINE="openvino", OTHER="x")
    assert as_json(land_cover)["provenance"] == {"engine": "openvino"}
    assert "provenance:\n  engine: openvino\n" in info(land_cover).stdout


def test_a_map_without_a_class_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "empty.tif"
    codes = np.full((1, 20, 30), 255, np.uint8)
    write_raster(path, codes, GRID, nodata=255, legend=LAND_COVER)
    found = as_json(path)
    assert found["nodata_pixels"] == 600
    assert {row["share"] for row in found["classes"].values()} == {0}


def test_a_map_with_codes_that_its_legend_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "odd.tif"
    codes = np.full((1, 20, 30), 9, np.uint8)
    write_raster(path, codes, GRID, nodata=255, legend=LAND_COVER)
    assert as_json(path)["classes"]["class 9"] == {"code": 9, "pixels": 600, "share": 1}


def test_a_scene(make_scene: Any) -> None:
    scene = make_scene(height=7, width=9, dtype="uint16", validity="alpha")
    found = as_json(scene)
    assert found["kind"] == "scene"
    assert (found["width"], found["height"], found["crs"]) == (9, 7, "EPSG:32633")
    assert found["bands"] == ["red", "green", "blue", "alpha"]
    assert found["type"] == "uint16"
    assert "bands: red, green, blue, alpha\n" in info(scene).stdout


def test_a_scene_without_a_place(make_scene: Any) -> None:
    found = as_json(make_scene(crs=None, transform=Affine.identity()))
    assert found["crs"] == "none"
    assert not found.keys() & {"pixel_size", "bounds"}


def test_quiet_prints_nothing(make_scene: Any) -> None:
    assert info(make_scene(), "--quiet").output == ""


def test_what_is_none_of_them_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.tif"
    text.write_text("hello")
    model = tmp_path / "model.safetensors"
    model.write_text("hello")
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes((2).to_bytes(8, "little") + b"{}")
    files = [text, model, foreign, tmp_path, tmp_path / "none.tif"]
    files.append(tmp_path / "none.safetensors")
    before = sorted(tmp_path.iterdir())
    for file in files:
        result = info(file)
        assert result.exit_code == 1, file
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1, result.exception
        assert str(file) in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_map_is_refused(tmp_path: Path) -> None:
    """It opens, with its legend, but its pixels cannot all be counted."""
    grid = Grid(600, 600, GRID.transform, GRID.crs)
    codes = np.random.default_rng(0).integers(0, 5, (1, 600, 600), np.uint8)
    path = tmp_path / "map.tif"
    write_raster(path, codes, grid, nodata=255, legend=LAND_COVER)
    content = bytearray(path.read_bytes())
    content[40_000:60_000] = bytes(20_000)
    path.write_bytes(content)
    result = info(path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {path} cannot be read at rows ")
    assert "the file is damaged" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_damaged_legend_is_refused(land_cover: Path) -> None:
    for damage in ("not JSON", "[{}]", "7", "[]"):
        with rasterio.open(land_cover, "r+") as dataset:
            dataset.update_tags(RSSEG_LEGEND=damage)
        result = info(land_cover)
        assert (result.exit_code, result.stdout) == (1, ""), damage
        assert len(result.stderr.splitlines()) == 1, result.exception
