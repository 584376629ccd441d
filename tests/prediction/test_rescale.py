"""Predicting at the model's resolution, writing on the scene's grid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from rsseg.errors import OptionError
from rsseg.geo.shards import swaths
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.predict import plan

FINE = Affine(0.25, 0, 4e5, 0, -0.25, 5e6)


@pytest.fixture
def blocks() -> np.ndarray:
    """A picture of few large blocks, each of one colour, 240 x 320."""
    coarse = np.random.default_rng(3).integers(0, 256, (3, 3, 4), dtype=np.uint8)
    return coarse.repeat(80, axis=1).repeat(80, axis=2)


@pytest.mark.parametrize("gsd", [0.5, 1.0, 0.7, 0.1])
def test_blocks_keep_their_classes_away_from_their_borders(
    tmp_path: Any,
    make_scene: Any,
    make_bundle: Any,
    pointwise: Any,
    truth: Any,
    read: Any,
    blocks: np.ndarray,
    gsd: float,
) -> None:
    scene = make_scene(pixels=blocks, height=240, width=320, transform=FINE)
    bundle, network = replace(make_bundle(), gsd=gsd), pointwise()
    options = PredictOptions(tile_size=64, rescale=True)
    predict(scene, tmp_path / "map.tif", bundle=bundle, network=network, options=options)
    codes, _ = truth(scene, network, bundle)
    found = read(tmp_path / "map.tif")
    inner = np.zeros((80, 80), np.bool_)
    inner[12:-12, 12:-12] = True
    inside = np.tile(inner, (3, 4))
    assert np.array_equal(found[inside], codes[inside])


def test_nodata_is_exact_on_the_scenes_own_grid(
    tmp_path: Any, make_scene: Any, make_bundle: Any, pointwise: Any, read: Any
) -> None:
    valid = np.random.default_rng(0).random((130, 170)) > 0.3
    scene = make_scene(height=130, width=170, valid=valid, validity="nodata", transform=FINE)
    options = PredictOptions(tile_size=32, rescale=True)
    bundle = replace(make_bundle(), gsd=0.6)
    predict(scene, tmp_path / "map.tif", bundle=bundle, network=pointwise(), options=options)
    assert np.array_equal(read(tmp_path / "map.tif") != 255, valid)
    with rasterio.open(tmp_path / "map.tif") as made, rasterio.open(scene) as given:
        assert (made.transform, made.crs, made.shape) == (given.transform, given.crs, given.shape)


def test_windows_cover_more_ground(make_scene: Any, make_bundle: Any, pointwise: Any) -> None:
    scene = make_scene(height=400, width=500, transform=FINE)
    bundle, options = replace(make_bundle(), gsd=0.6), PredictOptions(tile_size=50, rescale=True)
    work = plan(scene, bundle=bundle, network=pointwise(), options=options)
    assert (work.side, work.tiling.size, work.tiling.stride) == (50, 120, 90)
    assert not any("--rescale" in note for note in work.notes)


@pytest.mark.parametrize("validity", ["none", "mask"])
def test_windows_far_larger_than_the_scene_take_no_more_than_it(
    tmp_path: Any, make_scene: Any, make_bundle: Any, pointwise: Any, read: Any, validity: str
) -> None:
    valid = np.ones((90, 120), np.bool_)
    if validity == "mask":
        valid[:40, :50] = False
    fine = Affine(0.02, 0, 4e5, 0, -0.02, 5e6)
    scene = make_scene(valid=valid, validity=validity, transform=fine)
    bundle, network = replace(make_bundle(window=512), gsd=0.6), pointwise()
    options = PredictOptions(rescale=True)
    work = plan(scene, bundle=bundle, network=network, options=options)
    usual = plan(scene, bundle=bundle, network=network, options=PredictOptions())
    assert work.tiling.size == 15_360
    assert work.memory < 1.2 * usual.memory
    predict(scene, tmp_path / "map.tif", bundle=bundle, network=network, options=options)
    assert np.array_equal(read(tmp_path / "map.tif") != 255, valid)


def test_swaths_and_shards_do_not_change_a_rescaled_map(
    tmp_path: Any, make_scene: Any, make_bundle: Any, local: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(height=230, width=310, transform=FINE)
    bundle, options = replace(make_bundle(), gsd=0.6), PredictOptions(tile_size=32, rescale=True)
    maps = set()
    for pixels, columns, at_once, many in (
        (4_000_000, 4096, 2**20, False),
        (1, 64, 1000, False),
        (1, 64, 7, True),
    ):
        monkeypatch.setattr("rsseg.prediction.planning.plan._SHARD_PIXELS", pixels)
        monkeypatch.setattr("rsseg.prediction.planning.plan._SHARD_COLUMNS", columns)
        monkeypatch.setattr("rsseg.prediction.blending.mosaic.AT_ONCE", at_once)
        if many:
            monkeypatch.setattr(
                "rsseg.prediction.planning.budget.Budget.choose",
                lambda self, tiling, blocks: swaths(
                    tiling, blocks, len({shard.left for shard in blocks})
                ),
            )
        work = plan(scene, bundle=bundle, network=local(), options=options)
        assert (len(work.swaths) > 1) is many
        out = tmp_path / f"{len(maps)}_{at_once}.tif"
        predict(scene, out, bundle=bundle, network=local(), options=options)
        maps.add(out.read_bytes())
    assert len(maps) == 1


def test_another_resolution_is_noted(make_scene: Any, make_bundle: Any, pointwise: Any) -> None:
    scene = make_scene(transform=FINE)
    for gsd, noted in ((0.6, True), (0.45, False), (0.1, True), (0.25, False)):
        work = plan(scene, bundle=replace(make_bundle(), gsd=gsd), network=pointwise())
        assert any("--rescale" in note for note in work.notes) is noted


@pytest.mark.parametrize(
    ("gsd", "told"),
    [
        (0.6, ()),
        (0.07, ()),
        (0.05, ("enlarged 5.0 times", " 25 times as many windows")),
        (0.25 / 40, ("enlarged 40.0 times", " 1,600 times as many windows")),
    ],
)
def test_much_enlarging_is_noted(
    make_scene: Any, make_bundle: Any, pointwise: Any, gsd: float, told: tuple[str, ...]
) -> None:
    bundle, options = replace(make_bundle(), gsd=gsd), PredictOptions(rescale=True, tile_size=50)
    work = plan(make_scene(transform=FINE), bundle=bundle, network=pointwise(), options=options)
    notes = [note for note in work.notes if "enlarged" in note]
    assert len(notes) == bool(told)
    assert all(part in notes[0] for part in told)


@pytest.mark.parametrize(("gsd", "crs"), [(None, "EPSG:32633"), (0.6, "EPSG:4326"), (0.6, None)])
def test_unknown_resolution_is_refused(
    make_scene: Any, make_bundle: Any, pointwise: Any, gsd: float | None, crs: str | None
) -> None:
    scene = make_scene(crs=crs)
    with pytest.raises(OptionError, match="ground sample distance"):
        plan(
            scene,
            bundle=replace(make_bundle(), gsd=gsd),
            network=pointwise(),
            options=PredictOptions(rescale=True),
        )


@pytest.mark.parametrize(
    ("dtype", "noted"), [("uint8", False), ("uint16", True), ("float32", True)]
)
def test_other_pixel_types_than_the_models_are_noted(
    make_scene: Any, make_bundle: Any, pointwise: Any, dtype: str, noted: bool
) -> None:
    work = plan(make_scene(dtype=dtype), bundle=make_bundle(), network=pointwise())
    assert any("8-bit" in note for note in work.notes) is noted


def test_the_user_can_tell_the_resolution(
    make_scene: Any, make_bundle: Any, pointwise: Any
) -> None:
    scene, bundle = make_scene(crs=None), replace(make_bundle(), gsd=0.6)
    options = PredictOptions(tile_size=50, rescale=True, gsd=0.3)
    work = plan(scene, bundle=bundle, network=pointwise(), options=options)
    assert (work.side, work.tiling.size) == (50, 100)
