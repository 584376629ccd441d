"""``rsseg vectorise`` on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner, Result
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.features import geometry_mask

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
    layer = geopandas.read_file(out, layer="map")
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
    assert done.exit_code == (2 if out.parent.is_dir() else 1)
    assert done.stderr.count("\n") == 1
    assert not out.exists()


def test_existing_output_stays_unless_told(land_map: Path) -> None:
    out = land_map.with_suffix(".gpkg")
    out.write_text("mine")
    call = ["vectorise", str(land_map), "--out", str(out)]
    assert CliRunner().invoke(main, call).exit_code == 1
    assert out.read_text() == "mine"
    assert CliRunner().invoke(main, [*call, "--overwrite"]).exit_code == 0
    assert len(geopandas.read_file(out, layer="map")) == 2


def run(land_map: Path, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["vectorise", str(land_map), *map(str, arguments)])


def test_options_reach_the_polygons(land_map: Path) -> None:
    codes = np.zeros((1, 20, 20), np.uint8)
    codes[0, :, 10:] = 4
    codes[0, 3, 3] = 1  # 4 m²
    codes[0, 10:12, 2:4] = 2  # 16 m²
    grid = Grid(20, 20, Affine(2, 0, 5e5, 0, -2, 5e6), CRS.from_epsg(32633))
    write_raster(land_map, codes, grid, nodata=NODATA, legend=LAND_COVER)
    shares = np.where(codes == 4, 127, 254).astype(np.uint8)
    write_raster(land_map.with_name("sure.tif"), shares, grid, nodata=NODATA)
    out = land_map.with_suffix(".gpkg")

    def polygons(*arguments: object) -> dict[str, int]:
        done = run(land_map, "--out", out, "--json", "--overwrite", *arguments)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)["classes"]

    assert polygons() == {"building": 1, "land": 1, "road": 1, "water": 1}
    assert polygons("--sieve", 2) == {"building": 1, "road": 1, "water": 1}
    assert polygons("--min-area", 17) == {"building": 1, "water": 1}
    assert polygons("--classes", "road, 4") == {"road": 1, "water": 1}
    assert polygons("--layer", "other") == polygons("--smooth", "--simplify", "2.5")
    assert polygons("--connectivity", 8, "--memory", "200MB") == polygons("--by-class")
    assert "road" in pyogrio.list_layers(out)[:, 0]
    polygons("--confidence", land_map.with_name("sure.tif"))
    layer = geopandas.read_file(out, layer="map")
    expected = [0.5 if name == "water" else 1 for name in layer["class"]]
    assert layer["mean_conf"].tolist() == expected


def test_degrees_are_a_note(land_map: Path) -> None:
    grid = Grid(8, 10, Affine(1e-5, 0, 13, 0, -1e-5, 48), CRS.from_epsg(4326))
    write_raster(land_map, np.zeros((1, 8, 10), np.uint8), grid, legend=LAND_COVER)
    out = land_map.with_suffix(".gpkg")
    done = run(land_map, "--out", out, "--min-area", 2)
    assert done.stderr.startswith("note: ")
    assert "metres were taken as pixels of 0.8298 m²" in done.stderr
    assert run(land_map, "--out", out, "--min-area", 2, "--overwrite", "--quiet").stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--min-area", -1), "min_area is unusable"),
        (("--classes", "forest"), "has no class 'forest'"),
        (("--memory", "much"), "unusable amount of memory"),
        (("--confidence", "none.tif"), "there is no file none.tif"),
    ],
)
def test_unusable_options_are_one_line(
    land_map: Path, arguments: tuple[object, ...], message: str
) -> None:
    done = run(land_map, "--out", land_map.with_suffix(".gpkg"), *arguments)
    assert done.exit_code == (1 if "there is no file" in message else 2)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


# --- rsseg predict --polygons


def predict(scene: Path, *arguments: object) -> Result:
    line = ["predict", scene, "--out", scene.with_name("map.tif"), "--tile-size", 64, *arguments]
    return CliRunner().invoke(main, [str(word) for word in line])


def test_predict_gives_polygons_their_confidence(make_scene: Callable[..., Path]) -> None:
    scene = make_scene()
    sure, layer = scene.with_name("sure.tif"), scene.with_name("map.gpkg")
    done = predict(scene, "--polygons", layer, "--confidence", sure)
    assert done.exit_code == 0, done.stderr
    table = geopandas.read_file(layer, layer="map")
    with rasterio.open(sure) as dataset:
        bytes_, transform = dataset.read(1), dataset.transform
    for polygon, mean in zip(table.geometry, table["mean_conf"], strict=True):
        inside = geometry_mask([polygon], bytes_.shape, transform, invert=True)
        assert mean == pytest.approx(bytes_[inside].mean() / 254)


def test_predict_gives_the_polygons_that_vectorise_gives(make_scene: Callable[..., Path]) -> None:
    scene = make_scene()
    layer, other = scene.with_name("map.gpkg"), scene.with_name("other.gpkg")
    assert predict(scene, "--polygons", layer).exit_code == 0
    assert run(scene.with_name("map.tif"), "--out", other, "--layer", "map").exit_code == 0
    assert layer.read_bytes() == other.read_bytes()


def test_polygons_of_a_scene_with_control_points_alone_are_refused(
    make_scene: Callable[..., Path], land_map: Path
) -> None:
    scene = make_scene(crs=None, transform=Affine.identity())
    corners = [(0, 0, 5e5, 5e6), (0, 64, 5e5 + 64, 5e6), (64, 0, 5e5, 5e6 - 64)]
    points = [GroundControlPoint(*corner) for corner in corners]
    for path in (scene, land_map):
        with rasterio.open(path, "r+") as target:
            target.transform = Affine.identity()
            target.gcps = (points, CRS.from_epsg(32633))
    before = sorted(scene.parent.iterdir())
    for done in (
        predict(scene, "--polygons", scene.with_name("map.gpkg"), "--overwrite"),
        run(land_map, "--out", scene.with_name("map.gpkg")),
    ):
        assert done.exit_code == 1
        assert "has ground control points but no transform" in done.stderr
        assert "warp it first" in done.stderr
    assert sorted(scene.parent.iterdir()) == before
