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
        OutputError: If it already holds a run, or none to go on with.
    """
    if begun and not resume:
        raise OutputError(
            f"{out} already holds a run", remedy="add --resume, or name another folder by --out"
        )
    if resume and not begun:
        raise OutputError(f"{out} holds no run to go on with", expected=f"a {record.RECIPE} in it")


def require_same(recipe: Recipe, out: Path) -> None:
    """Check that a run goes on by its own recipe; data, workers and device may be others.

    Raises:
        RecipeError: If a value was changed.
    """
    file = out / record.RECIPE
    try:
        before = Recipe.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise RecipeError(f"{file} is damaged: {error}") from error
    mine, its = (
        {
            f"{name}.{key}": value
            for name, section in each.model_dump(exclude=_MOVABLE).items()
            for key, value in (section.items() if isinstance(section, dict) else [("", section)])
        }
        for each in (recipe, before)
    )
    changed = [key.rstrip(".") for key in mine if mine[key] != its.get(key)]
    if changed:
        raise RecipeError(
            f"the run in {out} had another recipe: {', '.join(changed)} changed",
            expected=file,
        )


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


def without_weights(recipe: Recipe) -> Recipe:
    """The recipe of a run that goes on, whose start may be gone by now."""
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": None})})
