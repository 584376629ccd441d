"""The training tool: a recipe in, a run folder with a model file out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, Timer
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, Sampler

from rsseg import __version__
from rsseg.bundle import Bundle
from rsseg.data.catalogue import Catalogue, read_catalogue
from rsseg.data.samplers import GridWindows, RandomWindows
from rsseg.errors import OutputError, RecipeError
from rsseg.loading import Augmenter, WindowDataset
from rsseg.loading.dataset import LabelTransform
from rsseg.models import load, save
from rsseg.training.recipe import Recipe
from rsseg.training.task import SCORE, SegmentationTask
from rsseg.training.validation import validate

_PLACES: Any = {"data": {"catalogue", "attribution", "licence"}, "model": {"weights"}}
"""What a model file does not say of its recipe: paths, and what it says elsewhere."""
_LAST = "last.ckpt"
_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed"}


@dataclass(frozen=True)
class TrainingResult:
    """What a run left behind.

    Args:
        model: The model file of the best validation.
        scores: Its scores on the validation split, see `ConfusionMatrix.scores`.
        seconds: Wall time of the training.
    """

    model: Path
    scores: dict[str, Any]
    seconds: float


def train(
    recipe: Recipe,
    out: str | Path,
    resume: bool = False,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> TrainingResult:
    """Train by a recipe and keep the weights that scored best on the validation split.

    Args:
        recipe: The whole run.
        out: Run folder, made if missing: ``recipe.yaml``, ``metrics.csv``, ``last.ckpt``,
            ``best.safetensors``.
        resume: Go on from ``last.ckpt``, which is written at each validation, with the windows
            that come next; the figures until then move to ``metrics.until_STEP.csv``.
        on_progress: Called with steps done and steps in all.

    Raises:
        OutputError: If the run folder already holds a run, or none to go on with.
        RecipeError: If the run to go on with had another recipe.
        CatalogueError: If the catalogue is wrong.
    """
    out = Path(out)
    done = _steps_done(recipe, out, resume=resume)
    catalogue = read_catalogue(recipe.data.catalogue)
    training, validation = (
        catalogue.split(name) for name in (recipe.data.train, recipe.data.validation)
    )
    lightning.seed_everything(recipe.trainer.seed, verbose=False)
    task = SegmentationTask(recipe)
    labels = task.label_transform()
    loaders = _training_loader(recipe, training, done, labels), _loader(recipe, validation)

    out.mkdir(parents=True, exist_ok=True)  # not before: what is refused leaves no run behind
    (out / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")), "utf-8")
    if done and (out / "metrics.csv").exists():
        (out / "metrics.csv").rename(out / f"metrics.until_{done}.csv")
    best = ModelCheckpoint(out, filename="best", monitor=SCORE, mode="max")
    last = ModelCheckpoint(out, filename="last", enable_version_counter=False)
    timer = Timer()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer = _trainer(recipe, out, best, last, timer, _Progress(on_progress))
        trainer.fit(task, *loaders, ckpt_path=out / _LAST if done else None, weights_only=True)
    seconds = timer.time_elapsed()

    chosen = torch.load(best.best_model_path, weights_only=True, map_location="cpu")
    task.load_state_dict(chosen["state_dict"])
    model = out / "best.safetensors"
    bundle = _describe(recipe, training, validation, seconds)
    save(model, task.network, bundle, half=True)
    network, _ = load(model)
    scores = validate(network, bundle, validation, recipe.data.gsd)
    save(model, network, replace(bundle, scores=scores), half=True)
    return TrainingResult(model, scores, seconds)


def _steps_done(recipe: Recipe, out: Path, *, resume: bool) -> int:
    """Steps of the run to go on with, 0 for a new one."""
    if not resume:
        if (out / "recipe.yaml").exists():
            raise OutputError(
                f"{out} already holds a run", remedy="add --resume, or name another folder by --out"
            )
        return 0
    if not (out / _LAST).is_file():
        raise OutputError(f"{out} holds no run to go on with", expected=f"a {_LAST} in it")
    before = Recipe.model_validate(yaml.safe_load((out / "recipe.yaml").read_text("utf-8")))
    if before != recipe:
        raise RecipeError(f"the run in {out} had another recipe", expected=out / "recipe.yaml")
    return int(torch.load(out / _LAST, weights_only=True, map_location="cpu")["global_step"])


def _describe(recipe: Recipe, training: Catalogue, validation: Catalogue, seconds: float) -> Bundle:
    """The Bundle of a network trained by a recipe, still without scores."""
    groups = {
        name: sorted({scene.group for scene in catalogue})
        for name, catalogue in (("train", training), ("validation", validation))
    }
    return Bundle(
        architecture=recipe.model.name,
        options=recipe.model.options,
        legend=recipe.legend,
        bands=recipe.data.bands,
        normalisation=recipe.normalisation,
        window=recipe.model.window,
        gsd=recipe.model.gsd,
        licence=recipe.data.licence,
        provenance={
            "title": recipe.title,
            "attribution": recipe.data.attribution,
            "recipe": recipe.model_dump(mode="json", exclude=_PLACES),
            "seed": recipe.trainer.seed,
            "split": groups,
            "training_seconds": round(seconds),
            "rsseg": __version__,
        },
    )


def _trainer(recipe: Recipe, out: Path, *callbacks: Callback) -> lightning.Trainer:
    if recipe.trainer.ema is not None:
        callbacks += (EMAWeightAveraging(decay=recipe.trainer.ema, use_buffers=True),)
    return lightning.Trainer(
        max_steps=recipe.trainer.steps,
        val_check_interval=min(recipe.trainer.validate_every, recipe.trainer.steps),
        precision=_PRECISION[recipe.trainer.precision],  # type: ignore[arg-type]
        callbacks=list(callbacks),
        logger=CSVLogger(out, name="", version=""),
        default_root_dir=out,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        log_every_n_steps=20,
    )


def _training_loader(
    recipe: Recipe, catalogue: Catalogue, done: int, labels: LabelTransform | None
) -> DataLoader[Any]:
    """The samples of the whole run as one epoch, so that each step has its own windows.

    Those of the steps done are left out.
    """
    data, trainer = recipe.data, recipe.trainer
    count = trainer.steps * data.batch_size
    dataset = WindowDataset(
        catalogue,
        RandomWindows(data.window, count, trainer.seed, data.scale),
        legend=recipe.legend,
        bands=data.bands,
        fill=recipe.normalisation.raw_mean,
        transform=Augmenter(data.augment),
        seed=trainer.seed,
        label_transform=labels,
    )
    return DataLoader(
        dataset,
        data.batch_size,
        sampler=_Rest(count, done * data.batch_size),
        num_workers=data.workers,
        persistent_workers=data.workers > 0,
    )


def _loader(recipe: Recipe, catalogue: Catalogue) -> DataLoader[Any]:
    """Every validation window once, at the window size of prediction."""
    window = recipe.model.window
    dataset = WindowDataset(
        catalogue,
        GridWindows(window, window),
        legend=recipe.legend,
        bands=recipe.data.bands,
        fill=recipe.normalisation.raw_mean,
    )
    return DataLoader(dataset, batch_size=1, num_workers=0)


class _Progress(Callback):
    """Tells the caller of each step."""

    def __init__(self, on_progress: Callable[[int, int], None]) -> None:
        self._on_progress = on_progress

    def on_train_batch_end(self, trainer: lightning.Trainer, *rest: Any) -> None:
        """Report the step."""
        self._on_progress(trainer.global_step, int(trainer.max_steps))


class _Rest(Sampler[int]):
    """The samples of a run from one on; it is as long as the run, since Lightning counts so."""

    def __init__(self, count: int, first: int) -> None:
        self._count, self._first = count, first

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._first, self._count))

    def __len__(self) -> int:
        return self._count
