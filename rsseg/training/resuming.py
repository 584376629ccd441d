"""Whether a run can begin in a folder or go on there, and from which step."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import yaml
from pydantic import ValidationError

from rsseg.errors import OutputError, RecipeError, TrainingError
from rsseg.training import record
from rsseg.training.checkpoints import LAST
from rsseg.training.recipe import Recipe

_MOVABLE: Any = {"data": {"root", "workers"}, "trainer": {"device"}}
"""What may differ where a run goes on."""


def require_folder(out: Path, resume: bool, begun: bool) -> None:
    """Check that a run can begin in a folder, or go on there.

    Raises:
        OutputError: If it already holds a run that is not to go on.
    """
    if begun and not resume:
        raise OutputError(
            f"{out} already holds a run", remedy="add --resume, or name another folder by --out"
        )


def recipe_of_run(recipe: Recipe, out: Path) -> Recipe:
    """The recipe that a run goes on by: as it was used, so that its data need not tell it again.

    Args:
        recipe: The same as the run began with, or the one that it used; where the data lie, workers
            and device may be others.
        out: Run folder.

    Raises:
        RecipeError: If a value was changed.
    """
    used = _read(out / record.RECIPE)
    if _changed(recipe, used):
        changed = _changed(recipe, _read(out / record.ASKED))
        if changed:
            raise RecipeError(
                f"the run in {out} had another recipe: {', '.join(changed)} changed",
                expected=out / record.ASKED,
            )
    values = used.model_dump()
    for section, keys in _MOVABLE.items():
        values[section] |= recipe.model_dump(include={section: keys})[section]
    return Recipe.model_validate(values)


def steps_done(out: Path) -> int:
    """Steps of the run to go on with; 0 where it was killed before its first checkpoint.

    Raises:
        TrainingError: If the checkpoint is damaged.
    """
    file = out / LAST
    if not file.exists():
        return 0
    try:
        last = torch.load(file, weights_only=True, map_location="cpu", mmap=True)
        return int(last["global_step"])
    except (RuntimeError, KeyError, EOFError, UnpicklingError) as error:
        raise TrainingError(
            f"{file} is damaged", remedy="remove it to begin anew, with --resume"
        ) from error


def _read(file: Path) -> Recipe:
    try:
        return Recipe.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise RecipeError(f"{file} is damaged: {error}") from error


def _changed(recipe: Recipe, other: Recipe) -> list[str]:
    """Keys of the values that differ, but for those that may."""
    mine, its = (
        {
            f"{name}.{key}".rstrip("."): value
            for name, section in each.model_dump(exclude=_MOVABLE).items()
            for key, value in (section.items() if isinstance(section, dict) else [("", section)])
        }
        for each in (recipe, other)
    )
    return [key for key in mine if mine[key] != its.get(key)]


def without_weights(recipe: Recipe) -> Recipe:
    """The recipe of a run that goes on, whose start may be gone by now."""
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": None})})
