"""``rsseg predict`` of folders, lists, several files as one, and addresses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner, Result
from rasterio.windows import Window

from rsseg.prediction import PredictOptions
from rsseg.prediction.many_scenes.outcomes import SceneOutcome
from rsseg_cli import predict_many
from rsseg_cli.main import main

FAST = ("--engine", "openvino", "--tile-size", "64")
TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64}
Predict = Callable[..., Result]


@pytest.fixture
def predict() -> Predict:
    """A function that runs ``rsseg predict`` with small windows on the CPU."""

    def start(*arguments: object) -> Result:
        return CliRunner().invoke(main, ["predict", *map(str, arguments), *FAST])

    return start


def tiles(scene: Path, side: int) -> list[Path]:
    """The scene cut into files."""
    made = []
    with rasterio.open(scene) as dataset:
        for row in range(0, dataset.height, side):
            for column in range(0, dataset.width, side):
                path = scene.with_name("tiles") / f"tile_{row:03}_{column:03}.tif"
                path.parent.mkdir(exist_ok=True)
                size = min(side, dataset.width - column), min(side, dataset.height - row)
                place = dataset.transform @ Affine.translation(column, row)
                shape = {"width": size[0], "height": size[1], "transform": place}
                with rasterio.open(path, "w", **dataset.profile | shape) as target:
                    target.write(dataset.read(window=Window(column, row, *size)))
                made.append(path)
    return made


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def test_a_list_and_files_give_the_same_maps(
    make_scene: Any, predict: Predict, tmp_path: Path
) -> None:
    files = [make_scene(f"in/{n}.tif", 70, 90, seed=n) for n in range(2)]
    (tmp_path / "in" / "scenes.txt").write_text("# two\n0.tif\n1.tif\n")
    lists = {"a": files, "b": [tmp_path / "in/scenes.txt"]}
    for name, sources in lists.items():
        result = predict(*sources, "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines()[-1].startswith(
            f"{tmp_path / name}: 2 scenes, 2 done, 0 skipped, 0 failed, in "
        )
    for n in range(2):
        maps = {(tmp_path / name / f"{n}.tif").read_bytes() for name in lists}
        assert len(maps) == 1
    assert predict(files[0], "--out", tmp_path / "a").stdout.splitlines()[0].endswith("done before")


def test_the_summary_of_a_run_with_a_failure(
    make_scene: Any, predict: Predict, tmp_path: Path
) -> None:
    make_scene("in/a.tif", 70, 90)
    make_scene("in/b.tif", bands=2)
    make_scene("in/c.tif", 20, 30)
    result = predict(tmp_path / "in", "--out", tmp_path / "maps", "--json", "--quiet")
    assert result.exit_code == 1
    told = result.stderr.splitlines()
    assert told[0].startswith(f"failed: {tmp_path}/in/b.tif: ")
    assert "too few bands" in told[0]
    assert told[1].startswith("Error: 1 of 3 scenes failed; once the reasons are gone, the same")
    data = json.loads(result.stdout)
    assert [scene["state"] for scene in data["scenes"]] == ["done", "failed", "done"]
    assert {"classes", "windows", "forward_seconds"} <= set(data["scenes"][0])
    sums = data["totals"]
    assert (sums["scenes"], sums["done"], sums["failed"]) == (3, 2, 1)
    assert sum(sums["classes"].values()) + sums["nodata_pixels"] == 70 * 90 + 20 * 30
    make_scene("in/b.tif")
    again = predict(tmp_path / "in", "--out", tmp_path / "maps", "--json")
    states = [scene["state"] for scene in json.loads(again.stdout)["scenes"]]
    assert states == ["skipped", "done", "skipped"]
    assert again.exit_code == 0


@pytest.mark.slow
def test_what_goes_beside_the_maps(make_scene: Any, predict: Predict, tmp_path: Path) -> None:
    make_scene("in/a.tif")
    beside = ("--confidence", tmp_path / "sure", "--polygons", tmp_path / "maps")
    result = predict(tmp_path / "in", "--out", tmp_path / "maps", *beside)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "sure" / "a.tif").is_file()
    assert (tmp_path / "maps" / "a.gpkg").is_file()
    assert f"{tmp_path}/maps/a.gpkg: " in result.stdout


def test_tiles_as_one_give_the_map_of_the_whole(
    make_scene: Any, predict: Predict, tmp_path: Path
) -> None:
    valid = np.random.default_rng(0).random((100, 130)) > 0.1
    whole = make_scene(valid=valid, validity="nodata")
    assert predict(whole, "--out", tmp_path / "one.tif").exit_code == 0
    folder = tiles(whole, 48)[0].parent
    result = predict(folder, "--as-one", "--out", tmp_path / "many.tif")
    assert result.exit_code == 0, result.output
    assert np.array_equal(pixels(tmp_path / "one.tif"), pixels(tmp_path / "many.tif"))
    with rasterio.open(tmp_path / "many.tif") as ours, rasterio.open(whole) as scene:
        assert (ours.transform, ours.crs) == (scene.transform, scene.crs)
        assert ours.tags()["RSSEG_SCENE"] == "tile_000_000_and_8_more.vrt"
    told = predict(folder, "--as-one", "--gsd", "5", "--out", tmp_path / "x.tif", "--dry-run")
    assert told.stdout.startswith("tile_000_000_and_8_more.vrt: ")
    assert told.stderr.startswith("note: tile_000_000_and_8_more.vrt has 5 m per pixel")


def test_files_that_are_no_scene_together_are_refused(
    make_scene: Any, predict: Predict, tmp_path: Path
) -> None:
    files = make_scene("a.tif"), make_scene("b.tif", crs="EPSG:32632")
    result = predict(*files, "--as-one", "--out", tmp_path / "map.tif")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "b.tif cannot be one scene with the others" in result.stderr
    assert not (tmp_path / "map.tif").exists()


def write_items(path: Path, *scenes: Path) -> Path:
    """An ItemCollection of scenes, in the manner of STAC."""
    features = [
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": f"item {scene.stem}",
            "geometry": None,
            "links": [],
            "properties": {"datetime": "2023-05-01T00:00:00Z"},
            "assets": {
                "image": {"href": f"./{scene.name}", "type": "image/tiff"},
                "thumbnail": {"href": "./small.png", "roles": ["thumbnail"], "type": "image/png"},
            },
        }
        for scene in scenes
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_items_and_tables_are_scenes(make_scene: Any, predict: Predict, tmp_path: Path) -> None:
    files = [
        make_scene(f"in/{n}.tif", 70, 90, seed=n, transform=Affine(1, 0, 90 * n, 0, -1, 0))
        for n in range(2)
    ]
    items = write_items(tmp_path / "in" / "items.json", *files)
    out = tmp_path / "maps"
    told = json.loads(predict(items, "--out", out, "--dry-run", "--json").stdout)
    assert [scene["scene"] for scene in told["scenes"]] == ["item item 0", "item item 1"]
    result = predict(items, "--out", out, "--vrt", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["index"] == [
        str(out / name) for name in ("items.json", "index.parquet", "index.vrt")
    ]
    assert np.array_equal(
        pixels(out / "index.vrt"), np.hstack([pixels(out / f"item_{n}.tif") for n in range(2)])
    )
    again = predict(out / "index.parquet", "--out", tmp_path / "x", "--asset", "none")
    assert again.exit_code == 2
    assert "has no column 'none'" in again.stderr
    # an index names maps: a raster of one band is too few, but it has been found
    found = predict(out / "index.parquet", "--out", tmp_path / "x", "--bands", "1,1,1")
    assert found.exit_code == 0, found.output
    assert sorted(path.name for path in (tmp_path / "x").glob("*.tif")) == [
        "item_0.tif",
        "item_1.tif",
    ]
    wrong = predict(items, "--out", tmp_path / "y", "--asset", "visual")
    assert wrong.exit_code == 1
    assert "item item 0 has no asset 'visual', got image, thumbnail" in wrong.stderr
    assert predict(items, "--as-one", "--out", tmp_path / "one.tif").exit_code == 2


def test_outputs_in_a_store(
    make_scene: Any, predict: Predict, tmp_path: Path, makers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene("in/a.tif", 70, 90)
    (tmp_path / "store" / "maps").mkdir(parents=True)
    bucket, scratch = tmp_path / "store" / "maps", tmp_path / "scratch"
    beside = ("--confidence", "s3://maps/one/sure.tif", "--scratch", scratch)
    assert predict(scene, "--out", tmp_path / "near.tif").exit_code == 0
    with makers("geo").storing(tmp_path / "store", monkeypatch) as server:
        out = "s3://maps/one/a.tif"
        result = predict(scene, "--out", out, "--polygons", "s3://maps/one/a.gpkg", *beside)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(f"{out}: 90 x 70 pixels in ")
        assert "s3://maps/one/a.gpkg: " in result.stdout
        assert sorted(path.name for path in (bucket / "one").iterdir()) == [
            *("a.gpkg", "a.qml", "a.tif", "a.tif.aux.xml", "sure.tif")
        ]
        assert (bucket / "one" / "a.tif").read_bytes() == (tmp_path / "near.tif").read_bytes()
        assert not any(path.is_file() for path in scratch.rglob("*"))
        refused = predict(scene, "--out", out, "--scratch", scratch)
        assert refused.exit_code == 1
        assert f"{out} is already there; add --overwrite" in refused.stderr
        result = predict(scene.parent, "--out", "s3://maps/many", "--scratch", scratch)
        assert result.exit_code == 0, result.output
        assert (bucket / "many" / "a.tif").read_bytes() == (tmp_path / "near.tif").read_bytes()
        assert (bucket / "many" / "items.json").is_file()
        assert (
            "done before" in predict(scene, "--out", "s3://maps/many", "--scratch", scratch).stdout
        )
        told = CliRunner().invoke(main, ["info", "s3://maps/many/a.tif", "--json"])
        assert json.loads(told.stdout)["kind"] == "class raster"
        server.refuse(500, times=-1)
        result = predict(scene, "--out", "s3://maps/two/a.tif", "--scratch", scratch)
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
        assert "cannot be written, tried 3 times" in result.stderr
    assert not (bucket / "two").exists()


def test_what_fails_between_two_scenes_ends_the_work_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ctrl-C does, or a closed pipe: processes that work for us must not wait for the end."""
    ended = []

    def scenes(*_: object, **__: object) -> Iterator[SceneOutcome]:
        try:
            yield SceneOutcome("a.tif", "skipped", "maps/a.tif")
        finally:
            ended.append("scenes")

    def tell(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(predict_many, "_tell", tell)
    chosen = predict_many.Choices((), str(tmp_path), None, PredictOptions(), ())
    with pytest.raises(BrokenPipeError) as caught:
        predict_many.run(scenes, chosen, None, False, None, quiet=False, as_json=False)
    assert ended == ["scenes"]
    del caught


def test_a_damaged_file_of_several_is_named(
    make_scene: Any, predict: Predict, tmp_path: Path
) -> None:
    files = tiles(make_scene("whole.tif", 100, 130, compress="deflate"), 48)
    files[4].write_bytes(files[4].read_bytes()[:-2000] + bytes(2000))
    result = predict(files[0].parent, "--as-one", "--out", tmp_path / "map.tif")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert f"Error: {files[4]} cannot be read, which lies at rows" in result.stderr
    assert "of tile_000_000_and_8_more.vrt" in result.stderr
    assert "/rsseg-" not in result.stderr


def test_a_dry_run_of_many(make_scene: Any, predict: Predict, tmp_path: Path) -> None:
    for n in range(2):
        make_scene(f"in/{n}.tif", 100, 100)
    out = tmp_path / "maps"
    data = json.loads(predict(tmp_path / "in", "--out", out, "--dry-run", "--json").stdout)
    assert data["totals"]["windows"] == 8
    assert [scene["windows"] for scene in data["scenes"]] == [4, 4]
    text = predict(tmp_path / "in", "--out", out, "--dry-run").stdout
    assert "2 scenes, 8 windows, at most" in text
    assert not out.exists()


@pytest.mark.parametrize("sources", [("a.tif", "b.tif"), (".",), ("scenes.txt",)])
def test_many_scenes_and_one_file_is_a_wrong_call(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = predict(*sources, "--out", "map.tif")
    assert result.exit_code == 2
    assert "several scenes need a folder as --out, or --as-one" in result.stderr


def test_an_address(
    make_scene: Any, predict: Predict, tmp_path: Path, makers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failures pass, a lasting one leaves parts to go on from, and no key is written anywhere."""
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "1")
    near = make_scene("served/scene.tif", 900, 64, **TILED)
    assert predict(near, "--out", tmp_path / "near.tif").exit_code == 0
    out = tmp_path / "far.tif"
    with makers("geo").serving(tmp_path / "served") as server:
        address = f"{server.url}/scene.tif?signature=secret"
        server.fail("cut", times=1, beyond=20_000)
        result = predict(address, "--out", out, "--confidence", tmp_path / "sure.tif")
        assert result.exit_code == 0, result.output
        assert np.array_equal(pixels(out), pixels(tmp_path / "near.tif"))
        server.fail(500, times=-1, beyond=20_000)
        result = predict(address, "--out", tmp_path / "late.tif")
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert f"{server.url}/scene.tif cannot be read at rows " in result.stderr
        server.fail(404, times=-1)
        result = predict(address, "--out", tmp_path / "late.tif")
        assert f"there is no file {server.url}/scene.tif, got HTTP 404" in result.stderr
        server.fail(500, times=0)
        many = predict(address, "--out", f"{tmp_path}/maps", address.replace("secret", "secret2"))
        assert "named twice" not in many.stderr  # two addresses, one file: another refusal
        assert many.exit_code == 2
        (tmp_path / "list.txt").write_text(f"{address}\n")
        assert predict(tmp_path / "list.txt", "--out", tmp_path / "maps").exit_code == 0
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "list.txt":
            assert b"secret" not in path.read_bytes(), path
