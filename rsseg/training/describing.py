"""The Bundle of a network that a recipe trains."""

from __future__ import annotations

from typing import Any

from rsseg import __version__
from rsseg.bundle import Bundle
from rsseg.data.catalogue import Catalogue
from rsseg.training.recipe import Recipe

_PLACES: Any = {"data": {"root", "catalogue", "attribution", "licence"}, "model": {"weights"}}
"""What a model file does not say of its recipe: paths, and what it says elsewhere."""


def described(recipe: Recipe, seed: int, training: Catalogue, validation: Catalogue) -> Bundle:
    """What a recipe tells of the network that it trains; scores are still to come.

    Args:
        recipe: The whole run, with classes and normalisation.
        seed: Of the run.
        training: Scenes trained on, of which the groups are told.
        validation: Scenes validated on.
    """
    groups = {
        name: sorted({scene.group for scene in catalogue})
        for name, catalogue in (("train", training), ("validation", validation))
    }
    model = recipe.model
    options = {
        **model.options,
        **({"output_stride": model.output_stride} if model.output_stride is not None else {}),
        **({"encoder": model.encoder} if model.encoder is not None else {}),
        **({"aux": True} if model.aux else {}),
    }
    return Bundle(
        architecture=model.name,
        options=options,
        legend=recipe.legend,
        bands=tuple(str(band) for band in recipe.data.bands),
        normalisation=recipe.normalisation,
        window=recipe.window,
        gsd=model.gsd if model.gsd is not None else recipe.data.read_gsd,
        licence=recipe.data.licence,
        provenance={
            "title": recipe.title,
            "attribution": recipe.data.attribution,
            "recipe": recipe.model_dump(mode="json", exclude=_PLACES),
            "seed": seed,
            "split": groups,
            "rsseg": __version__,
        },
    )
