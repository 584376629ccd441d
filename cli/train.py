"""``rsseg train``: a network by a recipe."""

from __future__ import annotations

import logging

import click

from . import helpers


@click.command("train")
@click.argument("recipe")
@click.option("--out", required=True, help="Run folder to write.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@helpers.output_options
def command(
    recipe: str, out: str, settings: tuple[str, ...], resume: bool, quiet: bool, as_json: bool
) -> None:
    """Train by RECIPE, a YAML file or the name of a shipped one (landcover)."""
    from importlib.util import find_spec

    from rsseg.errors import MissingExtra

    for package in ("torch", "lightning"):
        if find_spec(package) is None:
            raise MissingExtra(package, "train")
    from rsseg.training import read_recipe, train

    for library in ("lightning.pytorch", "timm"):
        logging.getLogger(library).setLevel(logging.ERROR)  # what they tell, no one can use
    chosen = read_recipe(recipe, settings)
    with helpers.progress("training", quiet=quiet) as on_progress:
        result = train(chosen, out, resume, on_progress=on_progress)
    rows = {name: row["iou"] for name, row in result.scores["classes"].items()}
    miou = result.scores["miou"]
    score = "no score" if miou is None else f"mIoU {miou:.3f}"
    text = f"{result.model}: {score} after {result.seconds:.0f} s\n"
    text += ", ".join(f"{name} {iou:.3f}" for name, iou in rows.items() if iou is not None)
    data = {"model": str(result.model), "seconds": result.seconds, "scores": result.scores}
    helpers.report(text, data, quiet=quiet, as_json=as_json)
