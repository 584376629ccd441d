"""The training tool: a recipe in, a run folder with a model file out."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from torch.utils.data import DataLoader

from rsseg import __version__
from rsseg.bundle import Bundle
from rsseg.data.catalogue import Catalogue
from rsseg.data.tables import read_catalogue
from rsseg.errors import OptionError, OutputError, RecipeError
from rsseg.metrics import ConfusionMatrix
from rsseg.models import load, save
from rsseg.training import loop, record
from rsseg.training.recipe import Recipe
from rsseg.training.samples import training_batches, training_windows, validation_windows
from rsseg.training.settling import settled
from rsseg.training.task import SegmentationTask
from rsseg.training.validation import TileScores

_PLACES: Any = {"data": {"root", "catalogue", "attribution", "licence"}, "model": {"weights"}}
"""What a model file does not say of its recipe: paths, and what it says elsewhere."""


@dataclass(frozen=True)
class TrainingResult:
    """What a run left behind.

    Args:
        model: The model file of the best validation; of several seeds that of the median score.
        scores: Its scores on the validation split, see `ConfusionMatrix.scores`; empty in all
            processes but the first.
        seconds: Wall time of the training.
        seeds: Mean IoU by seed, where there are several.
        notes: What the user should know of the data.
    """

    model: Path
    scores: dict[str, Any]
    seconds: float
    seeds: dict[int, float | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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
        out: Run folder, made if missing: see `rsseg.training.record`. With several seeds it has a
            folder ``seed_N`` for each and ``seeds.json``.
        resume: Go on from the last whole checkpoint with the windows that come next. Seeds that
            are done stay as they are.
        on_progress: Called with steps done and steps in all.

    Raises:
        OutputError: If the run folder already holds a run, or none to go on with.
        RecipeError: If the run to go on with had another recipe.
        OptionError: If several seeds are to be trained on several devices at once.
        TrainingError: If the loss is not finite.
        CatalogueError: If the catalogue is wrong.
    """
    out, seeds = Path(out), recipe.trainer.seeds
    if len(seeds) == 1:
        return _train_one(recipe, seeds[0], out, resume, on_progress)
    if recipe.trainer.devices > 1:
        raise OptionError(
            "several seeds cannot be trained on several devices in one run",
            remedy="run them one after the other, e.g. --set 'trainer.seeds=[0]'",
        )
    results = {}
    for number, seed in enumerate(seeds):
        folder = out / f"seed_{seed}"
        results[seed] = _train_one(
            recipe.model_copy(
                update={"trainer": recipe.trainer.model_copy(update={"seeds": (seed,)})}
            ),
            seed,
            folder,
            resume and folder.exists(),
            lambda done, total, before=number: on_progress(  # type: ignore[misc]
                before * total + done, len(seeds) * total
            ),
        )
    return _median(results, out)


def _median(results: dict[int, TrainingResult], out: Path) -> TrainingResult:
    scores = {seed: result.scores.get("miou") for seed, result in results.items()}
    known = {seed: score for seed, score in scores.items() if score is not None}
    middle = statistics.median_low(known.values()) if known else None
    chosen = next(result for seed, result in results.items() if scores[seed] == middle)
    summary = {"miou": scores, "median": statistics.median(known.values()) if known else None}
    (out / "seeds.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    seconds = sum(result.seconds for result in results.values())
    return replace(chosen, seconds=seconds, seeds=scores)


def _train_one(
    recipe: Recipe,
    seed: int,
    out: Path,
    resume: bool,
    on_progress: Callable[[int, int], None],
) -> TrainingResult:
    first = loop.rank() == 0
    if first:
        _require_folder(out, resume)
    catalogue = read_catalogue(recipe.catalogue)
    training, validation = (
        catalogue.split(name) for name in (recipe.data.train, recipe.data.validation)
    )
    recipe = settled(recipe, training)
    done = _steps_done(recipe, out) if resume else 0
    finished = out / "best.safetensors"
    if resume and finished.exists() and done == recipe.trainer.steps:
        return _read_result(finished)
    lightning.seed_everything(seed, verbose=False)
    task = SegmentationTask(recipe)
    windows = training_windows(recipe, training, seed, task.label_transform())
    side_by_side = validation_windows(recipe, validation)  # also checks that labels fit
    task.describe = windows.describe
    bundle = _describe(recipe, seed, training, validation)
    tiles = TileScores(
        bundle,
        validation,
        gsd=recipe.data.gsd,
        label_stride=recipe.data.label_stride,
        precision=recipe.trainer.precision if recipe.trainer.precision != "fp16" else "fp32",
    )
    shard = (loop.rank(), recipe.trainer.devices)
    checked: DataLoader[Any]
    if recipe.trainer.validation == "tiles":
        task.tiles = tiles
        checked = DataLoader(range(len(tiles.images))[shard[0] :: shard[1]], batch_size=None)  # type: ignore[arg-type]
    else:
        checked = DataLoader(side_by_side, 1, sampler=range(shard[0], len(side_by_side), shard[1]))
    if first:
        out.mkdir(parents=True, exist_ok=True)  # not before: what is refused leaves no run behind
        record.begin(out, recipe, done)
    best, seconds = loop.fit(
        task,
        training_batches(recipe, windows, done, shard),
        checked,
        out,
        resume=bool(done),
        on_progress=on_progress,
    )
    notes = (*windows.notes, *side_by_side.notes)
    if not first:
        return TrainingResult(finished, {}, seconds, notes=notes)
    chosen = torch.load(best, weights_only=True, map_location="cpu")
    task.load_state_dict(chosen["state_dict"])
    network = task.network.cpu().eval()
    bundle = replace(bundle, provenance={**bundle.provenance, "training_seconds": round(seconds)})
    save(finished, network, bundle, half=True)
    network, _ = load(finished)
    scores = _scores(tiles, network, bundle)
    save(finished, network, replace(bundle, scores=scores), half=True)
    record.end(out, recipe, network, side_by_side, scores)
    return TrainingResult(finished, scores, seconds, notes=notes)


def _scores(tiles: TileScores, network: torch.nn.Module, bundle: Bundle) -> dict[str, Any]:
    confusion = ConfusionMatrix(bundle.legend.names)
    for image in range(len(tiles.images)):
        confusion.add(tiles.count(network, image))
    return confusion.scores()


def _require_folder(out: Path, resume: bool) -> None:
    if not resume and (out / record.RECIPE).exists():
        raise OutputError(
            f"{out} already holds a run", remedy="add --resume, or name another folder by --out"
        )
    if resume and not (out / loop.LAST).is_file():
        raise OutputError(f"{out} holds no run to go on with", expected=f"a {loop.LAST} in it")


def _steps_done(recipe: Recipe, out: Path) -> int:
    """Steps of the run to go on with."""
    before = Recipe.model_validate(yaml.safe_load((out / record.RECIPE).read_text("utf-8")))
    if before != recipe:
        raise RecipeError(f"the run in {out} had another recipe", expected=out / record.RECIPE)
    last = torch.load(out / loop.LAST, weights_only=True, map_location="cpu")
    return int(last["global_step"])


def _read_result(model: Path) -> TrainingResult:
    """What a run that is done left behind."""
    _, bundle = load(model)
    seconds = float(bundle.provenance.get("training_seconds", 0))
    return TrainingResult(model, bundle.scores, seconds)


def _describe(recipe: Recipe, seed: int, training: Catalogue, validation: Catalogue) -> Bundle:
    """The Bundle of a network trained by a recipe, still without scores."""
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
        gsd=model.gsd,
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
