"""``rsseg train``: a recipe is checked before anything is written; a result is reported."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from rsseg import training
from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.tables import write_catalogue
from rsseg_cli.main import main
from rsseg_cli.train import command

SCORES = {
    "miou": 0.5,
    "oa": 0.75,
    "classes": {"road": {"iou": 0.5}, "water": {"iou": None}},
}
RECIPE = {
    "title": "of the tests",
    "data": {
        "catalogue": "none.csv",
        "classes": [
            {"code": 0, "name": "road", "colour": [9, 9, 9]},
            {"code": 1, "name": "water", "colour": [0, 0, 255]},
        ],
        "normalisation": {"scale": [255] * 3, "mean": [0.5] * 3, "std": [0.5] * 3},
    },
    "model": {"name": "mst-deeplabv3plus"},
    "trainer": {"steps": 1},
}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    return path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[training.Recipe, str]]:
    """What the command hands to the tool, which is not run."""
    calls: list[tuple[training.Recipe, str]] = []

    def pretend(
        recipe: training.Recipe, out: str, resume: bool, **_: object
    ) -> training.TrainingResult:
        calls.append((recipe, out))
        return training.TrainingResult(Path(out) / "best.safetensors", SCORES, 12.3)

    monkeypatch.setattr(training, "train", pretend)
    return calls


def train(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


def test_recipe_and_settings_reach_the_tool(recipe: Path, tmp_path: Path, started: Any) -> None:
    settings = ("--set", "trainer.steps=7", "--set", "trainer.precision=bf16")
    result = train(recipe, "--out", tmp_path / "run", *settings)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"{tmp_path}/run/best.safetensors: mIoU 0.500 after 12 s" in result.stdout
    assert "road 0.500" in result.stdout
    [(used, out)] = started
    assert (used.trainer.steps, used.trainer.precision) == (7, "bf16")
    assert used.title == "of the tests"
    assert out == str(tmp_path / "run")


def test_a_shipped_recipe_goes_by_its_name(tmp_path: Path, started: Any) -> None:
    assert train("landcover", "--out", tmp_path / "run").exit_code == 0
    assert started[0][0].model.name == "mst-deeplabv3plus"


def test_a_variant_goes_by_its_name(tmp_path: Path, started: Any) -> None:
    assert train("npa-vaihingen:pspnet-npa", "--out", tmp_path / "run").exit_code == 0
    [(used, _)] = started
    assert (used.model.name, used.loss.name) == ("pspnet-resnet101", "npa")
    assert used.title.endswith(": pspnet-npa")


def test_devices_are_settings_of_the_trainer(recipe: Path, tmp_path: Path, started: Any) -> None:
    options = ("--device", "cuda", "--devices", 2, "--set", "trainer.device=cpu")
    assert train(recipe, "--out", tmp_path / "run", *options).exit_code == 0
    assert (started[0][0].trainer.device, started[0][0].trainer.devices) == ("cuda", 2)
    assert train(recipe, "--out", tmp_path / "run").exit_code == 0
    assert (started[1][0].trainer.device, started[1][0].trainer.devices) == ("auto", 1)


def test_the_choice_of_devices_is_that_of_recipes() -> None:
    [option] = [each for each in command.params if each.name == "device"]
    assert isinstance(option.type, click.Choice)
    field = training.Recipe.model_fields["trainer"].annotation.model_fields["device"]
    assert tuple(option.type.choices) == get_args(field.annotation)


def finish(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Let the tool give a result with these changes, and tell its notes."""
    result = replace(training.TrainingResult(Path("best.safetensors"), SCORES, 12.3), **changes)

    def pretend(
        *_: object, on_note: Callable[[str], None], **__: object
    ) -> training.TrainingResult:
        for note in result.notes:
            on_note(note)
        return result

    monkeypatch.setattr(training, "train", pretend)


def test_seeds_are_a_table_with_their_median(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = {0: 0.25, 1: 0.5, 2: None, 7: 0.125}
    scores = {seed: {"miou": miou, "oa": 0.9, "f1": 0.8} for seed, miou in seeds.items()}
    medians = {"miou": 0.25, "oa": 0.9, "f1": None}
    finish(monkeypatch, seeds=scores, medians=medians)
    lines = train(recipe, "--out", tmp_path / "run").stdout.splitlines()
    assert lines[-6].split("  ")[-1].strip() == "mean F1"
    assert [line.split() for line in lines[-5:]] == [
        ["0", "0.250", "0.900", "0.800"],
        ["1", "0.500", "0.900", "0.800"],
        ["2", "-", "0.900", "0.800"],
        ["7", "0.125", "0.900", "0.800"],
        ["median", "0.250", "0.900", "-"],
    ]
    data = json.loads(train(recipe, "--out", tmp_path / "run", "--json").stdout)
    assert data["seeds"] == {"0": 0.25, "1": 0.5, "2": None, "7": 0.125}
    assert data["median"] == medians


@pytest.mark.parametrize(
    ("name", "folder"),
    [("finetune", "finetune"), ("npa-vaihingen:fcn-dice", "npa-vaihingen-fcn-dice")],
)
def test_a_run_folder_is_named_after_the_recipe(started: Any, name: str, folder: str) -> None:
    assert train(name).exit_code == 0
    assert str(started[0][1]) == f"runs/{folder}"


def test_notes_are_told_on_stderr(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(monkeypatch, notes=("3 polygons are left out",))
    result = train(recipe, "--out", tmp_path / "run")
    assert result.stderr == "note: 3 polygons are left out\n"
    assert train(recipe, "--out", tmp_path / "run", "--quiet").output == ""
    result = train(recipe, "--out", tmp_path / "run", "--json")
    assert json.loads(result.stdout)["notes"] == ["3 polygons are left out"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_only_the_first_of_several_processes_tells(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    finish(monkeypatch, scores={})
    result = train(recipe, "--out", tmp_path / "run", *options)
    assert (result.exit_code, result.output) == (0, "")


def test_json_is_one_object(recipe: Path, tmp_path: Path, started: Any) -> None:
    result = train(recipe, "--out", tmp_path / "run", "--json")
    assert len(result.stdout.splitlines()) == 1
    data = json.loads(result.stdout)
    assert data["model"].endswith("best.safetensors")
    assert data["seconds"] == 12.3
    assert data["scores"] == SCORES
    assert len(started) == 1


def test_a_run_without_a_score_is_reported(
    recipe: Path, tmp_path: Path, started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no validation pixel has a label."""
    monkeypatch.setitem(SCORES, "miou", None)
    result = train(recipe, "--out", tmp_path / "run")
    assert result.exit_code == 0
    assert "no score" in result.stdout


def changed(recipe: Path, change: str) -> Path:
    recipe.write_text(change, encoding="utf-8")
    return recipe


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.yaml",), "there is no recipe none.yaml, expected a file or landcover"),
        (("RECIPE", "--set", "trainer.stepz=3"), "did you mean steps?"),
        (("RECIPE", "--set", "trainer.steps=0"), "trainer.steps"),
        (("RECIPE", "--set", "trainer.steps=many"), "trainer.steps"),
        (("RECIPE", "--set", "trainer.steps"), "expected section.key=value"),
        (("RECIPE", "--set", "title.steps=3"), "is a value, not a section"),
        (("RECIPE", "--set", "trainer.steps=["), "not YAML"),
        (("RECIPE",), "there is no catalogue none.csv"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    recipe: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    line = [recipe if word == "RECIPE" else word for word in arguments]
    result = train(*line, "--out", tmp_path / "run")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1, result.exception
    assert words in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


@pytest.mark.parametrize("content", [b"", b"7", b"- a\n- b", b"a: ["])
def test_files_that_are_no_recipe_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    for settings in ((), ("--set", "trainer.steps=3")):
        result = train(path, "--out", tmp_path / "run", *settings)
        assert (result.exit_code, result.stdout) == (1, "")
        assert len(result.stderr.splitlines()) == 1, result.exception
        assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_run_that_is_there_is_kept(recipe: Path, tmp_path: Path) -> None:
    before = tmp_path / "run"
    before.mkdir()
    (before / "recipe.yaml").write_text("precious")
    result = train(recipe, "--out", before)
    assert result.exit_code == 1
    assert "already holds a run" in result.stderr
    assert [path.name for path in before.iterdir()] == ["recipe.yaml"]
    assert (before / "recipe.yaml").read_text() == "precious"


@pytest.mark.parametrize("package", ["torch", "lightning"])
def test_what_is_missing_is_named(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else there(name)
    )
    result = train(recipe, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {package} is not installed; pip install 'rsseg[train]'\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("recipe.yaml", "--out"),
        ("recipe.yaml", "--out", "run", "--devices", "0"),
        ("recipe.yaml", "--out", "run", "--device", "tpu"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    result = train(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.slow
def test_json_is_all_that_a_real_run_prints(tmp_path: Path, make_scene: Any) -> None:
    codes = np.zeros((1, 40, 40), np.uint8)
    rows = [
        LabelledScene(
            make_scene(f"{split}.tif", height=40, width=40),
            make_scene(f"{split}_label.tif", pixels=codes),
            split,
            split,
        )
        for split in ("train", "val")
    ]
    write_catalogue(tmp_path / "catalogue.csv", Catalogue(tuple(rows)))
    settings = (
        f"data.root={tmp_path}",
        *("model.weights=null", "data.window=32", "model.window=32", "data.batch_size=2"),
        *(
            "trainer.steps=2",
            "trainer.validate_every=2",
            "data.workers=0",
            "trainer.precision=fp32",
        ),
    )
    program = Path(sys.executable).with_name("rsseg")
    call = [str(program), "train", "landcover", "--out", str(tmp_path / "run"), "--json"]
    for setting in settings:
        call += ["--set", setting]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout)["scores"]["classes"].keys() >= {"water"}
