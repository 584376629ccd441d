"""Confidence, probabilities, several positions and stretched values, from scene to files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from rsseg.errors import OptionError, OutputError
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA
from rsseg.prediction import PredictOptions, PredictResult, predict
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.planning.manifest import Manifest
from rsseg.prediction.planning.plan import make_plan

SIDE = {"height": 70, "width": 90}


@pytest.fixture
def run(tmp_path: Path, make_bundle: Any, pointwise: Any) -> Any:
    """A function that predicts with a pointwise network in 32-pixel windows."""

    def start(scene: Path, name: str = "map.tif", network: Any = None, **choices: Any) -> Any:
        return predict(
            scene,
            tmp_path / name,
            bundle=make_bundle(dtype=choices.pop("dtype", "uint8")),
            network=network or pointwise(),
            options=PredictOptions(tile_size=32, **choices),
        )

    return start


def shares(scene: Path, network: Any, bundle: Any) -> np.ndarray:
    """Probabilities ``(K, h, w)`` of a pointwise network, worked out at once."""
    with rasterio.open(scene) as dataset:
        raw = torch.from_numpy(dataset.read().astype(np.float32))
    scaling = bundle.normalisation
    scale, mean, std = (
        torch.tensor(v)[:, None, None] for v in (scaling.scale, scaling.mean, scaling.std)
    )
    with torch.inference_mode():
        return network((((raw / scale) - mean) / std)[None])[0].softmax(0).numpy()


@pytest.mark.parametrize("kind", ["top1", "margin"])
def test_confidence_and_probabilities_are_those_of_the_network(
    make_scene: Any, run: Any, tmp_path: Path, make_bundle: Any, pointwise: Any, kind: str
) -> None:
    valid = np.ones((70, 90), bool)
    valid[10:30, 20:50] = False
    scene = make_scene(valid=valid, validity="mask")
    files = {name: tmp_path / f"{name}.tif" for name in ("confidence", "probabilities")}
    run(scene, **files, confidence_kind=kind)
    expected = shares(scene, pointwise(), make_bundle())
    ordered = np.sort(expected, axis=0)
    sure = ordered[-1] - (ordered[-2] if kind == "margin" else 0)
    with rasterio.open(tmp_path / "map.tif") as codes:
        grid = codes.transform, codes.crs, codes.shape
    for name, wanted in (("confidence", sure[None]), ("probabilities", expected)):
        with rasterio.open(files[name]) as made:
            assert (made.transform, made.crs, made.shape) == grid
            assert set(made.nodatavals) == {NODATA}
            assert made.scales == pytest.approx([1 / 254] * made.count)
            values = made.read()
            assert (values[:, ~valid] == NODATA).all()
            assert np.abs(values[:, valid] / 254 - wanted[:, valid]).max() <= 0.5 / 254 + 1e-6
            assert made.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            if name == "probabilities":
                assert made.descriptions == tuple(make_bundle().legend.names)


def test_the_map_is_the_same_with_and_without(make_scene: Any, run: Any, tmp_path: Path) -> None:
    scene = make_scene(**SIDE)
    run(scene, "plain.tif")
    run(scene, "map.tif", confidence=tmp_path / "c.tif", probabilities=tmp_path / "p.tif")
    with rasterio.open(tmp_path / "plain.tif") as one, rasterio.open(tmp_path / "map.tif") as other:
        assert np.array_equal(one.read(), other.read())
    assert sorted(path.name for path in tmp_path.glob("*.parts")) == []


def test_unsure_pixels_become_nodata(make_scene: Any, run: Any, tmp_path: Path) -> None:
    scene = make_scene(**SIDE)
    result = run(scene, confidence=tmp_path / "c.tif", min_confidence=0.45)
    with (
        rasterio.open(tmp_path / "map.tif") as codes,
        rasterio.open(tmp_path / "c.tif") as confidence,
    ):
        unsure = confidence.read(1) < round(0.45 * 254)
        assert 0 < unsure.mean() < 1
        assert np.array_equal(codes.read(1) == NODATA, unsure)
    assert result.nodata_pixels == unsure.sum()


@pytest.mark.parametrize("tta", ["flip", "d4"])
def test_positions_change_nothing_for_a_pointwise_network(
    make_scene: Any, run: Any, tmp_path: Path, tta: str
) -> None:
    scene = make_scene(**SIDE)
    run(scene, "plain.tif", probabilities=tmp_path / "plain_p.tif")
    run(scene, "turned.tif", tta=tta, probabilities=tmp_path / "turned_p.tif")
    with (
        rasterio.open(tmp_path / "plain_p.tif") as one,
        rasterio.open(tmp_path / "turned_p.tif") as other,
    ):
        assert np.abs(one.read().astype(int) - other.read()).max() <= 1
        assert "RSSEG_TTA" in other.tags()


def test_positions_take_as_many_forwards(make_scene: Any, run: Any, pointwise: Any) -> None:
    scene, calls = make_scene(height=32, width=32), {}
    for tta in ("none", "flip", "d4"):
        network = pointwise()
        run(scene, f"{tta}.tif", network=network, tta=tta)
        calls[tta] = network.calls - 1  # the engine's own check
    assert calls == {"none": 1, "flip": 4, "d4": 8}


def test_a_stretched_scene_is_predicted_as_one_of_the_models_range(
    make_scene: Any, run: Any, tmp_path: Path, read: Any
) -> None:
    eight = np.random.default_rng(0).integers(0, 256, (3, 70, 90)).astype(np.uint16)
    eight[:, 0, 0], eight[:, 0, 1] = 0, 255
    plain = make_scene("plain.tif", pixels=eight.astype(np.uint8))
    other = make_scene("other.tif", pixels=eight * 7 + 1000)
    run(plain, "a.tif")
    result = run(other, "b.tif", stretch=(0, 100))
    assert (read(tmp_path / "a.tif") == read(tmp_path / "b.tif")).mean() > 0.999
    assert any("1000-2785" in note for note in result.notes)
    assert not any("8-bit" in note for note in result.notes)
    with rasterio.open(tmp_path / "b.tif") as made:
        assert json.loads(made.tags()["RSSEG_STRETCH"])["scale"] == [1785.0] * 3
    with rasterio.open(tmp_path / "a.tif") as made:
        assert "RSSEG_STRETCH" not in made.tags()


def test_percentiles_are_of_valid_pixels(make_scene: Any, make_bundle: Any) -> None:
    valid = np.ones((40, 40), bool)
    valid[:, :30] = False
    pixels = np.full((3, 40, 40), 60_000, np.uint16)
    pixels[:, valid] = np.linspace(100, 300, valid.sum()).astype(np.uint16)
    scene = make_scene(pixels=pixels, valid=valid, validity="mask")
    plan = make_plan(scene, make_bundle(), None, None, PredictOptions(stretch=(0, 100)))
    assert plan.bundle.normalisation.scale == (200.0,) * 3
    flat = make_scene("flat.tif", pixels=np.full((3, 9, 9), 7, np.uint16))
    with pytest.raises(OptionError, match="cannot be stretched: a band has 7 at both"):
        make_plan(flat, make_bundle(), None, None, PredictOptions(stretch=(2, 98)))


def test_outputs_that_are_there_are_refused_and_kept(
    make_scene: Any, run: Any, tmp_path: Path
) -> None:
    scene = make_scene(**SIDE)
    (tmp_path / "c.tif").write_bytes(b"mine")
    for options, message in (
        ({"confidence": tmp_path / "c.tif"}, "already there"),
        ({"probabilities": tmp_path / "map.tif"}, "two outputs are called"),
        ({"confidence": scene}, "would replace its own input"),
        ({"confidence": tmp_path / "c.png"}, "a name ending in .tif or .tiff"),
        ({"probabilities": tmp_path / "none" / "p.tif"}, "no folder"),
    ):
        with pytest.raises((OptionError, OutputError), match=message):
            run(scene, **options)
    assert (tmp_path / "c.tif").read_bytes() == b"mine"
    assert not (tmp_path / "map.tif").exists()
    run(scene, confidence=tmp_path / "c.tif", overwrite=True)
    assert (tmp_path / "c.tif").read_bytes() != b"mine"


def test_a_run_cut_short_between_its_outputs_goes_on(
    make_scene: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The confidence is there, the map is not: the same command finishes, without --overwrite."""
    import sys

    module = sys.modules["rsseg.prediction.outputs.finishing"]
    scene, whole = make_scene(**SIDE), module.assemble

    def stop(*arguments: Any) -> None:
        raise OutputError("the power went out")

    monkeypatch.setattr(module, "assemble", stop)
    with pytest.raises(OutputError, match="power"):
        run(scene, confidence=tmp_path / "c.tif")
    assert (tmp_path / "c.tif").exists()
    assert not (tmp_path / "map.tif").exists()
    monkeypatch.setattr(module, "assemble", whole)
    result: PredictResult = run(scene, confidence=tmp_path / "c.tif")
    assert result.forward_seconds == 0
    assert (tmp_path / "map.tif").exists()
    assert not (tmp_path / "map.tif.parts").exists()


def test_another_choice_is_another_plan(
    make_scene: Any, run: Any, tmp_path: Path, local: Any, stopped: Any
) -> None:
    from rsseg.errors import PlanChanged

    scene = make_scene(height=300, width=40)
    import rsseg.prediction.planning.plan as planning

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "_SHARD_PIXELS", 1000)
        with pytest.raises(stopped):
            run(scene, network=local(fail_at=10))
        for options in ({"tta": "flip"}, {"confidence": tmp_path / "c.tif"}):
            with pytest.raises(PlanChanged):
                run(scene, network=local(), **options)


def test_two_processes_are_kept_apart(make_scene: Any, run: Any, tmp_path: Path) -> None:
    """While one is at work another one is refused, and does no harm."""
    scene = make_scene(**SIDE)
    parts = Parts(tmp_path / "map.tif")
    manifest = Manifest(Grid(8, 8, Affine.identity(), None), LAND_COVER, {}, (), (), ())
    parts.open({"of": "another process"}, manifest, restart=False)
    for restart in (False, True):
        with pytest.raises(OutputError, match=r"another process is at work in .*map\.tif\.parts"):
            run(scene, restart=restart)
    assert (parts.folder / "plan.json").exists()
    parts.remove()
    run(scene)


def test_a_style_of_the_users_is_kept(make_scene: Any, run: Any, tmp_path: Path) -> None:
    scene, style = make_scene(**SIDE), tmp_path / "map.qml"
    saved = "<!DOCTYPE qgis><qgis><pipe/><layerOpacity>0.5</layerOpacity></qgis>"
    for text in ("mine", saved):
        style.write_text(text)
        with pytest.raises(OutputError, match=r"map\.qml is a style that was saved for map\.tif"):
            run(scene)
        assert style.read_text() == text
    run(scene, overwrite=True)
    assert style.read_text() != saved
    (tmp_path / "map.tif").unlink()
    run(scene)  # what is left of a map that was deleted is no one's style
