"""The embedded model: its scores from its own header, and the settings that were tried for it.

    python benchmarks/embedded_model.py                  # the README's table, from the header

With a folder, each variant of the recipe ``landcover`` is trained on all tiles of the Dubai imagery
but one, for each tile in turn, and scored on that one; ``embedded_model.md`` is written from the
runs that are there. Broken off, the same command goes on from the last checkpoint.

    python benchmarks/embedded_model.py RUNS --data DUBAI --weights ENCODER.safetensors
    python benchmarks/embedded_model.py RUNS --data DUBAI --weights ENCODER.safetensors --reduced
    python benchmarks/embedded_model.py RUNS --table --reduced       # the table alone

``--data`` is the target of ``rsseg prepare dubai``, ``--weights`` the encoder's ImageNet weights in
timm's layout. ``--reduced`` holds out pairs of tiles, and trains for fewer steps of fewer windows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from run_tables import SPLITS, Budget, Result, complete, how, parser_of, results, table, total

from rsseg.bundle import read_bundle
from rsseg.data.catalogue import Catalogue
from rsseg.data.tables import read_catalogue, write_catalogue
from rsseg.errors import BundleError, RssegError
from rsseg.metrics import ConfusionMatrix
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg.training.recipe import Recipe, read_recipe

OUT = Path(__file__).with_name("embedded_model.md")
SETTINGS = {
    "cl": "as shipped: CL, strong changes, scales 0.6-5, averaged weights",
    "cross-entropy": "cross-entropy",
    "npa": "NPALoss",
    "mild": "weaker changes of tone, colour and direction",
    "npa-mild": "NPALoss, weaker changes",
    "npa-near": "NPALoss, scales 1-3",
    "npa-tone": "NPALoss, stronger changes of brightness, weaker ones of colour",
    "npa-tone-balanced": "the same, windows drawn by class",
    "one-scale": "scales 1.4-2.1",
    "long": "three times the steps",
    "last-weights": "weights not averaged",
    "random": "no ImageNet start",
    "wide-random": "encoder 1.4 times as wide, no ImageNet start",
    "wide": "encoder 1.4 times as wide",
}
"""Variants of the recipe, and what they change."""
LONG = {"long": 3}
FULL = Budget(steps=1800, batch=8, seeds=(0,), device="auto", workers=4)
REDUCED = Budget(steps=400, batch=4, seeds=(0,), device="cpu", workers=0)
TILES = ("tile1", "tile2", "tile5", "tile6", "tile7", "tile8")
FOLDS = tuple((tile,) for tile in TILES)
PAIRS = (("tile2", "tile7"), ("tile1", "tile8"), ("tile5", "tile6"))
CLASSES = ("building", "land", "road", "vegetation", "water")

Fold = tuple[str, ...]
"""The tiles held out."""


def main() -> None:
    """Print the table of the header, or train what is missing and write that of the settings."""
    parser = parser_of(__doc__, OUT, alone=True)
    parser.add_argument("--data", type=Path, help="prepared Dubai imagery")
    options = parser.parse_args()
    if options.runs is None:
        print("\n".join(header()))
        return
    budget, folds = (REDUCED, PAIRS) if options.reduced else (FULL, FOLDS)
    folder = options.runs / ("reduced" if options.reduced else "full")
    if not options.table:
        if options.data is None or options.weights is None:
            parser.error("training needs --data and --weights")
        catalogue = read_catalogue(options.data / "catalogue.csv")
        for held in folds:
            lists = folder / f"{name_of(held)}.csv"
            lists.parent.mkdir(parents=True, exist_ok=True)
            write_catalogue(lists, fold(catalogue, held))
            for setting in SETTINGS:
                recipe = recipe_of(setting, budget, lists, options.weights)
                try:
                    complete(recipe, folder / setting / name_of(held), f"{setting}, {held}")
                except BundleError as error:
                    print(f"{setting} is left out: {error}", file=sys.stderr)
                write(options.out, folder, budget, folds, reduced=options.reduced)
    write(options.out, folder, budget, folds, reduced=options.reduced)


def header() -> list[str]:
    """IoU and F1 by class and their means as a Markdown table, from the embedded model's file."""
    bundle = read_bundle(EMBEDDED_MODEL)
    scores, history = bundle.scores, bundle.provenance
    rows = [
        (name, f"{row['iou']:.3f}", f"{row['f1']:.3f}", f"{row['pixels'] / 1e6:.2f}")
        for name, row in scores["classes"].items()
    ]
    rows.append(("**mean**", f"**{scores['miou']:.3f}**", f"{scores['f1']:.3f}", ""))
    return [
        *table(("class", "IoU", "F1", "labelled Mpx"), rows),
        f"Pixel accuracy {scores['oa']:.3f}, kappa {scores['kappa']:.3f}.",
        f"Trained on {', '.join(history['split']['train'])}; "
        f"scored on {', '.join(history['split']['validation'])}; seed {history['seed']}; "
        f"{history['training_seconds'] / 60:.0f} minutes.",
    ]


def fold(catalogue: Catalogue, held: Sequence[str]) -> Catalogue:
    """The catalogue with these tiles to test on.

    The last picture of each other tile chooses the weights: it adjoins what they were trained on,
    so they are chosen without a look at the tiles held out.
    """
    last = {row.group: row.image for row in sorted(catalogue, key=lambda row: row.image.name)}
    train, choose, test = SPLITS

    def split(group: str, image: Path) -> str:
        if group in held:
            return test
        return choose if image == last[group] else train

    return Catalogue(tuple(replace(row, split=split(row.group, row.image)) for row in catalogue))


def recipe_of(setting: str, budget: Budget, lists: Path, weights: Path) -> Recipe:
    """The run of a setting: its variant with the budget, what depends on steps in proportion."""
    variant = read_recipe(f"landcover:{setting}")
    steps = budget.steps * LONG.get(setting, 1)
    sections: dict[str, Any] = {
        "data.root": str(lists.parent),
        "data.catalogue": lists.name,
        "data.batch_size": budget.batch,
        "data.workers": budget.workers,
        "schedule.warm_up": steps // 18,
        "trainer.steps": steps,
        "trainer.validate_every": steps // 2,
        "trainer.device": budget.device,
        "trainer.seeds": list(budget.seeds),
    }
    if variant.model.weights not in (None, "imagenet"):
        sections["model.weights"] = str(weights)
    if variant.loss.name == "cl":
        sections["loss.options.warm_up"] = steps // 6
    settings = tuple(f"{key}={json.dumps(value)}" for key, value in sections.items())
    return read_recipe(f"landcover:{setting}", settings)


def name_of(held: Sequence[str]) -> str:
    """A fold's name: the tiles held out."""
    return "_".join(held)


def write(
    out: Path, folder: Path, budget: Budget, folds: Sequence[Sequence[str]], *, reduced: bool
) -> None:
    """Write the table from the run folders that are there."""
    found = {
        setting: {
            held: result
            for held in map(tuple, folds)
            for result in results(folder / setting, [name_of(held)])
        }
        for setting in SETTINGS
    }
    common = shared(found)
    scored = {setting: _scores(by_fold, common) for setting, by_fold in found.items()}
    best = max((means[0] for means in scored.values() if means[0] is not None), default=None)
    tiles = [tile for held in folds for tile in held]
    rows = []
    for setting, text in SETTINGS.items():
        mean, *classes = (_cell(value) for value in scored[setting])
        if best is not None and scored[setting][0] == best:
            mean = f"**{mean}**"
        by_tile = {
            tile: part["miou"]
            for result in found[setting].values()
            for tile, part in result["by_group"].items()
        }
        rows.append((text, mean, *(_cell(by_tile.get(tile)) for tile in tiles), *classes))
    runs = [result for by_fold in found.values() for result in by_fold.values()]
    lines = [
        "# Settings of the embedded model",
        "",
        f"**{'Reduced table' if reduced else 'Full table'}**: variants of the recipe `landcover`, "
        f"{budget.steps:,} steps of {budget.batch} windows of 256 x 256 pixels, cross-validated by "
        f"tile: {' and '.join(map(str, sorted({len(held) for held in folds})))} of {len(tiles)} "
        "tiles held out in turn, of which nothing was trained or chosen. One seed: what another "
        "would change is not known, so small differences tell nothing. "
        + _short(budget)
        + how(runs, len(SETTINGS) * len(folds)),
        "",
        "Mean IoU of each held-out tile over the classes in it. " + _compared(common, folds)
        + " As `rsseg predict --rescale` maps them. All in per cent.",
        "",
        *table(("setting", "mean of tiles", *tiles, *CLASSES), rows),
        "Made by `python benchmarks/embedded_model.py RUNS --data DUBAI --weights ENCODER"
        f"{' --reduced' if reduced else ''}`; – is what is missing.",
    ]  # fmt: skip
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def shared(found: Mapping[str, Mapping[Fold, Result]]) -> list[Fold]:
    """Folds that every setting has which has any: means over others would not compare."""
    begun = [by_fold for by_fold in found.values() if by_fold]
    return [held for held in (begun[0] if begun else ()) if all(held in each for each in begun)]


def _scores(by_fold: Mapping[Fold, Result], folds: Sequence[Fold]) -> list[float | None]:
    """Mean of the tiles of these folds, and IoU of each class over all their pixels."""
    chosen = [by_fold[held] for held in folds if held in by_fold]
    if not chosen:
        return [None] * (1 + len(CLASSES))
    tiles = [part["miou"] for each in chosen for part in each["by_group"].values()]
    parts = []
    for each in chosen:
        parts.append(ConfusionMatrix(CLASSES))
        parts[-1].add(np.array(each["scores"]["confusion"]))
    classes = total(parts).scores()["classes"]
    return [fmean(tiles), *(classes[name]["iou"] for name in CLASSES)]


def _compared(common: Sequence[Fold], folds: Sequence[Sequence[str]]) -> str:
    """What the means are of, in a sentence."""
    means = "Their mean, the best of which is bold, and IoU by class, of all pixels together, are"
    if len(common) == len(folds):
        return f"{means} of all tiles."
    if not common:
        return "There are no means yet: no fold is scored by every setting that has begun."
    tiles = ", ".join(tile for held in common for tile in held)
    return f"{means} of {tiles} alone, which every setting with a figure here has been scored on."


def _short(budget: Budget) -> str:
    """How much less a run is trained than the full table's, where it is."""
    share = FULL.steps * FULL.batch / (budget.steps * budget.batch)
    if share == 1:
        return ""
    return (
        f"That is 1/{share:.0f} of the windows that the full table takes: what wins in so short a "
        "training need not win in a long one. "
    )


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


if __name__ == "__main__":
    try:
        main()
    except RssegError as error:  # such as a run that is broken off
        sys.exit(f"Error: {error}")
