import json

import numpy as np
import pytest
import yaml
from torch import nn

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.samplers import GridWindows
from rsseg.errors import OutputError
from rsseg.loading import WindowDataset
from rsseg.metrics import ConfusionMatrix
from rsseg.training import Recipe, read_recipe, record
from rsseg.training.logs import read_log

ROWS = [{"image": "image.tif", "label": "label.tif"}]
PICTURES = ("confusion.png", "curves.png", "panels.png")


@pytest.fixture
def recipe():
    return Recipe.model_validate(
        {
            "title": "Wälder",
            "data": {
                "bands": [1],
                "classes": [{"code": n, "name": f"c{n}", "colour": [n, 9, 9]} for n in (1, 2)],
                "normalisation": {"scale": [255], "mean": [0.5], "std": [0.5]},
                "window": 16,
                "batch_size": 3,
            },
            "model": {"name": "unet-small"},
            "optimiser": {"accumulate": 2},
            "trainer": {"steps": 4},
        }
    )


@pytest.fixture
def windows(make_scene, recipe):
    codes = np.full((1, 16, 16), 2, np.uint8)
    row = LabelledScene(
        make_scene("image.tif", height=16, width=16, bands=1),
        make_scene("label.tif", pixels=codes),
        "val",
        "town",
    )
    return WindowDataset(
        Catalogue((row,)), GridWindows(16, 16), legend=recipe.legend, bands=recipe.data.bands
    )


@pytest.fixture
def scores(recipe):
    confusion = ConfusionMatrix(recipe.legend.names)
    confusion.update(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]))
    return confusion.scores()


@pytest.fixture
def out(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def log(out, first, last):
    lines = [f"0,{step},{1 / (step + 1)},{step / 10}" for step in range(first, last)]
    (out / "metrics.csv").write_text("\n".join(["epoch,step,train_loss,val_miou", *lines, ""]))


def test_the_recipe_of_the_folder_is_the_one_used_in_its_own_order(recipe, out):
    record.begin(out, recipe, recipe, ROWS, 0)
    assert read_recipe(out / record.RECIPE) == recipe
    text = (out / record.RECIPE).read_text("utf-8")
    assert [*yaml.safe_load(text)][:3] == ["title", "data", "model"]
    assert "title: Wälder" in text


def test_the_recipe_as_asked_for_is_that_of_the_beginning(recipe, out):
    longer = recipe.model_copy(update={"title": "other"})
    record.begin(out, recipe, recipe, ROWS, 0)
    record.begin(out, longer, longer, ROWS, 0)
    assert read_recipe(out / record.ASKED) == recipe
    assert read_recipe(out / record.RECIPE) == longer


def test_the_environment_is_plain_json(recipe, out):
    record.begin(out, recipe, recipe, ROWS, 0)
    found = json.loads((out / "environment.json").read_text("utf-8"))
    assert found == record.environment()
    assert found["packages"].keys() >= {"rsseg", "torch", "lightning", "numpy", "rasterio"}
    assert found["cores"] >= 1


def test_a_finished_run_has_its_scores_and_pictures(recipe, out, windows, scores):
    record.begin(out, recipe, recipe, ROWS, 0)
    log(out, 0, 4)
    record.end(out, recipe, nn.Conv2d(1, 2, 1), windows, scores)
    assert json.loads((out / "scores.json").read_text()) == scores
    for name in PICTURES:
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    page = (out / "report.html").read_text("utf-8")
    assert "<title>Wälder</title>" in page
    assert page.count("data:image/") == 4, "image, label, prediction and errors of one window"
    rows = (out / "validations.csv").read_text().splitlines()
    assert len(rows) == 1 + 4
    assert rows[-1].startswith("4,24,0.25,0.3")  # 3 windows twice in each of 4 steps


def test_a_resumed_run_has_the_validations_of_all_its_parts(recipe, out, windows, scores):
    record.begin(out, recipe, recipe, ROWS, 0)
    log(out, 0, 3)
    record.begin(out, recipe, recipe, ROWS, 2)
    log(out, 2, 4)
    record.end(out, recipe, nn.Conv2d(1, 2, 1), windows, scores)
    rows = (out / "validations.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3", "4"]
    assert [path.name for path in out.glob("metrics*")] == ["metrics.csv"]
    assert [int(row["step"]) for row in read_log(out)] == [0, 1, 2, 3]


def test_what_was_logged_before_an_end_that_failed_is_kept(recipe, out, windows, scores):
    """All steps were done, so that the part that only writes the end logs none."""
    record.begin(out, recipe, recipe, ROWS, 0)
    log(out, 0, 4)
    before = read_log(out)
    record.begin(out, recipe, recipe, ROWS, 4)
    record.end(out, recipe, nn.Conv2d(1, 2, 1), windows, scores)
    assert read_log(out) == before
    assert [path.name for path in out.glob("metrics*")] == ["metrics.csv"]


@pytest.mark.parametrize("name", ["scores.json", *PICTURES])
def test_what_cannot_be_written_is_told_in_one_sentence(recipe, out, windows, scores, name):
    (out / name).mkdir()
    with pytest.raises(OutputError, match=f"{name} cannot be written"):
        record.end(out, recipe, nn.Conv2d(1, 2, 1), windows, scores)
