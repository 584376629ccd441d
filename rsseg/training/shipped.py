"""Recipes as files: those that come with rsseg, and how their variants differ; without torch."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from rsseg.errors import RecipeError
from rsseg.training.yaml_text import from_text

FOLDER = Path(__file__).parent / "recipes"
VARIANTS = "variants"
_FIRST = ("landcover", "finetune")


def shipped() -> dict[str, Path]:
    """The recipes that come with rsseg by name: the embedded model's, then those of the papers."""
    names = sorted(file.stem for file in FOLDER.glob("*.yaml"))
    first = [name for name in _FIRST if name in names]
    return {name: FOLDER / f"{name}.yaml" for name in dict.fromkeys((*first, *names))}


def find_recipe(name: str | Path) -> tuple[Path, str | None]:
    """The file of a recipe and the variant that its name asks for.

    Args:
        name: A YAML file, or the name of a shipped recipe; maybe with ``:VARIANT`` after it.

    Raises:
        RecipeError: If there is none.
    """
    known = shipped()
    for text, variant in _readings(str(name)):
        file = Path(text) if Path(text).is_file() else known.get(text)
        if file is not None:
            return file, variant
    near = difflib.get_close_matches(str(name).partition(":")[0], known, n=1)
    raise RecipeError(
        f"there is no recipe {name}",
        expected=f"a file or {', '.join(known)}",
        remedy=f"did you mean {near[0]}?" if near else None,
    )


def read_values(file: Path) -> dict[str, Any]:
    """The sections of a recipe as they stand in its file, with its variants.

    Raises:
        RecipeError: If it is not YAML or has no sections.
    """
    try:
        values = from_text(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file} is not YAML: {error}") from error
    variants = values.get(VARIANTS) or {} if isinstance(values, dict) else None
    if not isinstance(variants, dict):
        raise RecipeError(f"{file} is not a recipe", expected="sections of keys and values")
    for name, changes in variants.items():
        if not isinstance(changes, dict | None):
            raise RecipeError(f"the variant '{name}' of {file} is no section")
    return dict(values)


def merged_values(name: str | Path) -> dict[str, Any]:
    """The sections of a recipe, with a variant's values in their place if its name asks for one.

    Raises:
        RecipeError: If there is no such recipe or variant, or the file is not one.
    """
    file, variant = find_recipe(name)
    values = read_values(file)
    variants = values.pop(VARIANTS, None) or {}
    if variant is None:
        return values
    if variant not in variants:
        near = difflib.get_close_matches(variant, variants, n=3) or list(variants)
        raise RecipeError(
            f"{file.name} has no variant '{variant}'",
            expected=" or ".join(near) or "none: leave it out",
        )
    merged = _merged(values, variants[variant] or {})
    merged["title"] = f"{values.get('title', '')}: {variant}"
    return merged


def _readings(name: str) -> Iterator[tuple[str, str | None]]:
    yield name, None
    text, colon, variant = name.rpartition(":")
    if colon:
        yield text, variant


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Values with those of a variant in their place; a section is changed, not replaced.

    Options are those of one network or loss: where a variant names another, they fall away.
    """
    merged = copy.deepcopy(values)
    if "name" in changes and changes["name"] != values.get("name"):
        merged.pop("options", None)
    for key, value in changes.items():
        here = merged.get(key)
        merged[key] = (
            _merged(here, value) if isinstance(here, dict) and isinstance(value, dict) else value
        )
    return merged
