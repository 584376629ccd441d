"""``rsseg predict``: what it prints and writes, and what it refuses without a trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import rasterio
import rasterio.shutil
from click.testing import CliRunner, Result

from rsseg.legend import LAND_COVER
from rsseg.prediction import PredictOptions
from rsseg.prediction.computing import pipeline
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg.prediction.options import BLENDS, ENGINES, PRECISIONS
from rsseg_cli.main import main

KEYS = {
    *("out", "width", "height", "classes", "nodata_pixels", "windows", "seconds"),
    *("startup_seconds", "pipeline_seconds", "forward_seconds", "waiting_seconds"),
    *("finish_seconds", "mpx_per_s", "peak_rss_mb", "engine", "device", "precision"),
}
"""What ``--json`` promises in the README."""

OPENVINO = ("--engine", "openvino", "--tile-size", "64")
Predict = Callable[..., Result]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "map.tif"


@pytest.fixture
def run(out: Path) -> Predict:
    """A function that runs ``rsseg predict SCENE --out OUT`` with small windows on the CPU."""

    def start(scene: Path | str, *arguments: object) -> Result:
        line = ["predict", scene, "--out", out, *OPENVINO, *arguments]
        return CliRunner().invoke(main, [str(word) for word in line])

    return start


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(result: Result, *words: str, code: int = 1) -> bool:
    """Whether it failed with this code and one line on stderr that holds these words."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    return all(word in result.stderr for word in words)


# What it does


def test_a_map(make_scene: Any, run: Predict, out: Path) -> None:
    scene = make_scene(height=90, width=120)
    result = run(scene)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{out}: 120 x 90 pixels in ")
    assert all(name in result.stdout for name in LAND_COVER.names)
    assert all(line.startswith("note: ") for line in result.stderr.splitlines())
    assert names(out.parent) == ["map.qml", "map.tif", "map.tif.aux.xml", "scene.tif"]
    with rasterio.open(scene) as theirs, rasterio.open(out) as ours:
        assert ours.shape == theirs.shape
        assert (ours.crs, ours.transform) == (theirs.crs, theirs.transform)
        assert set(np.unique(ours.read(1))) <= set(LAND_COVER.codes)


def test_json_is_one_object(make_scene: Any, run: Predict, out: Path) -> None:
    result = run(make_scene(height=90, width=120), "--json", "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 1
    data = json.loads(result.stdout)
    assert set(data) >= KEYS
    assert data["out"] == str(out)
    assert (data["width"], data["height"]) == (120, 90)
    assert set(data["classes"]) == set(LAND_COVER.names)
    assert sum(data["classes"].values()) + data["nodata_pixels"] == 120 * 90
    assert (data["engine"], data["device"]) == ("openvino", "cpu")
    with rasterio.open(out) as dataset:
        codes = dataset.read(1)
    for known in LAND_COVER:
        assert data["classes"][known.name] == np.count_nonzero(codes == known.code)


def test_polygons(make_scene: Any, run: Predict, tmp_path: Path) -> None:
    layer = tmp_path / "map.gpkg"
    result = run(make_scene(), "--polygons", layer, "--json")
    assert result.exit_code == 0
    assert layer.is_file()
    data = json.loads(result.stdout)
    assert data["polygons"] == str(layer)
    assert data["polygon_count"] >= 1


def test_quiet_prints_nothing(make_scene: Any, run: Predict) -> None:
    result = run(make_scene(bands=4), "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_what_the_user_should_know_is_on_stderr(make_scene: Any, run: Predict) -> None:
    result = run(make_scene(bands=4, photometric="minisblack"))
    assert "note: bands 1, 2, 3 were taken as red, green, blue" in result.stderr


def test_bands_by_name_or_number_give_the_same_map(
    make_scene: Any, run: Predict, out: Path
) -> None:
    scene = make_scene()
    maps = []
    for bands in ("red,green,blue", "1,2,3"):
        assert run(scene, "--bands", bands, "--overwrite").exit_code == 0
        maps.append(out.read_bytes())
    assert maps[0] == maps[1]


@pytest.mark.parametrize("flags", [(), ("--json",), ("--quiet",)])
def test_a_dry_run_writes_nothing(
    make_scene: Any, run: Predict, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    scene = make_scene(height=100, width=100)
    result = run(scene, "--dry-run", "--polygons", tmp_path / "map.gpkg", *flags)
    assert result.exit_code == 0
    assert names(tmp_path) == ["scene.tif"]
    if "--json" in flags:
        data = json.loads(result.stdout)
        assert (data["windows"], data["tile_size"], data["stride"]) == (4, 64, 48)
        assert data["expected_memory_mb"] > 0
        assert data["expected_seconds"] >= 0
    elif flags:
        assert result.output == ""
    else:
        assert "4 windows of 64 pixels every 48" in result.stdout
        assert " MB and " in result.stdout


def test_a_dry_run_counts_the_devices_that_there_is_work_for(make_scene: Any, run: Predict) -> None:
    one, two = (
        json.loads(run(make_scene(), "--dry-run", "--json", "--device", device).stdout)
        for device in ("cpu", "cpu,cpu")
    )
    assert (one["device"], two["device"]) == ("cpu", "cpu"), "the scene is one shard"
    assert two["expected_memory_mb"] <= one["expected_memory_mb"]


def test_a_box_is_a_part_of_the_whole_map(make_scene: Any, run: Predict, out: Path) -> None:
    scene = make_scene(height=130, width=140)
    assert run(scene).exit_code == 0
    with rasterio.open(out) as dataset:
        whole = dataset.read(1)[30:90, 20:120]
        west, north = dataset.transform @ (20, 30)
        east, south = dataset.transform @ (120, 90)
    box = f"{west},{south},{east},{north}"
    result = run(scene, "--bbox", box, "--overwrite", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["width"], data["height"]) == (100, 60)
    with rasterio.open(out) as dataset:
        np.testing.assert_array_equal(dataset.read(1), whole)
        assert dataset.transform @ (0, 0) == (west, north)
    plan = json.loads(run(scene, "--bbox", box, "--dry-run", "--json", "--overwrite").stdout)
    assert (plan["width"], plan["height"], plan["windows"]) == (100, 60, 9)
    assert (plan["swaths"], plan["repeated_windows"]) == (1, 0)


def test_flags_and_options_do_not_drift() -> None:
    command = main.commands["predict"]
    parameters = {parameter.name: parameter for parameter in command.params}
    assert {field.name for field in fields(PredictOptions)} <= set(parameters)
    for name, known in (("blend", BLENDS), ("engine", ENGINES), ("precision", PRECISIONS)):
        choice = parameters[name].type
        assert isinstance(choice, click.Choice)
        assert tuple(choice.choices) == known
    defaults = command.make_context("predict", ["scene.tif", "--out", "map.tif"]).params
    for field in fields(PredictOptions):
        assert defaults[field.name] == field.default, field.name


# What it refuses: exit 1, one line, and nothing left


def truncated(make_scene: Any) -> Path:
    tiled = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    path: Path = make_scene(height=256, width=256, **tiled)
    path.write_bytes(path.read_bytes()[:90_000])
    return path


def text(make_scene: Any) -> Path:
    path: Path = make_scene()
    path.write_text("This is not a raster.")
    return path


SCENES: dict[str, tuple[Callable[[Any], Path], str]] = {
    "missing": (lambda make: make().with_name("none.tif"), "there is no file"),
    "text": (text, "cannot be opened as a raster"),
    "two bands": (lambda make: make(bands=2), "too few bands, expected 3 (red, green, blue)"),
    "complex": (lambda make: make(pixels=np.ones((3, 9, 9), np.complex64)), "complex numbers"),
    "truncated": (truncated, "damaged or incomplete"),
}


@pytest.mark.parametrize("kind", SCENES)
def test_bad_scenes(
    make_scene: Any, run: Predict, tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make, words = SCENES[kind]
    scene = make(make_scene)
    before = names(tmp_path)
    for polygons in ((), ("--polygons", tmp_path / "map.gpkg")):
        assert refused(run(scene, *polygons), words, str(scene))
        assert names(tmp_path) == before
    assert capfd.readouterr().err == "", "GDAL has spoken past Python"


def test_the_corrupt_scene_of_rasterio(
    real_data: Path, run: Predict, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scene = real_data / "geotiff" / "rasterio" / "corrupt.tif"
    assert refused(run(scene), str(scene))
    assert names(tmp_path) == []
    assert capfd.readouterr().err == "", "GDAL has spoken past Python"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "none.safetensors"), "no model file none.safetensors"),
        (("--model", __file__), "is not a model file"),
        (("--bands", "1,2"), "2 bands were named"),
        (("--bands", "1,2,9"), "no band 9"),
        (("--bands", "nir,red,green"), "no band 'nir'"),
        (("--bands", ""), "no band"),
        (("--overlap", "much"), "the overlap is no number"),
        (("--overlap", "1.5"), "a fraction"),
        (("--overlap", "64"), "expected < 64 pixels"),
        (("--overlap", "-1"), "negative"),
        (("--memory", "lots"), "such as 2GB"),
        (("--bbox", "1,2,3"), "expected west,south,east,north"),
        (("--bbox", "1,2,3,x"), "unusable box"),
        (("--bbox", "3,2,1,4"), "sides in order"),
        (("--bbox", "-3,-2,-1,4"), "has no pixel of the scene"),
        (("--aoi", "none.gpkg"), "there is no file none.gpkg"),
        (("--aoi", "none.gpkg", "--bbox", "1,2,3,4"), "exclude each other"),
        (("--memory", "1MB"), "raise --memory"),
        (("--tile-size", "0"), "tile size"),
        (("--batch-size", "0"), "batch size"),
        (("--device", "gpu"), "no such device"),
        (("--device", "cuda"), "openvino does not run the device cuda"),
        (("--precision", "fp16"), "do not compute in fp16"),
        (("--out", "no/such/folder/map.tif"), "no folder"),
        (("--out", "map.jpg"), "ending in .tif"),
        (("--polygons", "map.xyz"), "map.xyz"),
        (("--polygons", "no/such/folder/map.gpkg"), "no/such/folder"),
    ],
)
def test_bad_choices(
    make_scene: Any, run: Predict, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    scene = make_scene()
    missing = ("model file", "band", "no file", "folder")  # what was looked for and not found
    code = 1 if any(word in words for word in missing) else 2
    assert refused(run(scene, *arguments), words, code=code)
    assert names(tmp_path) == ["scene.tif"]


def test_outputs_that_are_there_are_kept(make_scene: Any, run: Predict, out: Path) -> None:
    scene, layer = make_scene(), out.with_suffix(".gpkg")
    layer.write_bytes(b"precious")
    assert refused(run(scene, "--polygons", layer), str(layer), "--overwrite")
    assert names(out.parent) == ["map.gpkg", "scene.tif"]
    out.write_bytes(b"precious")
    assert refused(run(scene), str(out), "--overwrite")
    assert out.read_bytes() == layer.read_bytes() == b"precious"
    assert run(scene, "--polygons", layer, "--overwrite").exit_code == 0
    assert b"precious" not in (out.read_bytes(), layer.read_bytes())


def test_polygons_that_cannot_be_are_refused_before_the_map(
    make_scene: Any, run: Predict, tmp_path: Path
) -> None:
    scene = make_scene(crs=None)
    assert refused(run(scene, "--polygons", tmp_path / "map.gpkg"), "no place on the ground")
    assert names(tmp_path) == ["scene.tif"]


def test_the_scene_is_kept(make_scene: Any, run: Predict) -> None:
    scene = make_scene()
    before = scene.read_bytes()
    assert refused(run(scene, "--out", scene, "--overwrite"), "would replace its own input", code=2)
    assert scene.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("scene.tif",),
        ("--out", "map.tif"),
        ("scene.tif", "--out", "map.tif", "--fly"),
        ("scene.tif", "--out", "map.tif", "--blend", "average"),
        ("scene.tif", "--out", "map.tif", "--engine", "tensorflow"),
        ("scene.tif", "--out", "map.tif", "--precision", "int4"),
        ("scene.tif", "--out", "map.tif", "--tile-size", "large"),
        ("scene.tif", "other.tif", "--out", "map.tif"),
        ("scene.tif", "--out", "map.tif", "--vrt"),
        ("scene.tif", "--out", "map.tif", "--asset", "visual"),
        ("scene.tif", "--out", "map.tif", "--scratch", "here"),
        ("scene.tif", "--out", "s3://maps/map.tif", "--scratch", "s3://maps/tmp"),
        ("scene.tif", "--out", "s3://maps/map.tif", "--shard", "1/2"),
    ],
)
def test_wrong_usage_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["predict", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert names(tmp_path) == []


# Runs that stop


def interrupt(*arguments: object, **more: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_run_says_that_it_goes_on(
    make_scene: Any, run: Predict, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene()
    with monkeypatch.context() as patch:
        patch.setattr(rasterio.shutil, "copy", interrupt)
        result = run(scene)
    assert refused(result, "Error: interrupted; ", f"{out}.parts", "the same command goes on")
    assert names(out.parent) == ["map.tif.parts", "scene.tif"]
    assert refused(run(scene, "--tile-size", "32"), "window", "--restart")
    assert run(scene).exit_code == 0
    assert names(out.parent) == ["map.qml", "map.tif", "map.tif.aux.xml", "scene.tif"]


def test_a_run_interrupted_at_its_start_leaves_nothing(
    make_scene: Any, run: Predict, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "run", interrupt)
    result = run(make_scene())
    assert refused(result)
    assert result.stderr == "Error: interrupted\n"
    assert names(out.parent) == ["scene.tif"]


def test_a_damaged_model_is_refused(make_scene: Any, run: Predict, tmp_path: Path) -> None:
    """Its header is whole, its weights are not; torch is the one to find out."""
    model = tmp_path / "model.safetensors"
    model.write_bytes(EMBEDDED_MODEL.read_bytes()[:-1000])
    result = run(make_scene(), "--model", model, "--engine", "torch")
    assert refused(result, str(model))
    assert names(tmp_path) == ["model.safetensors", "scene.tif"]
