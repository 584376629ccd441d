"""The training tool: a recipe in, a run folder with a model file out."""

from __future__ import annotations

import errno
import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from rsseg import __version__
from rsseg.bundle import Bundle, read_bundle
from rsseg.data.catalogue import Catalogue
from rsseg.data.tables import read_catalogue
from rsseg.errors import OptionError, OutputError
from rsseg.export.stac_mlm import write_item
from rsseg.metrics import ConfusionMatrix
from rsseg.models import load, save
from rsseg.replacing import replacing
from rsseg.report import require_templates
from rsseg.training import loop, record
from rsseg.training.processes import rank
from rsseg.training.recipe import Recipe
from rsseg.training.resuming import recipe_of_run, require_folder, steps_done, without_weights
from rsseg.training.samples import (
    training_batches,
    training_windows,
    validation_numbers,
    validation_windows,
)
from rsseg.training.settling import settled
from rsseg.training.task import SegmentationTask
from rsseg.training.validation import TileScores, WindowScores, tile_scores

MODEL, ITEM = "best.safetensors", "best.stac.json"
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
        MissingExtra: If jinja2, which the report needs, is not installed.
    """
    require_templates()  # of the report at the end
    out, seeds = Path(out), recipe.trainer.seeds
    with _writing(out):
        if len(seeds) == 1:
            return _train_one(recipe, seeds[0], out, resume, on_progress)
        return _train_seeds(recipe, out, resume, on_progress)


def _train_seeds(
    recipe: Recipe, out: Path, resume: bool, on_progress: Callable[[int, int], None]
) -> TrainingResult:
    seeds = recipe.trainer.seeds
    if recipe.trainer.devices > 1:
        raise OptionError(
            "several seeds cannot be trained on several devices in one run",
            remedy="run them one after the other, e.g. --set 'trainer.seeds=[0]'",
        )
    folders = {seed: out / f"seed_{seed}" for seed in seeds}
    begun = {seed: (folder / record.RECIPE).exists() for seed, folder in folders.items()}
    require_folder(out, resume, any(begun.values()))
    results = {}
    for number, (seed, folder) in enumerate(folders.items()):
        trainer = recipe.trainer.model_copy(update={"seeds": (seed,)})
        results[seed] = _train_one(
            recipe.model_copy(update={"trainer": trainer}),
            seed,
            folder,
            begun[seed],
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
    with replacing(out / "seeds.json") as unfinished:
        unfinished.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    seconds = sum(result.seconds for result in results.values())
    return replace(chosen, seconds=seconds, seeds=scores)


def _train_one(
    recipe: Recipe,
    seed: int,
    out: Path,
    resume: bool,
    on_progress: Callable[[int, int], None],
) -> TrainingResult:
    shard = (rank(), recipe.trainer.devices)
    first = shard[0] == 0
    if first or resume:
        require_folder(out, resume, (out / record.RECIPE).exists())
    catalogue = read_catalogue(recipe.catalogue)
    training, validation = (
        catalogue.split(name) for name in (recipe.data.train, recipe.data.validation)
    )
    asked, recipe = recipe, recipe_of_run(recipe, out) if resume else settled(recipe, training)
    if resume and (out / MODEL).exists():
        return _read_result(out / MODEL)
    done = steps_done(out) if resume else 0
    trainer = loop.make_trainer(recipe, out, on_progress)
    torch.manual_seed(seed)
    task = SegmentationTask(without_weights(recipe) if done else recipe)
    windows = training_windows(recipe, training, seed, task.label_transform())
    side_by_side = validation_windows(recipe, validation)  # also checks that labels fit
    task.describe = windows.describe
    bundle = _describe(recipe, seed, training, validation)
    tiles = tile_scores(recipe, bundle, validation)
    tiles.require_predictable(task.network, recipe.trainer.device)
    by_tiles = recipe.trainer.validation == "tiles"
    task.scorer = tiles if by_tiles else WindowScores(recipe, side_by_side)
    if first:
        out.mkdir(parents=True, exist_ok=True)  # not before: what is refused leaves no run behind
        record.begin(out, asked, recipe, done)
    best, seconds = loop.fit(
        trainer,
        task,
        training_batches(recipe, windows, done, shard),
        validation_numbers(len(task.scorer), shard),
        resume=bool(done),
    )
    notes = (*windows.notes, *side_by_side.notes)
    if not first:
        return TrainingResult(out / MODEL, {}, seconds, notes=notes)
    chosen = torch.load(best, weights_only=True, map_location="cpu")
    task.load_state_dict(chosen["state_dict"])
    network = task.network.cpu().eval()
    bundle = replace(bundle, provenance={**bundle.provenance, "training_seconds": round(seconds)})
    with replacing(out / MODEL) as unfinished:  # its name is there once all of the run is
        save(unfinished, network, bundle, half=True)
        network, _ = load(unfinished)
        scores = _scores(tiles, network, bundle, recipe.trainer.device)
        decay = tiles.decay(network, recipe.trainer.device)
        save(unfinished, network, replace(bundle, scores=scores, decay=decay), half=True)
        write_item(unfinished, out / ITEM, href=f"./{MODEL}")
        record.end(out, recipe, network, side_by_side, scores)
    return TrainingResult(out / MODEL, scores, seconds, notes=notes)


def _scores(
    tiles: TileScores, network: torch.nn.Module, bundle: Bundle, device: str
) -> dict[str, Any]:
    confusion = ConfusionMatrix(bundle.legend.names)
    for image in range(len(tiles)):
        confusion.add(tiles.count(network, image, device))
    return confusion.scores()


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Tell a full disk and the like in one sentence."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"the run in {out} cannot go on: {error.strerror or error}",
            got=error.filename,
            remedy="free some space and go on with --resume"
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            else None,
        ) from error


def _read_result(model: Path) -> TrainingResult:
    """What a run that is done left behind."""
    bundle = read_bundle(model)
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
