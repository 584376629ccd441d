"""What a recipe says that is likely not meant, told before hours are spent on it."""

from __future__ import annotations

from collections.abc import Iterator

from rsseg.bundle import read_bundle
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
        yield f"the split '{data.train}' is trained and validated on: scores tell nothing of others"
    for key, count, lost in _phases(recipe):
        if count is not None and count >= steps:
            yield f"{lost}: {key} is {count:,}, and the run has {steps:,} steps"
    start = model_file(recipe.model.weights)
    if start is not None and read_bundle(start).normalisation != recipe.normalisation:
        yield (
            f"{recipe.model.weights} was trained with another normalisation than "
            "data.normalisation, which makes a worse start"
        )


def _phases(recipe: Recipe) -> Iterator[tuple[str, int | None, str]]:
    """A key that counts steps, its value, and what does not come if the run ends before."""
    optimiser, schedule, loss = recipe.optimiser, recipe.schedule, recipe.loss
    if optimiser.freeze_encoder:
        yield "optimiser.freeze_encoder", optimiser.freeze_encoder, "the encoder stays as it is"
    if schedule.warm_up:
        yield "schedule.warm_up", schedule.warm_up, "the learning rate is never reached"
    yield "schedule.every", schedule.every, "the learning rate never drops"
    if loss.name == "cl" and loss.options.get("warm_up"):
        batches = loss.options["warm_up"]
        counted = -(-batches // optimiser.accumulate)
        yield "loss.options.warm_up", counted, "the loss stays the cross-entropy"
