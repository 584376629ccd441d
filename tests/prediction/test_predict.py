"""What comes out of ``predict``: the scene's grid, its validity, colours; and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import torch
from affine import Affine
from rasterio.enums import ColorInterp
from torch import nn

import rsseg.prediction.planning.plan as planning
from rsseg.errors import (
    BandError,
    BundleError,
    OptionError,
    OutputError,
    PlanChanged,
    RssegError,
    SceneError,
)
from rsseg.geo.class_raster import read_legend
from rsseg.legend import NODATA
from rsseg.prediction import PredictOptions, PredictResult, predict
from rsseg.prediction.planning.plan import make_plan
from rsseg.prediction.predict import expected_seconds

NORTH_UP = Affine(0.25, 0, 155_000, 0, -0.25, 463_000)
SOUTH_UP = Affine(0.25, 0, 155_000, 0, 0.25, 463_000)
ROTATED = Affine(0.217, 0.125, 155_000, 0.125, -0.217, 463_000)
DEGREES = Affine(1e-5, 0, 5.1, 0, -1e-5, 52.2)

Run = Callable[..., PredictResult]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "map.tif"


@pytest.fixture
def run(out: Path, make_bundle: Any, pointwise: Any) -> Run:
    """A function that predicts with a pointwise network, 32-pixel windows and any options."""

    def start(
        scene: Path | str,
        network: nn.Module | None = None,
        dtype: str = "uint8",
        **choices: Any,
    ) -> PredictResult:
        return predict(
            scene,
            out,
            bundle=make_bundle(dtype=dtype),
            network=network or pointwise(),
            options=PredictOptions(**{"tile_size": 32} | choices),
        )

    return start


def left(folder: Path) -> list[str]:
    """Names of everything but scenes."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("scene"))


# The grid


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:28992", NORTH_UP),
        ("EPSG:28992", SOUTH_UP),
        ("EPSG:28992", ROTATED),
        ("EPSG:4326", DEGREES),
        ("EPSG:7415", NORTH_UP),  # compound: with heights
        (None, NORTH_UP),
        (None, Affine.identity()),
    ],
)
def test_the_map_lies_on_the_grid_of_the_scene(
    make_scene: Any, run: Run, out: Path, crs: str | None, transform: Affine
) -> None:
    scene = make_scene(height=45, width=70, crs=crs, transform=transform)
    result = run(scene)
    with rasterio.open(scene) as theirs, rasterio.open(out) as ours:
        assert (ours.width, ours.height) == (theirs.width, theirs.height) == (70, 45)
        assert ours.crs == theirs.crs
        assert ours.transform == theirs.transform
    assert (result.width, result.height) == (70, 45)


def test_colours_names_and_sidecars(make_scene: Any, run: Run, out: Path, make_bundle: Any) -> None:
    run(make_scene(height=600, width=520))
    legend = make_bundle().legend
    with rasterio.open(out) as dataset:
        assert dataset.count == 1
        assert dataset.dtypes == ("uint8",)
        assert dataset.nodata == NODATA
        assert dataset.colorinterp == (ColorInterp.palette,)
        colours = dataset.colormap(1)
        assert read_legend(dataset) == legend
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.overviews(1) == [2]
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    for known in legend:
        assert colours[known.code] == (*known.colour, 255)
    assert colours[NODATA][3] == 0
    assert left(out.parent) == ["map.qml", "map.tif", "map.tif.aux.xml"]
    for sidecar in ("map.qml", "map.tif.aux.xml"):
        text = (out.parent / sidecar).read_text(encoding="utf-8")
        assert all(known.name in text for known in legend)


def test_provenance_holds_nothing_of_machine_or_moment(
    make_scene: Any, run: Run, out: Path
) -> None:
    scene = make_scene()
    run(scene)
    with rasterio.open(out) as dataset:
        tags = dataset.tags()
    assert tags["RSSEG_SCENE"] == "scene.tif"
    assert tags["RSSEG_WINDOW"] == "32"
    assert tags["RSSEG_STRIDE"] == "24"
    assert not any(str(scene.parent) in text for text in tags.values())
    first = out.read_bytes()
    os.utime(scene, (0, 0))
    out.unlink()
    run(scene, batch_size=4)
    assert out.read_bytes() == first


# Validity


def holes(height: int = 80, width: int = 90) -> np.ndarray:
    """Validity with single holes, a large one that swallows windows, and a line."""
    valid = np.random.default_rng(4).random((height, width)) > 0.05
    valid[20:, :60] = False
    valid[40, 30] = True
    valid[:, 77] = False
    return valid


@pytest.mark.parametrize(
    ("validity", "dtype"),
    [
        ("nodata", "uint8"),
        ("nodata", "uint16"),
        ("nodata", "float32"),
        ("alpha", "uint8"),
        ("alpha", "uint16"),
        ("mask", "uint8"),
        ("mask", "float32"),
    ],
)
def test_255_exactly_where_the_scene_is_invalid(
    make_scene: Any, run: Run, out: Path, read: Any, validity: str, dtype: str
) -> None:
    scene = make_scene(height=80, width=90, valid=holes(), validity=validity, dtype=dtype)
    result = run(scene, dtype=dtype)
    with rasterio.open(scene) as dataset:
        np.testing.assert_array_equal(dataset.dataset_mask() > 0, holes())
    np.testing.assert_array_equal(read(out) == NODATA, ~holes())
    assert result.nodata_pixels == np.count_nonzero(~holes())
    assert sum(result.classes.values()) == np.count_nonzero(holes())


def test_nan_is_invalid(make_scene: Any, run: Run, out: Path, read: Any) -> None:
    pixels = np.random.default_rng(0).random((3, 80, 90), np.float32)
    pixels[:, ~holes()] = np.nan
    run(make_scene(pixels=pixels), dtype="float32")
    np.testing.assert_array_equal(read(out) == NODATA, ~holes())


def test_a_nan_in_one_band_spoils_its_pixel_only(
    make_scene: Any, run: Run, out: Path, read: Any, local: Any
) -> None:
    """A NaN that reached a convolution would spread."""
    pixels = np.random.default_rng(0).random((3, 50, 50), np.float32)
    pixels[1, 25, 25] = np.nan
    run(make_scene(pixels=pixels), local(), dtype="float32")
    assert np.argwhere(read(out) == NODATA).tolist() == [[25, 25]]


def test_nodata_in_one_band_of_three_is_valid(
    make_scene: Any, run: Run, out: Path, read: Any
) -> None:
    """Black is a colour: invalid is where all bands in use hold nodata."""
    pixels = np.full((3, 20, 20), 90, np.uint8)
    pixels[0, 3, 3] = pixels[1, 4, 4] = 0
    pixels[:, 5, 5] = 0
    run(make_scene(pixels=pixels, validity="nodata"))
    assert np.argwhere(read(out) == NODATA).tolist() == [[5, 5]]


def test_validity_is_that_of_the_bands_in_use(
    make_scene: Any, run: Run, out: Path, read: Any
) -> None:
    """A pixel that only an unused band knows is invalid."""
    pixels = np.full((4, 20, 20), 90, np.uint8)
    pixels[:3, 7, 7] = 0
    run(make_scene(pixels=pixels, validity="nodata"))
    assert np.argwhere(read(out) == NODATA).tolist() == [[7, 7]]


def test_what_lies_under_invalid_pixels_does_not_matter(
    make_scene: Any, run: Run, out: Path, local: Any
) -> None:
    valid = holes()
    maps = []
    for rubbish in (1, 250):
        pixels = np.random.default_rng(1).integers(1, 255, (3, *valid.shape), np.uint8)
        pixels[:, ~valid] = rubbish
        run(make_scene(pixels=pixels, valid=valid, validity="mask"), local(), overwrite=True)
        maps.append(out.read_bytes())
    assert maps[0] == maps[1]


@pytest.mark.parametrize("validity", ["nodata", "alpha", "mask"])
def test_a_scene_without_a_valid_pixel_is_all_255(
    make_scene: Any, run: Run, out: Path, read: Any, pointwise: Any, validity: str
) -> None:
    valid = np.zeros((70, 70), bool)
    network = pointwise()
    result = run(make_scene(height=70, width=70, valid=valid, validity=validity), network)
    assert (read(out) == NODATA).all()
    assert result.nodata_pixels == 70 * 70
    assert set(result.classes.values()) == {0}
    assert network.calls == 1, "the engine's own check, and no window"


def test_windows_without_a_valid_pixel_are_not_scored(
    make_scene: Any, run: Run, pointwise: Any
) -> None:
    """Of 4 x 4 windows without overlap, those of the first two rows but one are empty."""
    valid = np.zeros((128, 128), bool)
    valid[64:] = True
    valid[31, 64] = True
    network = pointwise()
    result = run(
        make_scene(height=128, width=128, valid=valid, validity="mask"),
        network,
        overlap=0,
        batch_size=3,
    )
    assert result.windows == 16
    assert network.calls == 1 + 1 + 8


def test_progress_reaches_the_end_and_counts_every_window(
    make_scene: Any, out: Path, make_bundle: Any, pointwise: Any
) -> None:
    seen: list[tuple[int, int]] = []
    result = predict(
        make_scene(),
        out,
        bundle=make_bundle(),
        network=pointwise(),
        options=PredictOptions(tile_size=32, batch_size=2),
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert {total for _, total in seen} == {result.windows} == {9}
    done = [done for done, _ in seen]
    assert done == sorted(done)
    assert done[-1] == 9


def test_the_result_adds_up(make_scene: Any, run: Run) -> None:
    result = run(make_scene(height=100, width=100))
    parts = (result.startup_seconds, result.pipeline_seconds, result.finish_seconds)
    assert all(seconds > 0 for seconds in parts)
    assert sum(parts) <= result.seconds + 0.01
    assert 0 < result.forward_seconds <= result.pipeline_seconds
    assert result.mpx_per_s == pytest.approx(0.01 / result.seconds)
    assert result.peak_rss_mb > 10
    assert (result.engine, result.device, result.precision) == ("torch", "cpu", "fp32")
    assert json.loads(json.dumps(result.to_json()))["out"].endswith("map.tif")


# Bands


@pytest.fixture
def straight(make_scene: Any, run: Run, out: Path, read: Any) -> np.ndarray:
    """The map of `PIXELS` as they are; the map itself is removed."""
    run(make_scene(pixels=PIXELS))
    codes = read(out)
    out.unlink()
    return codes


PIXELS = np.random.default_rng(0).integers(1, 255, (3, 60, 60), np.uint8)
SWAPPED = ("blue", "red", "green")


@pytest.mark.parametrize("bands", [None, ("red", "green", "blue"), ("Red", 3, "blue"), (2, 3, 1)])
def test_swapped_bands_are_found(
    make_scene: Any, run: Run, out: Path, read: Any, straight: np.ndarray, bands: Any
) -> None:
    swapped = make_scene(pixels=PIXELS[[2, 0, 1]], photometric="minisblack", descriptions=SWAPPED)
    run(swapped, bands=bands)
    np.testing.assert_array_equal(read(out), straight)


@pytest.mark.parametrize("bands", [(1, 2, 3), ("blue", "red", "green")])
def test_bands_are_taken_in_the_order_asked_for(
    make_scene: Any, run: Run, out: Path, read: Any, straight: np.ndarray, bands: Any
) -> None:
    swapped = make_scene(pixels=PIXELS[[2, 0, 1]], photometric="minisblack", descriptions=SWAPPED)
    run(swapped, bands=bands)
    assert (read(out) != straight).any()


def test_names_decide_among_more_bands(
    make_scene: Any, run: Run, out: Path, read: Any, straight: np.ndarray
) -> None:
    more = np.concatenate([PIXELS[1:2] // 2, PIXELS])
    names = ("nir", "red", "green", "blue")
    result = run(make_scene(pixels=more, photometric="minisblack", descriptions=names))
    np.testing.assert_array_equal(read(out), straight)
    assert not any("--bands" in note for note in result.notes)


def test_nameless_bands_are_taken_in_order_and_said_so(
    make_scene: Any, run: Run, out: Path, read: Any, straight: np.ndarray
) -> None:
    more = np.concatenate([PIXELS, PIXELS[:1]])
    result = run(make_scene(pixels=more, photometric="minisblack"))
    np.testing.assert_array_equal(read(out), straight)
    assert any("bands 1, 2, 3 were taken as red, green, blue" in note for note in result.notes)


@pytest.mark.parametrize(
    ("bands", "choice", "message"),
    [
        (2, None, "too few bands, expected 3 (red, green, blue), got 2"),
        (4, (1, 2), "2 bands were named"),
        (3, (1, 2, 4), "no band 4, expected 1-3"),
        (3, (1, 2, 0), "no band 0, expected 1-3"),
        (3, ("red", "green", "nir"), "no band 'nir', got red, green, blue"),
        (3, (), "no band"),
    ],
)
def test_bands_that_do_not_fit_are_refused(
    make_scene: Any, run: Run, out: Path, bands: int, choice: Any, message: str
) -> None:
    with pytest.raises(BandError) as caught:
        run(make_scene(bands=bands), bands=choice)
    assert message in str(caught.value)
    assert left(out.parent) == []


# Real files


@pytest.mark.filterwarnings("ignore::rasterio.errors.NodataShadowWarning")
def test_odd_files_at_hand(
    real_data: Path, out: Path, make_bundle: Any, pointwise: Any, read: Any
) -> None:
    """Paletted, rotated, masked, without a place ...: on their grid, 255 where GDAL says so."""
    files = sorted((real_data / "geotiff").rglob("*.tif*"))
    assert len(files) > 30
    refused = []
    for path in files:
        with rasterio.open(path) as dataset:
            bands = range(1, min(3, dataset.count) + 1)
            network, bundle = pointwise(bands=len(bands)), make_bundle(bands=("any",) * len(bands))
            options = PredictOptions(tile_size=256, overwrite=True, bands=tuple(bands))
            try:
                predict(path, out, bundle=bundle, network=network, options=options)
            except SceneError:
                refused.append(path.name)
                continue
            valid = dataset.read_masks(list(bands)).any(axis=0)
            valid &= np.isfinite(dataset.read(list(bands))).all(axis=0)
            np.testing.assert_array_equal(read(out) != NODATA, valid, err_msg=str(path))
            with rasterio.open(out) as ours:
                assert (ours.crs, ours.transform) == (dataset.crs, dataset.transform), path
    assert refused == ["corrupt.tif"]


# Outputs that are there, or cannot be


def test_an_existing_output_is_refused_and_untouched(make_scene: Any, run: Run, out: Path) -> None:
    out.write_bytes(b"precious")
    with pytest.raises(OutputError, match="--overwrite"):
        run(make_scene())
    assert out.read_bytes() == b"precious"
    assert left(out.parent) == ["map.tif"]
    run(make_scene(), overwrite=True)
    assert out.read_bytes() != b"precious"


def test_the_scene_is_never_overwritten(
    tmp_path: Path, make_scene: Any, make_bundle: Any, pointwise: Any
) -> None:
    scene = make_scene()
    before = scene.read_bytes()
    link = tmp_path / "link.tif"
    link.symlink_to(scene)
    for out in (scene, link, tmp_path / "." / scene.name):
        with pytest.raises(OptionError, match="would replace its own input"):
            predict(
                scene,
                out,
                bundle=make_bundle(),
                network=pointwise(),
                options=PredictOptions(overwrite=True),
            )
        assert scene.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "message"),
    [("there/is/none/map.tif", "no folder"), ("map.png", "ending in .tif"), ("map", "ending in")],
)
def test_outputs_that_cannot_be_are_refused(
    tmp_path: Path, make_scene: Any, make_bundle: Any, pointwise: Any, name: str, message: str
) -> None:
    with pytest.raises((OptionError, OutputError), match=message):
        predict(make_scene(), tmp_path / name, bundle=make_bundle(), network=pointwise())
    assert left(tmp_path) == []


def test_a_failed_finish_leaves_the_old_map_and_the_parts(
    make_scene: Any, run: Run, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **more: object) -> None:
        Path(str(arguments[1])).write_bytes(b"half a map")
        raise OSError(28, "No space left on device")

    scene = make_scene()
    out.write_bytes(b"the old map")
    with monkeypatch.context() as patch:
        patch.setattr(rasterio.shutil, "copy", full)
        with pytest.raises(OutputError, match="No space left") as caught:
            run(scene, overwrite=True)
    assert "the same command goes on" in "".join(caught.value.__notes__)
    assert out.read_bytes() == b"the old map"
    assert left(out.parent) == ["map.tif", "map.tif.parts"]
    run(scene, overwrite=True)
    assert left(out.parent) == ["map.qml", "map.tif", "map.tif.aux.xml"]


# Runs that stop and go on; that they change no byte is in test_law.py


@pytest.fixture
def unfinished(
    make_scene: Any, run: Run, local: Any, stopped: Any, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The scene of a run that stopped with some strips finished."""
    monkeypatch.setattr(planning, "_SHARD_PIXELS", 1)
    scene = make_scene(height=160, width=64)
    with pytest.raises(stopped):
        run(scene, local(fail_at=12))
    return scene


@pytest.mark.parametrize(
    ("choices", "changed"),
    [
        ({"tile_size": 40}, "footprint of the windows, shards, stride, window"),
        ({"overlap": 20}, "shards, stride"),
        ({"blend": "uniform", "overlap": 0.25}, "blend"),
        ({"bands": (3, 2, 1)}, "bands"),
        ({"precision": "bf16"}, "precision"),
    ],
)
def test_a_changed_plan_is_refused_by_what_changed(
    run: Run, local: Any, out: Path, unfinished: Path, choices: dict[str, Any], changed: str
) -> None:
    parts = sorted(out.with_name("map.tif.parts").iterdir())
    with pytest.raises(PlanChanged, match=f"differs in {changed},.*--restart"):
        run(unfinished, local(), **choices)
    assert not out.exists()
    assert sorted(out.with_name("map.tif.parts").iterdir()) == parts
    run(unfinished, local(), restart=True, **choices)
    assert left(out.parent) == ["map.qml", "map.tif", "map.tif.aux.xml"]


def test_a_changed_scene_is_refused(run: Run, local: Any, unfinished: Path) -> None:
    os.utime(unfinished, (1, 1))
    with pytest.raises(PlanChanged, match="differs in scene"):
        run(unfinished, local())


def test_restart_uses_nothing_of_the_run_before(
    run: Run, local: Any, unfinished: Path, make_scene: Any
) -> None:
    fresh, resumed = local(), local()
    run(unfinished, resumed, restart=True)
    run(make_scene("scene2.tif", height=160, width=64), fresh, overwrite=True)
    assert resumed.calls == fresh.calls


def test_parts_without_a_plan_are_not_trusted(
    run: Run, local: Any, out: Path, read: Any, unfinished: Path
) -> None:
    """A folder whose removal was cut short must not lend its strips to another run."""
    (out.parent / "map.tif.parts" / "plan.json").unlink()
    run(unfinished, local(seed=1))
    codes = read(out)
    run(unfinished, local(seed=1), overwrite=True)
    np.testing.assert_array_equal(codes, read(out))


def test_an_interrupt_leaves_no_map(
    make_scene: Any, make_bundle: Any, pointwise: Any, out: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(
            make_scene(),
            out,
            bundle=make_bundle(),
            network=pointwise(),
            on_progress=interrupt,
        )
    assert left(out.parent) == []


# Memory


@pytest.fixture
def vast(tmp_path: Path) -> Path:
    """A scene of 120 megapixels in a file of a few bytes, all of it one block."""
    path = tmp_path / "scene.tif"
    profile = {"count": 3, "width": 60_000, "height": 2_000, "dtype": "uint8"}
    with rasterio.open(path, "w", blockysize=2_000, SPARSE_OK=True, **profile):
        pass
    return path


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_the_least_memory_named_is_accepted(
    vast: Path, make_bundle: Any, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = vast.with_suffix(".safetensors")
    model.write_bytes(b"its hash is all a plan reads")

    def plan(memory: int) -> planning.Plan:
        options = PredictOptions(memory=memory, engine=engine, tile_size=512)
        return make_plan(vast, make_bundle(), model, None, options)

    with pytest.raises(OptionError, match=r"needs \d+ MB") as caught:
        plan(1_000_000)
    least = int(str(caught.value).split("needs ")[1].split(" MB")[0]) * 10**6
    assert plan(least).memory <= least
    with pytest.raises(OptionError, match=f"needs {least // 10**6} MB"):
        plan(least - 10**6)


def test_more_memory_is_never_refused(vast: Path, make_bundle: Any, pointwise: Any) -> None:
    accepted = []
    for memory in range(10**9, 12 * 10**9, 10**8):
        try:
            options = PredictOptions(memory=memory, tile_size=512)
            work = make_plan(vast, make_bundle(), None, pointwise(), options)
        except OptionError:
            accepted.append(False)
        else:
            accepted.append(True)
            assert work.memory <= memory
    assert accepted == sorted(accepted)
    assert not accepted[0]
    assert accepted[-1]


def test_too_small_a_bound_leaves_nothing(make_scene: Any, run: Run, out: Path) -> None:
    with pytest.raises(OptionError, match="raise --memory"):
        run(make_scene(), memory=1000)
    assert left(out.parent) == []


# Scenes and networks that cannot be used


def test_scenes_that_cannot_be_read_are_refused(tmp_path: Path, run: Run, make_scene: Any) -> None:
    text = tmp_path / "scene_text.tif"
    text.write_text("not an image")
    for scene in (tmp_path / "scene_missing.tif", text, tmp_path):
        with pytest.raises(SceneError):
            run(scene)
    with pytest.raises(SceneError, match="complex"):
        run(make_scene("scene_complex.tif", pixels=np.ones((3, 9, 9), np.complex64)))
    assert left(tmp_path) == []


@pytest.mark.parametrize("pixels", [1, 10**9])
def test_a_scene_damaged_at_its_end_is_refused(
    make_scene: Any, run: Run, out: Path, monkeypatch: pytest.MonkeyPatch, pixels: int
) -> None:
    monkeypatch.setattr(planning, "_SHARD_PIXELS", pixels)
    tiled = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    scene = make_scene(height=256, width=256, **tiled)
    content = scene.read_bytes()
    scene.write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(SceneError, match="damaged or incomplete"):
        run(scene)
    assert left(out.parent) == (["map.tif.parts"] if pixels == 1 else [])


class Cropped(nn.Module):
    """Loses a pixel at each side, as convolutions without padding do."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :, 1:-1, 1:-1]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Conv2d(3, 5, 1), r"expected logits \(1, 4, 32, 32\), got \(1, 5, 32, 32\)"),
        (nn.Conv2d(4, 4, 1), "fails on 3 bands"),
        (Cropped(), "does not fit its legend and window"),
    ],
)
def test_networks_that_do_not_fit_are_refused(
    make_scene: Any, run: Run, out: Path, network: nn.Module, message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        run(make_scene(), network)
    assert left(out.parent) == []


def test_bundle_and_network_come_together(
    make_scene: Any, out: Path, make_bundle: Any, pointwise: Any
) -> None:
    with pytest.raises(OptionError, match="no weights"):
        predict(make_scene(), out, bundle=make_bundle())
    with pytest.raises(OptionError, match="needs a Bundle"):
        predict(make_scene(), out, network=pointwise())
    with pytest.raises(BundleError, match="no model file"):
        predict(make_scene(), out, bundle=out.with_suffix(".safetensors"))
    assert left(out.parent) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(make_scene: Any, run: Run, out: Path) -> None:
    with pytest.raises(OptionError, match="cuda"):
        run(make_scene(), device="cuda")
    assert left(out.parent) == []


def test_every_refusal_is_one_sentence(make_scene: Any, run: Run) -> None:
    with pytest.raises(RssegError) as caught:
        run(make_scene(), nn.Conv2d(4, 4, 1))
    assert "\n" not in str(caught.value)


# Time


@pytest.mark.parametrize("streams", [1, 2])
def test_time_is_told_from_all_threads_that_compute_at_once(
    make_scene: Any, make_bundle: Any, pointwise: Any, streams: int
) -> None:
    """The calling one is among them: a compiled network runs only where it was made."""
    meeting, used = threading.Barrier(streams, timeout=10), set[int]()

    class Slow:
        def __init__(self) -> None:
            self.streams = streams

        def __call__(self, windows: np.ndarray) -> np.ndarray:
            meeting.wait()
            used.add(threading.get_ident())
            time.sleep(0.02)
            return windows

        def to_host(self, scores: np.ndarray) -> np.ndarray:
            return scores

    options = PredictOptions(tile_size=32)
    work = make_plan(make_scene(), make_bundle(), None, pointwise(), options)
    engine: Any = Slow()
    assert expected_seconds(work, engine) >= 0.02 * work.passes / streams
    assert threading.get_ident() in used
    assert len(used) == streams


# Names


@pytest.mark.parametrize(
    "first",
    [
        "from rsseg.prediction import PredictResult, predict",
        "import rsseg.prediction.predict",
        "from rsseg.prediction.predict import load_engine",
        "import rsseg.prediction.planning.plan",
    ],
)
def test_predict_is_the_tool_whatever_is_imported_first(first: str) -> None:
    """Tool and module share a name, which must not let the module take the tool's place."""
    code = f"{first}\nfrom rsseg.prediction import predict\nassert not hasattr(predict, '__path__')"
    code += "\nassert callable(predict), predict"
    subprocess.run([sys.executable, "-c", code], check=True)
