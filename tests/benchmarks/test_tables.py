"""The tables of trained networks: made of run folders, whichever are there."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.metrics import BoundaryCounts, ConfusionMatrix
from rsseg.training.shipped import read_values, shipped

FOLDER = Path(__file__).parents[2] / "benchmarks"
MODULES = ("run_tables", "papers_tables", "papers", "embedded_model")


@pytest.fixture
def scripts(monkeypatch):
    """The scripts as modules by name; they find each other as when they are run."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield {name: import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name)


def result(names, right, groups=()):
    """What a run leaves, whose model is right in this share of the pixels of each class."""
    confusion = ConfusionMatrix(names)
    counts = np.full((len(names), len(names)), round(1000 * (1 - right) / (len(names) - 1)))
    np.fill_diagonal(counts, round(1000 * right))
    confusion.add(counts)
    scores = confusion.scores()
    return {
        "scores": scores,
        "near": scores,
        "boundary": BoundaryCounts(names, 3).scores(),
        "by_group": {group: scores for group in groups},
        "seconds": 3600,
        "precision": "bf16",
        "machine": {"gpus": [], "threads": 1, "packages": {"torch": "2.6"}},
    }


def leave(folder, found, course=((300, 0.5), (600, 0.6))):
    folder.mkdir(parents=True)
    (folder / "test.json").write_text(json.dumps(found))
    lines = ["step,val_miou", *(f"{step},{miou}" for step, miou in course)]
    (folder / "validations.csv").write_text("\n".join(lines) + "\n")


def rows_of(text):
    """Cells of the rows of all tables, by their first cell; the first table counts."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("|"):
            first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            rows.setdefault(first, cells)
    return rows


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([], "–"), ([0.5], "50.0"), ([0.5, 0.9, 0.6], "60.0 (50.0–90.0)"), ([None, 0.25], "25.0")],
)
def test_a_cell_is_the_median_of_what_is_there(scripts, scores, expected):
    found = [{"score": score} for score in scores]
    assert scripts["run_tables"].middle(found, lambda each: each["score"]) == expected


def test_the_papers_table_marks_what_is_missing_and_compares_medians(scripts, tmp_path):
    papers, tables = scripts["papers"], scripts["papers_tables"]
    names = tables.Gid.legend.names
    for seed, (plain, npa) in enumerate(((0.6, 0.5), (0.7, 0.65), (0.8, 0.9))):
        leave(tmp_path / "mst" / f"seed_{seed}", result(names, plain))
        leave(tmp_path / "npa" / f"seed_{seed}", result(names, npa))
    out = tmp_path / "papers.md"
    tables.write(out, tmp_path, papers.FULL, reduced=False)
    text = out.read_text("utf-8")
    assert "**Full table**: 6,000 steps of 8 windows" in text
    assert "6 of 33 runs are there, 27 missing: 6.0 hours" in text
    rows = rows_of(text)
    miou = [100 * result(names, right)["scores"]["miou"] for right in (0.6, 0.7, 0.8, 0.65)]
    expected = f"{miou[1]:.1f} ({miou[0]:.1f}–{miou[2]:.1f})"
    assert rows["cross-entropy"][:2] == ["600, 600, 600", expected]
    assert rows["Dice"][:2] == ["–", "–"]
    here = f"{miou[3] - miou[1]:+.1f}"
    gain = rows["NPALoss over cross-entropy"]
    assert gain == [
        here,
        here,
        "+2.57 (Feng, Vaihingen)",
        "unclear, other sign",
    ]  # the seeds overlap
    assert rows["SE"] == ["–", "–", "+5.35 (Wang, Vaihingen)", "–"]
    assert "Holds: none. Contradicted: none." in text
    assert "as much more or less as the seeds differ" in text


@pytest.mark.parametrize(
    ("npa", "verdict"), [(0.9, "yes"), (0.71, "unclear, same sign"), (0.4, "**no**")]
)
def test_one_seed_tells_no_more_than_a_run_changes_by_itself(scripts, tmp_path, npa, verdict):
    papers, tables = scripts["papers"], scripts["papers_tables"]
    names = tables.Gid.legend.names
    leave(tmp_path / "mst" / "seed_0", result(names, 0.7), [(150, 0.7), (300, 0.8), (600, 0.75)])
    leave(tmp_path / "npa" / "seed_0", result(names, npa), [(300, 0.7), (600, 0.8)])
    out = tmp_path / "papers.md"
    tables.write(out, tmp_path, papers.REDUCED, reduced=True)
    text = out.read_text("utf-8")
    assert rows_of(text)["NPALoss over cross-entropy"][3] == verdict
    assert "gain may be 10.0 points more or less" in text
    assert "Of 2 runs whose encoder is frozen until step 300, 1 scored best by then" in text
    claim = "NPALoss over cross-entropy (+2.57 (Feng, Vaihingen))"
    assert (f"Holds: {claim}." in text) == (verdict == "yes")
    assert (f"Contradicted: {claim}." in text) == (verdict == "**no**")


def test_every_row_is_trained_alike_but_for_what_it_is_about(scripts, tmp_path):
    papers = scripts["papers"]
    for budget in (papers.FULL, papers.REDUCED):
        recipes = {
            row: papers.recipe_of(row, budget, 1, tmp_path, tmp_path / "w.safetensors")
            for row in papers.ROWS
        }
        base = recipes["mst"]
        assert base.loss.name == "cross-entropy"
        assert base.optimiser.freeze_encoder == budget.steps // 2
        for row, recipe in recipes.items():
            assert recipe.trainer == base.trainer
            assert recipe.data == base.data
            assert recipe.schedule == base.schedule
            if row in papers.LOSSES:
                assert (recipe.model, recipe.optimiser) == (base.model, base.optimiser)
            else:
                assert recipe.loss == base.loss
        losses = [recipes[row].loss.model_dump_json() for row in ("mst", *papers.LOSSES)]
        assert len(set(losses)) == 8
    assert recipes["mobilenetv2"].model.weights is recipes["mst-random"].model.weights is None
    assert recipes["mobilenetv2"].model.name == recipes["mobilenetv2-imagenet"].model.name


def test_neighbours_by_number_stay_in_one_split(scripts, tmp_path):
    rows = tuple(
        LabelledScene(tmp_path / f"{kind}_{number}.tif", tmp_path / "label.tif", "train", "")
        for kind in ("forest", "water")
        for number in range(1, 200)
    )
    found = scripts["papers"].with_splits(Catalogue(rows))
    assert [row.image for row in found] == [row.image for row in rows]
    splits, sizes = {}, {}
    for row in found:
        kind, number = row.image.stem.split("_")
        assert splits.setdefault((kind, int(number) // 10), row.split) == row.split
        sizes[kind, row.split] = sizes.get((kind, row.split), 0) + 1
    for kind in ("forest", "water"):
        shares = [sizes[kind, split] / 199 for split in ("train", "val", "test")]
        assert shares == pytest.approx([0.75, 0.05, 0.2], abs=0.06)


def test_settings_are_variants_of_the_shipped_recipe(scripts, tmp_path):
    module = scripts["embedded_model"]
    variants = read_values(shipped()["landcover"])["variants"]
    assert list(module.SETTINGS) == list(variants)
    recipes = {
        name: module.recipe_of(name, module.REDUCED, tmp_path / "a.csv", tmp_path / "w.safetensors")
        for name in variants
    }
    assert recipes["long"].trainer.steps == 3 * recipes["cl"].trainer.steps
    shares = {
        recipes[name].loss.options["warm_up"] / recipes[name].trainer.steps
        for name in ("cl", "long")
    }
    assert all(0.16 < share < 0.17 for share in shares)
    assert recipes["random"].model.weights is None
    assert recipes["cl"].model.weights == str(tmp_path / "w.safetensors")
    for name in set(variants) - {"long", "last-weights"}:
        assert recipes[name].trainer == recipes["cl"].trainer


def test_folds_hold_tiles_out_and_choose_without_them(scripts, tmp_path):
    module = scripts["embedded_model"]
    rows = tuple(
        LabelledScene(
            tmp_path / f"{tile}_part_{part:03}.tif", tmp_path / "label.tif", "train", tile
        )
        for tile in module.TILES
        for part in range(1, 10)
    )
    for folds in (module.FOLDS, module.PAIRS):
        assert sorted(tile for held in folds for tile in held) == sorted(module.TILES)
        for held in folds:
            found = module.fold(Catalogue(rows), held)
            assert {row.group for row in found.split("test")} == set(held)
            assert {row.group for row in found.split("train")} == set(module.TILES) - set(held)
            chosen = [row.image.stem for row in found.split("val")]
            assert chosen == [f"{t}_part_009" for t in module.TILES if t not in held]


def test_the_table_of_settings_is_of_the_tiles_that_are_there(scripts, tmp_path):
    module = scripts["embedded_model"]
    leave(tmp_path / "cl" / "tile2_tile7", result(module.CLASSES, 0.8, ("tile2", "tile7")))
    leave(tmp_path / "cl" / "tile1_tile8", result(module.CLASSES, 0.6, ("tile1", "tile8")))
    out = tmp_path / "embedded_model.md"
    module.write(out, tmp_path, module.REDUCED, module.PAIRS, reduced=True)
    text = out.read_text("utf-8")
    assert "**Reduced table**" in text
    runs = len(module.SETTINGS) * len(module.PAIRS)
    assert f"2 of {runs} runs are there, {runs - 2} missing" in text
    rows = rows_of(text)
    better, worse = (100 * result(module.CLASSES, right)["scores"]["miou"] for right in (0.8, 0.6))
    cells = rows[module.SETTINGS["cl"]]
    assert cells[0] == f"**{(better + worse) / 2:.1f}**"
    assert cells[1:7] == [f"{v:.1f}" for v in (better, better, worse, worse)] + ["–", "–"]
    both = ConfusionMatrix(module.CLASSES)
    for right in (0.8, 0.6):
        both.add(np.array(result(module.CLASSES, right)["scores"]["confusion"]))
    assert cells[7] == f"{100 * both.scores()['classes']['building']['iou']:.1f}"
    assert rows[module.SETTINGS["npa"]] == ["–"] * 12


def test_settings_are_compared_on_folds_that_all_of_them_have(scripts, tmp_path):
    module = scripts["embedded_model"]
    shares = {("cl", 0): 0.5, ("cl", 1): 0.9, ("npa", 0): 0.6}
    for (setting, number), right in shares.items():
        held = module.PAIRS[number]
        leave(tmp_path / setting / module.name_of(held), result(module.CLASSES, right, held))
    out = tmp_path / "embedded_model.md"
    module.write(out, tmp_path, module.REDUCED, module.PAIRS, reduced=True)
    text = out.read_text("utf-8")
    assert "are of tile2, tile7 alone" in text
    assert "1/9 of the windows" in text
    rows = rows_of(text)
    miou = {
        right: f"{100 * result(module.CLASSES, right)['scores']['miou']:.1f}"
        for right in shares.values()
    }
    cl, npa = rows[module.SETTINGS["cl"]], rows[module.SETTINGS["npa"]]
    assert cl[:5] == [miou[0.5], miou[0.5], miou[0.5], miou[0.9], miou[0.9]]
    assert npa[:5] == [f"**{miou[0.6]}**", miou[0.6], miou[0.6], "–", "–"]
    one = result(module.CLASSES, 0.5)["scores"]["classes"]["building"]["iou"]
    assert cl[7] == f"{100 * one:.1f}"

    leave(tmp_path / "mild" / "tile5_tile6", result(module.CLASSES, 0.7, module.PAIRS[2]))
    module.write(out, tmp_path, module.REDUCED, module.PAIRS, reduced=True)
    assert "There are no means yet" in out.read_text("utf-8")
    assert rows_of(out.read_text("utf-8"))[module.SETTINGS["mild"]][0] == "–"
