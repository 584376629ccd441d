"""``rsseg train``: a network by a recipe."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import helpers

if TYPE_CHECKING:
    from rsseg.training import TrainingResult


_SHOWN = {"miou": "mIoU", "oa": "OA", "f1": "mean F1"}


@click.command("train")
@click.argument("recipe", metavar="RECIPE[:VARIANT]")
@click.option("--out", help="Run folder to write; runs/RECIPE or runs/RECIPE-VARIANT if not given.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, if there is one.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    help="Train there, as --set trainer.device does.",
)
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    help="Processes, one for each device, as --set trainer.devices does.",
)
@helpers.output_options
def command(
    recipe: str,
    out: str | None,
    settings: tuple[str, ...],
    resume: bool,
    device: str | None,
    devices: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train a network by a recipe.

    RECIPE is a YAML file or the name of a shipped one, see `rsseg recipes list`; VARIANT is one of
    the rows that it repeats.
    """
    from importlib.util import find_spec

    from rsseg.errors import MissingExtra

    for package in ("torch", "lightning"):
        if find_spec(package) is None:
            raise MissingExtra(package, "train")
    from rsseg.training import read_recipe, train
    from rsseg.training.shipped import find_recipe

    for library in ("lightning.pytorch", "timm", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)  # what they tell, no one can use
    given = {"trainer.device": device, "trainer.devices": devices}
    changes = tuple(f"{key}={value}" for key, value in given.items() if value is not None)
    chosen = read_recipe(recipe, settings + changes)
    file, variant = find_recipe(recipe)
    folder = out or Path("runs", f"{file.stem}-{variant}" if variant else file.stem)

    def note(text: str) -> None:
        helpers.note((text,), quiet=quiet)

    with helpers.progress("training", quiet=quiet) as on_progress:
        result = train(chosen, folder, resume, on_progress=on_progress, on_note=note)
    if not result.scores:
        return  # one of several processes; the first tells
    data = {
        "model": str(result.model),
        "seconds": result.seconds,
        "scores": result.scores,
        "seeds": {str(seed): scores["miou"] for seed, scores in result.seeds.items()},
        "median": result.medians,
        "notes": list(result.notes),
    }
    helpers.report(_text(result), data, quiet=quiet, as_json=as_json)


def _text(result: TrainingResult) -> str:
    """The result for people: the model, its scores, and the seeds where there are several."""
    found = {name: row["iou"] for name, row in result.scores["classes"].items()}
    miou = result.scores["miou"]
    score = "no score" if miou is None else f"mIoU {miou:.3f}"
    lines = [
        f"{result.model}: {score} after {result.seconds:.0f} s",
        ", ".join(f"{name} {iou:.3f}" for name, iou in found.items() if iou is not None),
    ]
    if result.seeds:
        rows = [*result.seeds.items(), ("median", result.medians)]
        cells = [(str(name), *(_cell(scores[key]) for key in _SHOWN)) for name, scores in rows]
        lines += ["", helpers.table(("seed", *_SHOWN.values()), cells)]
    return "\n".join(lines)


def _cell(score: float | None) -> str:
    return "-" if score is None else f"{score:.3f}"
