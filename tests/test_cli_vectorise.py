"""``rsseg vectorise`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
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
    """Two classes and a corner of nodata."""
    codes = np.zeros((1, 8, 10), np.uint8)
    codes[:, :, 5:] = 4
    codes[:, :2, :2] = NODATA
    path = tmp_path / "map.tif"
    grid = Grid(8, 10, Affine(2, 0, 5e5, 0, -2, 5e6), CRS.from_epsg(32633))
    write_raster(path, codes, grid, nodata=NODATA, legend=LAND_COVER)
    return path


@pytest.mark.parametrize("name", ["vectorise", "vectorize"])
def test_writes_polygons_with_names_and_areas(land_map: Path, name: str) -> None:
    out = land_map.with_suffix(".gpkg")
    done = CliRunner().invoke(main, [name, str(land_map), "--out", str(out)])
    assert done.exit_code == 0, done.stderr
    assert "2 polygons of 2 classes" in done.stdout
    layer = geopandas.read_file(out)
    assert dict(zip(layer["class"], layer["area_m2"], strict=True)) == {
        "building": (8 * 5 - 4) * 4.0,
        "water": 8 * 5 * 4.0,
    }


def test_json_is_one_object(land_map: Path) -> None:
    out = land_map.with_suffix(".gpkg")
    done = CliRunner().invoke(main, ["vectorise", str(land_map), "--out", str(out), "--json"])
    data = json.loads(done.stdout)
    assert data["polygons"] == 2
    assert data["classes"] == {"building": 1, "water": 1}


@pytest.mark.parametrize("name", ["map.shp", "map.txt", "missing/map.gpkg"])
def test_refuses_what_it_cannot_write(land_map: Path, name: str) -> None:
    out = land_map.parent / name
    done = CliRunner().invoke(main, ["vectorise", str(land_map), "--out", str(out)])
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert not out.exists()


def test_existing_output_stays_unless_told(land_map: Path) -> None:
    out = land_map.with_suffix(".gpkg")
    out.write_text("mine")
    call = ["vectorise", str(land_map), "--out", str(out)]
    assert CliRunner().invoke(main, call).exit_code == 1
    assert out.read_text() == "mine"
    assert CliRunner().invoke(main, [*call, "--overwrite"]).exit_code == 0
    assert len(geopandas.read_file(out)) == 2
