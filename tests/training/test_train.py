import json
import statistics

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rsseg import models
from rsseg.errors import (
    BundleError,
    CatalogueError,
    GridMismatch,
    OptionError,
    OutputError,
    RecipeError,
    TrainingError,
)
from rsseg.loading import WindowDataset
from rsseg.training import Recipe, read_recipe, train
from rsseg.training.logs import read_log
from rsseg.training.task import SegmentationTask


@pytest.fixture
def recipe(small_run):
    """Two steps of MST-DeepLabV3+."""
    return Recipe.model_validate(
        {
            **small_run,
            "data": {**small_run["data"], "licence": "CC0-1.0"},
            "model": {"name": "mst-deeplabv3plus", "window": 32},
            "loss": {"name": "cl"},
            "trainer": {"steps": 2, "validate_every": 2, "seeds": [5]},
        }
    )


def _with(recipe, **sections):
    values = recipe.model_dump()
    for section, changes in sections.items():
        values[section] |= changes
    return Recipe.model_validate(values)


def test_a_run_leaves_a_model_that_loads_and_a_recipe_that_reads(recipe, tmp_path):
    out = tmp_path / "runs" / "one"
    result = train(recipe, out)
    assert result.model == out / "best.safetensors"
    assert result.seconds > 0
    network, bundle = models.load(result.model)
    assert bundle.legend == recipe.legend
    assert bundle.bands == ("red", "green", "blue")
    assert bundle.normalisation == recipe.normalisation
    assert (bundle.window, bundle.licence) == (32, "CC0-1.0")
    assert bundle.provenance["seed"] == 5
    assert bundle.provenance["split"].keys() >= {"train"}
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 2, 32, 32)

    assert read_recipe(out / "recipe.yaml") == recipe
    assert (out / "last.ckpt").is_file()
    columns = (out / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"val_miou", "val_iou_left", "val_iou_right"} <= set(columns)
    if result.scores:
        assert {"miou", "oa", "classes"} <= result.scores.keys()
        assert bundle.scores["classes"].keys() == {"left", "right"}
    assert str(tmp_path) not in bundle.to_json()  # a model file tells no folders

    item = json.loads((out / "best.stac.json").read_text("utf-8"))
    assert item["assets"]["model"]["href"] == "./best.safetensors"
    told = item["properties"]
    assert told["mlm:total_parameters"] == sum(p.numel() for p in network.parameters())
    assert told["license"] == "CC0-1.0"
    assert str(tmp_path) not in json.dumps(item)


def test_classes_that_are_nowhere_to_validate_on_are_named(recipe, tmp_path):
    assert train(recipe, tmp_path / "all").notes == ()
    classes = [*recipe.model_dump()["data"]["classes"]]
    classes += [{"code": 7, "name": "moor", "colour": (0, 9, 0)}]
    result = train(_with(recipe, data={"classes": classes}), tmp_path / "run")
    assert [note.partition(":")[0] for note in result.notes] == ["no pixel to validate on is moor"]


def test_a_folder_with_a_run_is_refused_and_kept(recipe, tmp_path):
    (tmp_path / "recipe.yaml").write_text("mine")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match="already holds a run"):
        train(recipe, tmp_path)
    assert (tmp_path / "recipe.yaml").read_text() == "mine"
    assert sorted(tmp_path.iterdir()) == before


def test_a_run_goes_on_with_the_scenes_it_began_with(recipe, tmp_path):
    out = tmp_path / "run"
    train(recipe, out)
    (out / "best.safetensors").unlink()
    before = sorted(path.name for path in out.iterdir())
    table = recipe.catalogue.read_text()
    lines = table.splitlines(keepends=True)
    for changed in ("".join(lines[:-1]), "".join([lines[0], *reversed(lines[1:])])):
        recipe.catalogue.write_text(changed)
        with pytest.raises(RecipeError, match="catalogue has changed since .*(1 gone|order)"):
            train(recipe, out, resume=True)
    recipe.catalogue.write_text(table)
    (out / "best.ckpt").write_bytes(b"half")
    with pytest.raises(TrainingError, match=r"best\.ckpt is damaged or missing"):
        train(recipe, out, resume=True)
    assert sorted(path.name for path in out.iterdir()) == before


@pytest.mark.slow
def test_runs_of_one_seed_and_of_several_share_no_folder(recipe, tmp_path):
    several = _with(recipe, trainer={"seeds": [0, 1]})
    for first, second, kind in ((recipe, several, "one seed"), (several, recipe, "several seeds")):
        out = tmp_path / kind
        train(first, out)
        before = sorted(out.rglob("*"))
        for resume in (False, True):
            with pytest.raises(OutputError, match=f"already holds a run of {kind}"):
                train(second, out, resume)
        assert sorted(out.rglob("*")) == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="file is no folder"):
        train(recipe, tmp_path / "file")


@pytest.mark.parametrize("name", ["best.safetensors", "seed_1/last.ckpt"])
def test_what_another_run_left_is_not_taken_for_this_ones(recipe, tmp_path, name):
    left = tmp_path / "run" / name
    left.parent.mkdir(parents=True)
    left.write_text("mine")
    for seeds in ([0], [0, 1]):
        with pytest.raises(OutputError, match="is there without the recipe of its run"):
            train(_with(recipe, trainer={"seeds": seeds}), tmp_path / "run", resume=True)
    assert left.read_text() == "mine"
    assert list(left.parent.iterdir()) == [left]


def test_several_seeds_need_a_known_launcher(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    several = _with(recipe, trainer={"seeds": [0, 1], "devices": 2})
    with pytest.raises(OptionError, match="several seeds need processes that torchrun"):
        train(several, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_notes_are_told_once_and_before_the_first_step(recipe, tmp_path):
    told = []
    recipe = _with(recipe, schedule={"warm_up": 9}, trainer={"seeds": [0, 1]})
    result = train(
        recipe,
        tmp_path / "run",
        on_progress=lambda done, total: told.append(done),
        on_note=told.append,
    )
    assert result.notes == (told[0],)
    assert "schedule.warm_up is 9, the run ends after 2 steps" in told[0]


FOCAL = {"name": "focal", "options": {"gamma": "high"}}


@pytest.mark.parametrize(
    ("loss", "wrong"),
    [
        (FOCAL, "^the options of the loss focal are not usable: .* got gamma='high'$"),
        ({"aux": FOCAL}, "^the options of the loss focal are not usable"),
        ({"name": "cl", "options": {"warm_up": "many"}}, "^unusable warm_up, .* got many$"),
        ({"name": "npa", "options": {"foo": 1}}, "^the loss npa has no option 'foo'"),
    ],
)
def test_options_of_the_wrong_kind_are_refused(recipe, tmp_path, loss, wrong):
    model = {"name": "fcn-resnet101", "encoder": "resnet14t", "aux": True}
    with pytest.raises(OptionError, match=wrong):
        train(_with(recipe, loss=loss, model=model), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("sections", "error"),
    [
        ({"data": {"root": "nowhere"}}, CatalogueError),
        ({"data": {"validation": "vall"}}, CatalogueError),
        ({"model": {"weights": "nowhere.safetensors"}}, BundleError),
    ],
)
def test_a_run_refused_at_its_start_can_be_repeated(recipe, tmp_path, sections, error):
    for _ in range(2):
        with pytest.raises(error):
            train(_with(recipe, **sections), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_on_another_grid_leave_no_run(recipe, make_scene, tmp_path):
    make_scene("1_label.tif", height=40, width=49, bands=1)
    with pytest.raises(GridMismatch, match=r"1_label\.tif"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_seed_decides_the_weights(recipe, tmp_path):
    recipe = _with(recipe, trainer={"ema": 0.5})
    weights = [
        load_file(str(train(_with(recipe, trainer={"seeds": [seed]}), tmp_path / name).model))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert not all(torch.equal(weights[0][key], weights[2][key]) for key in weights[0])


@pytest.mark.slow
def test_training_learns(make_scene, recipe, tmp_path):
    """Two classes that differ in brightness are told apart after a few steps."""
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 60, (3, 40, 48), dtype=np.uint8)
        pixels[:, :, 24:] += 180
        make_scene(f"{number}.tif", pixels=pixels)
    trainer = {"steps": 30, "validate_every": 30}
    result = train(_with(recipe, trainer=trainer, optimiser={"rate": 2e-3}), tmp_path / "run")
    network, bundle = models.load(result.model)
    images = torch.full((1, 3, 32, 32), 30.0)
    images[..., 16:] = 210.0
    with torch.no_grad():
        gain, offset = (
            torch.from_numpy(v)[:, None, None]
            for v in (bundle.normalisation.gain, bundle.normalisation.offset)
        )
        prediction = network(images * gain + offset).argmax(1)[0]
    right = (prediction[:, :14] == 0).float().mean() + (prediction[:, 18:] == 1).float().mean()
    assert right / 2 > 0.9


class _PowerCut(Exception):
    """Raised in the middle of a run."""


def test_a_stopped_run_goes_on_with_the_windows_that_come_next(recipe, tmp_path, monkeypatch):
    recipe = _with(recipe, trainer={"steps": 5, "validate_every": 2})
    out, asked = tmp_path / "run", []

    def stop(done, total):
        assert total == 5
        if done == 3:
            raise _PowerCut

    with pytest.raises(_PowerCut):
        train(recipe, out, on_progress=stop)
    assert not (out / "best.safetensors").exists()

    whole = WindowDataset.__getitem__
    monkeypatch.setattr(
        WindowDataset,
        "__getitem__",
        lambda self, index: (asked.append((len(self), index)), whole(self, index))[1],
    )
    steps = []
    result = train(recipe, out, resume=True, on_progress=lambda done, total: steps.append(done))
    assert steps == [3, 4, 5]
    assert [index for length, index in asked if length == 10] == [4, 5, 6, 7, 8, 9]
    assert models.load(result.model)[1].scores["miou"] == result.scores["miou"]
    assert [path.name for path in out.glob("metrics*")] == ["metrics.csv"]
    assert {int(row["step"]) for row in read_log(out)} >= {0, 1, 3, 4}
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 5


def test_only_a_run_of_the_same_recipe_goes_on(recipe, tmp_path):
    train(recipe, tmp_path / "run", resume=True)  # begins where there is none
    changed = _with(recipe, trainer={"seeds": [6]}, optimiser={"rate": 0.5})
    reason = r"another recipe: optimiser\.rate, trainer\.seeds changed"
    with pytest.raises(RecipeError, match=reason):
        train(changed, tmp_path / "run", resume=True)


def test_a_run_goes_on_without_looking_through_its_data_again(recipe, tmp_path, monkeypatch):
    """By the recipe it was asked for, or by the one that it used; other values are refused."""
    asked = _with(
        recipe,
        data={"normalisation": "train"},
        loss={"class_weights": "median-frequency", "name": "cross-entropy"},
        trainer={"steps": 4},
    )
    out = tmp_path / "run"

    def stop(done, total):
        if done == 3:
            raise _PowerCut

    with pytest.raises(_PowerCut):
        train(asked, out, on_progress=stop)
    used = read_recipe(out / "recipe.yaml")
    assert len(used.loss.options["class_weights"]) == 2
    monkeypatch.setattr("rsseg.training.settling.catalogue_statistics", None)
    for other, reason in (
        ({"data": {"normalisation": "imagenet"}}, "data.normalisation"),
        ({"loss": {"rare": ["left"]}}, "loss.rare"),
    ):
        with pytest.raises(RecipeError, match=f"another recipe: {reason} changed"):
            train(_with(asked, **other), out, resume=True)
    with pytest.raises(_PowerCut):
        train(used, out, resume=True, on_progress=stop)
    assert train(_with(asked, data={"workers": 1}), out, resume=True).model.is_file()
    assert read_recipe(out / "recipe.asked.yaml") == asked
    assert read_recipe(out / "recipe.yaml") == _with(used, data={"workers": 1})


def test_a_run_that_is_done_stays_as_it_is(recipe, tmp_path, monkeypatch):
    first = train(recipe, tmp_path / "run")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}
    monkeypatch.setattr("rsseg.training.loop.fit", None)
    again = train(_with(recipe, data={"workers": 2}), tmp_path / "run", resume=True)
    assert (again.model, again.scores) == (first.model, first.scores)
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()} == before


def test_a_run_goes_on_without_the_weights_that_it_started_from(recipe, tmp_path):
    start = train(recipe, tmp_path / "start").model
    recipe = _with(recipe, model={"weights": str(start)}, trainer={"steps": 4})

    def stop(done, total):
        if done == 3:
            raise _PowerCut

    with pytest.raises(_PowerCut):
        train(recipe, tmp_path / "run", on_progress=stop)
    start.unlink()
    assert train(recipe, tmp_path / "run", resume=True).model.is_file()


@pytest.mark.slow
def test_seeds_are_runs_of_their_own_and_done_ones_stay(recipe, tmp_path, monkeypatch):
    out, progress = tmp_path / "runs", []
    recipe = _with(recipe, trainer={"seeds": [0, 7, 1]})

    def stop(done, total):
        progress.append((done, total))
        if done == 5:
            raise _PowerCut  # in the middle of the third

    with pytest.raises(_PowerCut):
        train(recipe, out, resume=True, on_progress=stop)
    assert progress == [(1, 6), (2, 6), (3, 6), (4, 6), (5, 6)]
    assert not (out / "seeds.json").exists()
    with pytest.raises(OutputError, match="already holds a run"):
        train(_with(recipe, trainer={"seeds": [8, 7]}), out)
    assert not (out / "seed_8").exists()
    done = {seed: load_file(str(out / f"seed_{seed}" / "best.safetensors")) for seed in (0, 7)}
    written = [(out / f"seed_{seed}" / "best.safetensors").stat().st_mtime_ns for seed in done]

    progress.clear()
    result = train(recipe, out, True, on_progress=lambda done, total: progress.append(done))
    assert progress == [5, 6]
    assert written == [
        (out / f"seed_{seed}" / "best.safetensors").stat().st_mtime_ns for seed in done
    ]
    assert not all(torch.equal(done[0][key], done[7][key]) for key in done[0])
    assert {path.name for path in out.iterdir()} == {"seed_0", "seed_7", "seed_1", "seeds.json"}
    summary = json.loads((out / "seeds.json").read_text())
    scores = {seed: models.load(out / f"seed_{seed}" / "best.safetensors")[1] for seed in (0, 7, 1)}
    miou = {seed: bundle.scores["miou"] for seed, bundle in scores.items()}
    assert {seed: row["miou"] for seed, row in summary["seeds"].items()} == {
        str(seed): score for seed, score in miou.items()
    }
    assert summary["median"] == result.medians
    assert result.medians["miou"] == statistics.median(miou.values())
    assert result.scores["miou"] == result.medians["miou"]
    assert {seed: row["miou"] for seed, row in result.seeds.items()} == miou
    assert [bundle.provenance["seed"] for bundle in scores.values()] == [0, 7, 1]


def test_an_auxiliary_head_is_trained_too(recipe):
    model = {"name": "fcn-resnet101", "encoder": "resnet14t", "aux": True}
    task = SegmentationTask(_with(recipe, model=model))
    task.log = lambda *arguments, **options: None
    batch = {
        "image": torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8),
        "label": torch.randint(2, (2, 32, 32)),
    }
    task.train().training_step(batch, 0).backward()
    assert all(parameter.grad.any() for parameter in task.network.aux.parameters())
    assert all(parameter.grad.any() for parameter in task.network.head.parameters())
    assert task.eval()(batch["image"]).shape == (2, 2, 32, 32)


def test_npaloss_gets_its_counts_from_the_workers(recipe, tmp_path, monkeypatch):
    """The loss of the training itself never counts; the result is that of counting."""
    with_npa = _with(
        recipe, loss={"name": "npa", "options": {"search_region": 3}}, data={"workers": 1}
    )
    task = SegmentationTask(with_npa)
    assert task.label_transform().keywords["k"] == 3
    assert SegmentationTask(recipe).label_transform() is None

    def refuse(labels, *arguments, **options):
        if labels.numel() > 2:  # the loss is tried on two pixels before the run
            raise AssertionError("counted in the training process")
        return torch.zeros(labels.shape, dtype=torch.int32)

    monkeypatch.setattr("rsseg.losses.npa.neighbouring_pixel_affinity", refuse)
    assert train(with_npa, tmp_path / "run").model.is_file()


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("npa", {"search_region": 3.5}, "search region"),
        ("npa", {"ignore_index": 0}, "ignore_index of the loss npa, expected 255"),
        ("cross-entropy", {"class_weights": [1, 2, 3]}, "one class weight for each class"),
        ("npa", {"serch_region": 3}, "no option 'serch_region', expected search_region"),
    ],
)
def test_wrong_losses_are_refused_before_a_run_folder_is_made(
    recipe, tmp_path, name, options, reason
):
    with pytest.raises(OptionError, match=reason):
        train(_with(recipe, loss={"name": name, "options": options}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
