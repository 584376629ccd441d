"""The batches of a run: training windows in their order, and what is validated."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from rsseg.data.balanced import BalancedWindows
from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.label_index import index_labels
from rsseg.data.labels import open_labels
from rsseg.data.repeated import RepeatedScenes
from rsseg.data.samplers import GridWindows, RandomWindows, Sampler
from rsseg.errors import RecipeError
from rsseg.loading import Augmenter, WindowDataset, batches
from rsseg.loading.dataset import LabelTransform
from rsseg.training.recipe import Recipe

_ROWS = 1024


def training_windows(
    recipe: Recipe, catalogue: Catalogue, seed: int, label_transform: LabelTransform | None
) -> WindowDataset:
    """The samples of a whole run as one epoch, so that each step has its own windows."""
    data, trainer = recipe.data, recipe.trainer
    assert trainer.steps is not None
    count = trainer.steps * recipe.optimiser.accumulate * data.batch_size * trainer.devices
    names = [str(band) for band in data.bands]
    return WindowDataset(
        catalogue,
        _sampler(recipe, catalogue, count, seed),
        legend=recipe.legend,
        bands=data.bands,
        fill=recipe.normalisation.raw_mean,
        gsd=data.read_gsd,
        transform=Augmenter(
            data.augment,
            bands=names,
            scale=recipe.normalisation.scale,
            fill=recipe.normalisation.raw_mean,
            classes=recipe.legend.names,
        ),
        seed=seed,
        label_transform=label_transform,
        label_stride=data.label_stride,
    )


def training_batches(
    recipe: Recipe, windows: WindowDataset, done: int, shard: tuple[int, int]
) -> DataLoader[Any]:
    """Batches of one process of a run, from a step on."""
    samples = done * recipe.optimiser.accumulate * recipe.data.batch_size
    return batches(
        windows,
        recipe.data.batch_size,
        workers=recipe.data.workers,
        first=samples,
        shard=shard,
    )


def validation_windows(recipe: Recipe, catalogue: Catalogue) -> WindowDataset:
    """Every validation window once, side by side, at the window size of prediction."""
    return WindowDataset(
        catalogue,
        GridWindows(recipe.window, recipe.window),
        legend=recipe.legend,
        bands=recipe.data.bands,
        fill=recipe.normalisation.raw_mean,
        gsd=recipe.data.read_gsd,
        label_stride=recipe.data.label_stride,
    )


def validation_numbers(parts: int, shard: tuple[int, int]) -> DataLoader[Any]:
    """Numbers of the parts that one process validates; -1, which is none, where it has fewer.

    Without it a process without a part would not come to where all add their counts.
    """
    mine = list(range(parts)[shard[0] :: shard[1]])
    mine += [-1] * (-(-parts // shard[1]) - len(mine))
    return DataLoader(mine, batch_size=None)  # type: ignore[arg-type]


def _sampler(recipe: Recipe, catalogue: Catalogue, count: int, seed: int) -> Sampler:
    data = recipe.data
    if data.balance is None:
        evenly = RandomWindows(data.window, count, seed, data.scale, data.aspect, data.label_stride)
        return evenly if data.repeat is None else RepeatedScenes(evenly, _times(recipe, catalogue))
    return BalancedWindows(
        data.window,
        count,
        seed,
        data.scale,
        data.aspect,
        data.label_stride,
        index=index_labels(catalogue, recipe.legend, label_stride=data.label_stride),
        shares=None if data.balance == "equal" else data.balance,
    )


def _times(recipe: Recipe, catalogue: Catalogue) -> tuple[int, ...]:
    """How often each scene is listed, as it were; all labels are looked through for that."""
    repeat, names = recipe.data.repeat, recipe.legend.names
    assert repeat is not None
    for name in repeat.classes:
        if name not in names:
            raise RecipeError(f"data.repeat has a class '{name}'", expected=", ".join(names))
    wanted = [names.index(name) for name in repeat.classes]

    def holds_one(scene: LabelledScene) -> bool:
        stride = recipe.data.label_stride
        with closing(open_labels(scene, recipe.legend, scene.grid(stride), stride)) as labels:
            return any(
                np.isin(labels.read(strip), wanted).any() for strip in labels.strips(_ROWS * stride)
            )

    return tuple(repeat.times if holds_one(scene) else 1 for scene in catalogue)
