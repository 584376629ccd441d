"""``rsseg recipes``: the recipes that come with rsseg, their variants, and copies to edit."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from . import helpers


@click.group("recipes")
def group() -> None:
    """The recipes that rsseg trains by."""


@group.command("list")
@click.argument("name", required=False)
@helpers.output_options
def list_recipes(name: str | None, quiet: bool, as_json: bool) -> None:
    """List all recipes, or the variants of one, NAME."""
    heading: tuple[str, ...]
    if name is None:
        rows = [_row(each) for each in _shipped().shipped()]
        heading = ("name", "network", "loss", "data", "variants", "title")
        cells = [[*_cells(row), str(len(row["variants"])), row["title"]] for row in rows]
        more = "`rsseg recipes list NAME` lists variants, `rsseg train NAME:VARIANT` trains one"
    else:
        rows = [_row(f"{name}:{each}") for each in _row(name)["variants"]]
        heading = ("name", "network", "loss", "data", "start")
        cells = [[*_cells(row), row["start"] or "random"] for row in rows]
        more = f"`rsseg recipes show {name}` tells what they repeat"
    text = "\n".join([helpers.table(heading, cells), "", more])
    helpers.report(text, {"recipes": rows}, quiet=quiet, as_json=as_json)


@group.command("show")
@click.argument("recipe", metavar="NAME[:VARIANT]")
@helpers.output_options
def show(recipe: str, quiet: bool, as_json: bool) -> None:
    """Print a recipe as it stands, or one of its variants with its own values in their place."""
    text, values = _text(recipe)
    helpers.report(text.rstrip(), {"recipe": values}, quiet=quiet, as_json=as_json)


@group.command("copy")
@click.argument("recipe", metavar="NAME[:VARIANT]")
@click.argument("target", required=False)
@click.option("--overwrite", is_flag=True, help="Replace TARGET if it is there.")
@helpers.output_options
def copy(recipe: str, target: str | None, overwrite: bool, quiet: bool, as_json: bool) -> None:
    """Copy a recipe for editing.

    TARGET is a file or a folder; if not given, NAME.yaml or NAME-VARIANT.yaml is written here.
    """
    from rsseg.errors import OutputError
    from rsseg.replacing import replacing
    from rsseg.writable import require_writable

    text, _ = _text(recipe)
    shipped = _shipped()
    file, variant = shipped.find_recipe(recipe)
    path = Path(target or ".")
    if path.is_dir():
        path /= f"{file.stem}-{variant}.yaml" if variant else file.name
    require_writable(path, inputs=(file,), overwrite=overwrite)
    try:
        with replacing(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from error
    helpers.report(
        f"{path}: edit it, then rsseg train {path} --out DIR",
        {"path": str(path)},
        quiet=quiet,
        as_json=as_json,
    )


def _text(recipe: str) -> tuple[str, dict[str, Any]]:
    """A recipe as text and as values; a variant's text is written anew, without comments."""
    shipped = _shipped()
    file, variant = shipped.find_recipe(recipe)
    if variant is None:
        return file.read_text(encoding="utf-8"), shipped.read_values(file)
    from rsseg.training.yaml_text import to_text

    values = shipped.merged_values(recipe)
    return to_text(values), values


def _row(recipe: str) -> dict[str, Any]:
    """What the list says of a recipe or variant."""
    shipped = _shipped()
    file, variant = shipped.find_recipe(recipe)
    values = shipped.merged_values(recipe)
    variants = shipped.read_values(file).get(shipped.VARIANTS) or {}
    data, model, loss = (
        section if isinstance(section := values.get(name), dict) else {}
        for name in ("data", "model", "loss")
    )
    weighted = " (weighted)" if loss.get("class_weights") else ""
    return {
        "name": variant or recipe,
        "title": values.get("title", ""),
        "network": model.get("name", ""),
        "loss": f"{loss.get('name', 'cross-entropy')}{weighted}",
        "data": data.get("root", ""),
        "start": model.get("weights"),
        "variants": [] if variant else list(variants),
    }


def _cells(row: dict[str, Any]) -> Sequence[str]:
    return row["name"], row["network"], row["loss"], row["data"]


def _shipped() -> Any:
    """The module of recipes as files, which needs the YAML reader of training and no more."""
    from rsseg.errors import MissingExtra

    if importlib.util.find_spec("yaml") is None:
        raise MissingExtra("PyYAML", "train")
    from rsseg.training import shipped

    return shipped
