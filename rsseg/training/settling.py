"""A recipe with all that its data tell: classes, normalisation, class weights, steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from rsseg.class_weights import median_frequency_weights
from rsseg.data.agreement import common_legend
from rsseg.data.catalogue import Catalogue
from rsseg.data.counting import catalogue_statistics
from rsseg.data.statistics import Statistics
from rsseg.errors import RecipeError
from rsseg.geo.class_raster import is_named
from rsseg.legend import NODATA
from rsseg.training.recipe import Recipe

_IMAGENET = {
    "scale": (255.0, 255.0, 255.0),
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}


def settled(recipe: Recipe, training: Catalogue) -> Recipe:
    """The recipe with numbers in place of what it leaves to the training split.

    Args:
        recipe: As written.
        training: Labelled scenes to train on.

    Raises:
        RecipeError: If a class has no pixel to weigh it by, a rare one is none, or neither recipe
            nor labels tell which classes there are.
        LegendError: If labels do not agree in their classes.
        CatalogueError: If images differ in pixel type.
        SceneError: If a file cannot be read.
    """
    facts = _Facts(recipe, training)
    values = recipe.model_dump()
    data, loss, trainer = values["data"], values["loss"], values["trainer"]
    data["classes"] = data["classes"] or facts.legend.to_json()
    if data["normalisation"] == "imagenet":
        data["normalisation"] = _IMAGENET
    elif data["normalisation"] == "train":
        data["normalisation"] = facts.statistics.normalisation
    for part in (loss, loss["aux"]):
        if part is not None and part["class_weights"] is not None:
            part["options"]["class_weights"] = facts.class_weights(part["rare"])
            part["class_weights"], part["rare"] = None, ()
    if trainer["steps"] is None:
        trainer["steps"] = trainer["epochs"] * facts.steps_of_an_epoch
        trainer["epochs"] = None
    return Recipe.model_validate(values)


class _Facts:
    """What the training split tells, worked out when it is asked for."""

    def __init__(self, recipe: Recipe, training: Catalogue) -> None:
        self._recipe, self._training = recipe, training
        known = recipe.data.classes is not None
        self.legend = recipe.legend if known else common_legend(training, recipe.catalogue)
        told = known or any(map(is_named, self.legend))
        if not told and len(self.legend) >= NODATA - 1:  # one for each code there can be
            raise RecipeError(
                f"labels such as {training.scenes[0].label} do not tell which classes there are",
                expected="names of classes in the files",
                remedy="list them, e.g. --set 'data.classes=[{code: 1, name: water, colour: [0, 0, "
                "255]}, {code: 2, name: land, colour: [222, 203, 164]}]'",
            )

    @cached_property
    def statistics(self) -> Statistics:
        data = self._recipe.data
        return catalogue_statistics(
            self._training,
            bands=data.bands,
            legend=self.legend,
            label_stride=data.label_stride,
        )

    def class_weights(self, rare: Sequence[str]) -> list[float]:
        """Median-frequency weights by class."""
        names = self.legend.names
        for name in rare:
            if name not in names:
                raise RecipeError(f"loss.rare has a class '{name}'", expected=", ".join(names))
        weights = median_frequency_weights(
            self.statistics.counts.tolist(), [names.index(name) for name in rare]
        )
        lacking = [name for name, weight in zip(names, weights, strict=True) if not weight]
        if lacking:
            raise RecipeError(
                f"no pixel of {', '.join(lacking)} tells a median-frequency weight",
                remedy="leave that class out, or give loss.options.class_weights in numbers",
            )
        return weights

    @cached_property
    def steps_of_an_epoch(self) -> int:
        data, trainer = self._recipe.data, self._recipe.trainer
        grids = [scene.footprint() for scene in self._training]
        windows = sum(-(-g.height // data.window) * -(-g.width // data.window) for g in grids)
        batch = data.batch_size * trainer.devices * self._recipe.optimiser.accumulate
        return max(1, -(-windows // batch))
