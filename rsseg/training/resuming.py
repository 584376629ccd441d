"""Whether a run can begin in a folder or go on there, and from which step."""

from __future__ import annotations

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import yaml
from pydantic import ValidationError

from rsseg.errors import OutputError, RecipeError, TrainingError
from rsseg.training import record
from rsseg.training.checkpoints import BEST, LAST, MODEL
from rsseg.training.recipe import Recipe
from rsseg.training.yaml_text import from_text

_MOVABLE: Any = {"data": {"root", "workers"}, "trainer": {"device"}}
"""What may differ where a run goes on."""


def require_folder(out: Path, resume: bool, *, several: bool) -> None:
    """Check that a run can begin in a folder, or go on there.

    Args:
        out: Run folder.
        resume: Whether a run is to go on there.
        several: Whether the run is of several seeds.

    Raises:
        OutputError: If it is no folder, or already holds a run that is not to go on.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is no folder", remedy="name one by --out")
    left = (f"{place}{name}" for place in ("", "seed_[0-9]*/") for name in (BEST, LAST, MODEL))
    for file in (file for pattern in left for file in out.glob(pattern)):
        if not file.with_name(record.RECIPE).exists():
            raise OutputError(
                f"{file} is there without the recipe of its run",
                remedy="remove it, or name another folder by --out",
            )
    of_one = (out / record.RECIPE).exists()
    of_several = any(out.glob(f"seed_[0-9]*/{record.RECIPE}"))
    if (of_one and several) or (of_several and not several):
        raise OutputError(
            f"{out} already holds a run of {'one seed' if several else 'several seeds'}",
            remedy="name another folder by --out",
        )
    if (of_one or of_several) and not resume:
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
                remedy="go on by that one, name another folder by --out, or remove that folder",
            )
    values = used.model_dump()
    for section, keys in _MOVABLE.items():
        values[section] |= recipe.model_dump(include={section: keys})[section]
    return Recipe.model_validate(values)


def require_scenes(out: Path, rows: list[dict[str, str]]) -> None:
    """Check that a run goes on with the scenes it began with; the folder of all may be another.

    Args:
        out: Run folder.
        rows: Those of the catalogue that are trained or validated on.

    Raises:
        RecipeError: If some are new or gone, or come in another order.
    """
    file = out / record.SCENES
    try:
        before = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{file} is damaged or missing", remedy="name another folder by --out"
        ) from error
    if rows == before:
        return
    known, now = ({json.dumps(row) for row in each} for each in (before, rows))
    changes = {"new": len(now - known), "gone": len(known - now)}
    told = ", ".join(f"{count:,} {kind}" for kind, count in changes.items() if count)
    raise RecipeError(
        f"the catalogue has changed since the run in {out} began: {told or 'another order'}",
        expected=f"the rows of {file} in their order",
        remedy="put them back, or name another folder by --out",
    )


def steps_done(out: Path) -> int:
    """Steps of the run to go on with; 0 where it was killed before its first checkpoint.

    Raises:
        TrainingError: If a checkpoint is damaged, or the best one is missing.
    """
    if not (out / LAST).exists():
        return 0
    _steps(out / BEST)  # not needed before the end, and then it must be whole
    return _steps(out / LAST)


def _steps(file: Path) -> int:
    try:
        found = torch.load(file, weights_only=True, map_location="cpu", mmap=True)
        return int(found["global_step"])
    except (OSError, RuntimeError, KeyError, EOFError, UnpicklingError) as error:
        raise TrainingError(
            f"{file} is damaged or missing",
            remedy=f"remove {LAST} and {BEST} to begin anew, with --resume",
        ) from error


def _read(file: Path) -> Recipe:
    try:
        return Recipe.model_validate(from_text(file.read_text("utf-8")))
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
