"""What a recipe says that is likely not meant, told before hours are spent on it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rsseg.bundle import read_bundle
from rsseg.normalise import Normalisation
from rsseg.training.recipe import Recipe
from rsseg.training.task import model_file


def doubts(recipe: Recipe) -> Iterator[str]:
    """Sentences about values that do not go together.

    Args:
        recipe: The whole run, see `settled`.
    """
    data, steps = recipe.data, recipe.trainer.steps
    assert steps is not None
    if data.train == data.validation:
        yield f"'{data.train}' is trained and validated on: scores tell nothing of other scenes"
    yield from _phases_not_reached(recipe, steps)
    start = model_file(recipe.model.weights)
    if start is not None and not _alike(read_bundle(start).normalisation, recipe.normalisation):
        yield (
            f"{recipe.model.weights} was trained with another mean and deviation than "
            "data.normalisation has, which makes a worse start"
        )


def _phases_not_reached(recipe: Recipe, steps: int) -> Iterator[str]:
    """What does not come because the run ends before."""
    optimiser, schedule = recipe.optimiser, recipe.schedule
    run = f"the run ends after {steps:,} steps"
    if optimiser.freeze_encoder >= steps:
        yield f"the encoder never learns: freeze_encoder is {optimiser.freeze_encoder:,}, {run}"
    if schedule.warm_up > steps:
        yield f"the learning rate is never reached: schedule.warm_up is {schedule.warm_up:,}, {run}"
    if schedule.every is not None and schedule.warm_up + schedule.every >= steps:
        yield f"the learning rate never drops: schedule.every is {schedule.every:,}, {run}"
    for name, section in (("loss", recipe.loss), ("auxiliary loss", recipe.loss.aux)):
        batches = section.options.get("warm_up", 0) if section and section.name == "cl" else 0
        if batches >= steps * optimiser.accumulate:
            yield f"the {name} stays the cross-entropy: its warm_up is {batches:,} batches, {run}"


def _alike(one: Normalisation, other: Normalisation) -> bool:
    """Whether scaled values have the same mean and deviation; units of raw values may differ."""
    return len(one) == len(other) and all(
        math.isclose(a, b, abs_tol=1e-6)
        for a, b in zip((*one.mean, *one.std), (*other.mean, *other.std), strict=True)
    )
