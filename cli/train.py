"""``rsseg train``: a network by a recipe."""

from __future__ import annotations

import logging
import statistics
from typing import TYPE_CHECKING

import click

from . import helpers

if TYPE_CHECKING:
    from rsseg.training import TrainingResult


@click.command("train")
@click.argument("recipe", metavar="RECIPE[:VARIANT]")
@click.option("--out", required=True, help="Run folder to write.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
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
    out: str,
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

    for library in ("lightning.pytorch", "timm"):
        logging.getLogger(library).setLevel(logging.ERROR)  # what they tell, no one can use
    given = {"trainer.device": device, "trainer.devices": devices}
    changes = tuple(f"{key}={value}" for key, value in given.items() if value is not None)
    chosen = read_recipe(recipe, settings + changes)
    with helpers.progress("training", quiet=quiet) as on_progress:
        result = train(chosen, out, resume, on_progress=on_progress)
    if not result.scores:
        return  # one of several processes; the first tells
    helpers.note(result.notes, quiet=quiet)
    data = {
        "model": str(result.model),
        "seconds": result.seconds,
        "scores": result.scores,
        "seeds": {str(seed): miou for seed, miou in result.seeds.items()},
        "notes": list(result.notes),
    }
    helpers.report(_text(result), data, quiet=quiet, as_json=as_json)


def _text(result: TrainingResult) -> str:
    """The result for people: the model, its scores, and the seeds where there are several."""
    rows = {name: row["iou"] for name, row in result.scores["classes"].items()}
    miou = result.scores["miou"]
    score = "no score" if miou is None else f"mIoU {miou:.3f}"
    lines = [
        f"{result.model}: {score} after {result.seconds:.0f} s",
        ", ".join(f"{name} {iou:.3f}" for name, iou in rows.items() if iou is not None),
    ]
    if result.seeds:
        scores = {str(seed): value for seed, value in result.seeds.items()}
        known = [value for value in scores.values() if value is not None]
        scores["median"] = statistics.median(known) if known else None
        cells = [(name, "-" if v is None else f"{v:.3f}") for name, v in scores.items()]
        lines += ["", helpers.table(("seed", "mIoU"), cells)]
    return "\n".join(lines)
