"""``rsseg report`` on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
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
    codes[0, :16] = 4
    write_raster(path, codes, grid, nodata=NODATA, legend=LAND_COVER)
    return path


def test_writes_a_page_and_tells_what_is_in_it(
    land_map: Path, make_scene: Callable[..., Path]
) -> None:
    out = land_map.with_name("map.html")
    call = ["report", str(land_map), "--scene", str(make_scene()), "--out", str(out)]
    call += ["--truth", str(land_map), "--bands", "3, 2,1", "--title", "Here"]
    done = CliRunner().invoke(main, [*call, "--json"])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["out"] == str(out)
    assert told["bytes"] == out.stat().st_size
    assert told["classes"]["building"] == 3 * told["classes"]["water"] == 3 * 1024
    assert told["areas"]["water"] == 256
    assert (told["oa"], told["miou"], told["mean_confidence"]) == (1, 1, None)
    assert "<h1>Here</h1>" in out.read_text("utf-8")

    again = CliRunner().invoke(main, call)
    assert again.exit_code == 1
    assert again.stderr.count("\n") == 1
    told = CliRunner().invoke(main, [*call, "--overwrite"])
    assert told.stdout.startswith(f"{out} (")
    assert "building 75.0 %, water 25.0 %" in told.stdout
    silent = CliRunner().invoke(main, [*call, "--overwrite", "--quiet"])
    assert (silent.exit_code, silent.output) == (0, "")


def test_options_of_truth_are_heeded(land_map: Path) -> None:
    def words(*options: str) -> str:
        out = land_map.with_name("map.html")
        call = ["report", str(land_map), "--truth", str(land_map), "--out", str(out), *options]
        done = CliRunner().invoke(main, [*call, "--overwrite"])
        assert done.exit_code == 0, done.stderr
        return out.read_text("utf-8")

    assert "within 3 pixels of another class" in words()
    assert "tolerance of 3 pixels" in words()
    assert "within 2 pixels of another class" in words("--erode", "2")
    assert "pixels of another class" not in words("--erode", "0")
    assert "boundary F1" not in words("--boundary", "0")


def test_it_loads_neither_torch_nor_an_engine(land_map: Path) -> None:
    code = (
        "import sys\n"
        "from rsseg_cli.main import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "sys.exit(len({'torch', 'openvino', 'matplotlib'} & set(sys.modules)))\n"
    )
    call = ["report", str(land_map), "--out", str(land_map.with_name("map.html"))]
    done = subprocess.run(
        [sys.executable, "-c", code, *call], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupted_report_leaves_nothing(tmp_path: Path) -> None:
    grid = Grid(9_000, 9_000, Affine(1, 0, 400_000, 0, -1, 5_000_000), CRS.from_epsg(32633))
    codes = np.random.default_rng(0).integers(0, 5, (1, 9_000, 9_000), dtype=np.uint8)
    path, out = tmp_path / "map.tif", tmp_path / "out"
    out.mkdir()
    write_raster(path, codes, grid, nodata=NODATA, legend=LAND_COVER)
    call = ["report", str(path), "--truth", str(path), "--out", str(out / "r.html")]
    running = subprocess.Popen(
        [sys.executable, "-c", "from rsseg_cli.main import main; main()", *call],
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(3)
    running.send_signal(2)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 1, "it was still at work"
    assert told.strip() == "Error: interrupted"
    assert list(out.iterdir()) == []
