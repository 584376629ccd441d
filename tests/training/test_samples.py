import numpy as np
import pytest
import torch

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.errors import OptionError, RecipeError, SceneError
from rsseg.training import Recipe
from rsseg.training.samples import (
    training_batches,
    training_windows,
    validation_numbers,
    validation_windows,
)


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RSSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def scenes(make_scene):
    """One scene whose class 1 is a hundredth of it, in a corner."""
    codes = np.zeros((1, 200, 200), np.uint8)
    codes[:, :20, :20] = 1
    image = make_scene("image.tif", height=200, width=200)
    label = make_scene("label.tif", pixels=codes)
    return Catalogue((LabelledScene(image, label, "train", ""),))


def recipe(data=None, steps=6, accumulate=2, devices=1):
    return Recipe.model_validate(
        {
            "title": "a test",
            "data": {
                "classes": [
                    {"code": code, "name": name, "colour": [code, 0, 0]}
                    for code, name in enumerate(("much", "little"))
                ],
                "normalisation": {"scale": [255] * 3, "mean": [0.5] * 3, "std": [0.25] * 3},
                "window": 32,
                "batch_size": 4,
                "workers": 0,
                **(data or {}),
            },
            "model": {"name": "unet-small"},
            "optimiser": {"accumulate": accumulate},
            "trainer": {"steps": steps, "devices": devices},
        }
    )


def test_a_run_is_one_epoch_of_all_its_samples(scenes):
    windows = training_windows(recipe(devices=3), scenes, 0, None)
    assert len(windows) == 6 * 2 * 4 * 3


@pytest.mark.parametrize("done", [0, 4])
def test_processes_draw_each_sample_once_from_a_step_on(scenes, done):
    chosen = recipe(devices=2)
    windows = training_windows(chosen, scenes, 0, None)
    shares = [training_batches(chosen, windows, done, (rank, 2)) for rank in range(2)]
    numbers = [[batch["number"] for batch in share] for share in shares]
    assert all(len(share) == (6 - done) * 2 for share in numbers)
    # a step of both processes holds the samples that it would hold of one
    for step in range(6 - done):
        both = {n for share in numbers for batch in share[2 * step : 2 * step + 2] for n in batch}
        assert both == set(range((done + step) * 16, (done + step + 1) * 16))


def test_balance_draws_rare_classes_as_often_as_asked(scenes):
    shares = {}
    for balance in (None, "equal", {"much": 1, "little": 3}):
        windows = training_windows(recipe({"balance": balance}, steps=20), scenes, 0, None)
        held = [bool((windows[n]["label"] == 1).any()) for n in range(160)]
        shares[str(balance)] = np.mean(held)
    none, equal, most = shares.values()
    assert none < 0.15
    assert 0.4 < equal < 0.65
    assert 0.65 < most < 0.85
    with pytest.raises(OptionError, match="no class 'few'"):
        training_windows(recipe({"balance": {"few": 1}}), scenes, 0, None)


@pytest.mark.parametrize("stride", [1, 2])
def test_scenes_with_a_class_are_drawn_more_often(make_scene, stride):
    """Four scenes of 64 x 64; the third alone has a pixel of class 1, at its very end."""
    from affine import Affine

    rows = []
    for number in range(4):
        codes = np.zeros((1, 64 // stride, 64 // stride), np.uint8)
        codes[0, -1, -1] = number == 2
        coarse = Affine(stride / 2, 0, 4e5, 0, -stride / 2, 5e6)
        label = make_scene(f"{number}_label.tif", pixels=codes, transform=coarse)
        image = make_scene(f"{number}.tif", seed=number)
        rows.append(LabelledScene(image, label, "train", ""))
    catalogue = Catalogue(tuple(rows))
    data = {"label_stride": stride, "repeat": {"classes": ["little"], "times": 5}}
    windows = training_windows(recipe(data, steps=200), catalogue, 0, None)
    drawn = np.bincount([scene for scene, _ in windows.places], minlength=4) / len(windows)
    assert drawn == pytest.approx([1 / 8, 1 / 8, 5 / 8, 1 / 8], abs=0.04)
    with pytest.raises(RecipeError, match="data.repeat has a class 'few', expected much, little"):
        training_windows(recipe({"repeat": {"classes": ["few"], "times": 2}}), catalogue, 0, None)
    with pytest.raises(ValueError, match="either by 'balance' or with 'repeat'"):
        recipe({"balance": "equal", **data})


def test_aspect_changes_the_shape_of_windows(scenes):
    windows = training_windows(recipe({"aspect": 1.5}, steps=20), scenes, 0, None)
    ratios = [window.height / window.width for _, window in windows.places]
    assert max(ratios) > 1.2
    assert min(ratios) < 1 / 1.2
    assert all(1 / 1.6 < ratio < 1.6 for ratio in ratios)
    assert windows[0]["image"].shape == (3, 32, 32)


def test_all_scenes_are_read_at_one_distance(scenes, make_scene):
    """Half a metre a pixel, read at one metre: windows of twice the pixels."""
    windows = training_windows(recipe({"read_gsd": 1.0}), scenes, 0, None)
    assert {window.height for _, window in windows.places} == {64}
    assert {
        window.height for _, window in validation_windows(recipe({"read_gsd": 1.0}), scenes).places
    } == {64}  # noqa: E501
    unknown = make_scene("unknown.tif", crs=None)
    label = make_scene("unknown_label.tif", bands=1, crs=None)
    rows = Catalogue((LabelledScene(unknown, label, "train", ""),))
    with pytest.raises(SceneError, match="distance of .*unknown"):
        training_windows(recipe({"read_gsd": 1.0}), rows, 0, None)


def test_labels_may_be_coarser(scenes, make_scene):
    from affine import Affine

    codes = np.random.default_rng(0).integers(0, 2, (1, 50, 50), np.uint8)
    label = make_scene("coarse.tif", pixels=codes, transform=Affine(2, 0, 4e5, 0, -2, 5e6))
    rows = Catalogue((LabelledScene(scenes.scenes[0].image, label, "train", ""),))
    windows = training_windows(recipe({"label_stride": 4}), rows, 0, None)
    for number in range(5):
        _, window = windows.places[number]
        row, column = int(window.row_off) // 4, int(window.col_off) // 4
        expected = torch.from_numpy(codes[0, row : row + 8, column : column + 8])
        assert torch.equal(windows[number]["label"], expected)
        assert windows[number]["image"].shape == (3, 32, 32)


@pytest.mark.parametrize(("parts", "processes"), [(0, 1), (1, 2), (5, 2), (6, 3), (2, 4)])
def test_parts_are_validated_once_and_every_process_comes_along(parts, processes):
    shares = [list(validation_numbers(parts, (rank, processes))) for rank in range(processes)]
    assert sorted(n for share in shares for n in share if n >= 0) == list(range(parts))
    assert len({len(share) for share in shares}) == 1
