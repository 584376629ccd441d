"""``rsseg qgis`` on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from click.testing import CliRunner
from rasterio.crs import CRS

from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA
from rsseg_cli.main import main


@pytest.fixture
def land_map(tmp_path: Path) -> Path:
    path = tmp_path / "map.tif"
    grid = Grid(64, 64, Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
    codes = np.zeros((1, 64, 64), np.uint8)
    write_raster(path, codes, grid, nodata=NODATA, legend=LAND_COVER)
    return path


def test_writes_a_project_of_map_and_scene(land_map: Path, make_scene: Callable[..., Path]) -> None:
    out = land_map.with_name("map.qgz")
    call = ["qgis", str(land_map), "--scene", str(make_scene(bands=4)), "--out", str(out)]
    done = CliRunner().invoke(main, [*call, "--bands", "4, green,1", "--json"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {
        "out": str(out),
        "crs": "EPSG:32633",
        "layers": ["classes: map", "scene: scene"],
        "notes": [],
    }
    text = zipfile.ZipFile(out).read("map.qgs").decode()
    assert 'redBand="4" greenBand="2" blueBand="1"' in " ".join(text.split())

    again = CliRunner().invoke(main, call)
    assert again.exit_code == 1
    assert again.stderr.count("\n") == 1
    told = CliRunner().invoke(main, [*call, "--overwrite"])
    assert told.stdout == f"{out}: classes: map, scene: scene\n"


def test_it_loads_neither_torch_nor_an_engine(land_map: Path) -> None:
    code = (
        "import sys\n"
        "from rsseg_cli.main import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "sys.exit(str({'torch', 'openvino'} & set(sys.modules) or ''))\n"
    )
    call = ["qgis", str(land_map), "--out", str(land_map.with_name("map.qgz"))]
    child = subprocess.run(
        [sys.executable, "-c", code, *call], capture_output=True, text=True, check=False
    )
    assert child.stderr.strip() == ""
    assert land_map.with_name("map.qgz").is_file()
