"""The training tool: a recipe in, a run folder with a model file out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from rsseg.bundle import Bundle, read_bundle
from rsseg.data.tables import read_catalogue, row_of
from rsseg.errors import CatalogueError, OutputError
from rsseg.export.stac_mlm import write_item
from rsseg.metrics import ConfusionMatrix
from rsseg.models import load, save
from rsseg.replacing import replacing
from rsseg.report import require_templates
from rsseg.training import loop, record
from rsseg.training.checkpoints import MODEL
from rsseg.training.describing import described
from rsseg.training.doubts import doubts
from rsseg.training.failures import remedy
from rsseg.training.processes import rank, require_launcher, started_outside
from rsseg.training.recipe import Recipe
from rsseg.training.resuming import (
    recipe_of_run,
    require_folder,
    require_scenes,
    steps_done,
    without_weights,
)
from rsseg.training.samples import (
    training_batches,
    training_windows,
    validation_numbers,
    validation_windows,
)
from rsseg.training.seeds import SEEDS, middle_of, summarise
from rsseg.training.settling import settled
from rsseg.training.task import SegmentationTask
from rsseg.training.validation import TileScores, WindowScores, tile_scores

ITEM = "best.stac.json"


@dataclass(frozen=True)
class TrainingResult:
    """What a run left behind.

    Args:
        model: The model file of the best validation; of several seeds that of the median score, in
            all processes but the first the run folder.
        scores: Its scores on the validation split, see `ConfusionMatrix.scores`; empty in all
            processes but the first.
        seconds: Wall time of the training.
        seeds: Scores by seed, where there are several.
        medians: What ``seeds.json`` has of them, empty for one seed; see `rsseg.training.seeds`.
        notes: What the user should know of the recipe and the data.
    """

    model: Path
    scores: dict[str, Any]
    seconds: float
    seeds: dict[int, dict[str, Any]] = field(default_factory=dict)
    medians: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def train(
    recipe: Recipe,
    out: str | Path,
    resume: bool = False,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> TrainingResult:
    """Train by a recipe and keep the weights that scored best on the validation split.

    Args:
        recipe: The whole run.
        out: Run folder, made if missing: see `rsseg.training.record`. With several seeds it has a
            folder ``seed_N`` for each and ``seeds.json``.
        resume: Go on from the last whole checkpoint with the windows that come next, or begin
            where there is no run yet. Seeds that are done stay as they are.
        on_progress: Called with steps done and steps in all.
        on_note: Called in the first process with each note of the result as soon as it is known.

    Raises:
        OutputError: If the run folder is none, already holds a run that is not to go on, or one of
            a single seed where several are asked for or the reverse, or cannot be written.
        RecipeError: If the run to go on with had another recipe or other scenes.
        TrainingError: If the loss is not finite, the run is interrupted or a checkpoint damaged.
        CatalogueError: If the catalogue is wrong.
        OptionError: If an option of the network or the loss is wrong, or who started the processes
            is not known.
        BundleError: If the weights to start from cannot be had or do not fit.
        MissingExtra: If jinja2, which the report needs, is not installed.
    """
    require_templates()  # of the report at the end
    out, seeds = Path(out), recipe.trainer.seeds
    told: list[str] = []

    def note(text: str) -> None:
        if rank() == 0 and text not in told:
            told.append(text)
            on_note(text)

    with _writing(out):
        if rank() == 0:
            require_folder(out, resume, several=len(seeds) > 1)
        if len(seeds) == 1:
            result = _train_one(recipe, seeds[0], out, resume, on_progress, note)
        else:
            result = _train_seeds(recipe, out, resume, on_progress, note)
    return replace(result, notes=tuple(told))


def _train_seeds(
    recipe: Recipe,
    out: Path,
    resume: bool,
    on_progress: Callable[[int, int], None],
    on_note: Callable[[str], None],
) -> TrainingResult:
    seeds, results = recipe.trainer.seeds, {}
    require_launcher(recipe.trainer.devices)
    for number, seed in enumerate(seeds):
        folder = out / f"seed_{seed}"
        if rank() and (folder / MODEL).exists():
            continue  # the first process is done with it
        trainer = recipe.trainer.model_copy(update={"seeds": (seed,)})
        results[seed] = _train_one(
            recipe.model_copy(update={"trainer": trainer}),
            seed,
            folder,
            resume,
            lambda done, total, before=number: on_progress(  # type: ignore[misc]
                before * total + done, len(seeds) * total
            ),
            on_note,
            more=seed != seeds[-1],
        )
        if rank() and not started_outside():
            break  # the first process starts others for the next seed
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    if rank():
        return TrainingResult(out, {}, 0.0)
    scores = {seed: result.scores for seed, result in results.items()}
    summary = summarise(scores)
    with replacing(out / SEEDS) as unfinished:
        unfinished.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    return replace(
        results[middle_of(scores)],
        seconds=sum(result.seconds for result in results.values()),
        seeds=scores,
        medians=summary["median"],
    )


def _train_one(
    recipe: Recipe,
    seed: int,
    out: Path,
    resume: bool,
    on_progress: Callable[[int, int], None],
    on_note: Callable[[str], None],
    *,
    more: bool = False,
) -> TrainingResult:
    shard = (rank(), recipe.trainer.devices)
    first = shard[0] == 0
    resume = resume and (out / record.RECIPE).exists()
    if not recipe.catalogue.is_file():
        raise CatalogueError(
            f"there is no catalogue {recipe.catalogue}",
            remedy="prepare the data, or say where they lie by --set data.root=FOLDER",
        )
    catalogue = read_catalogue(recipe.catalogue)
    training, validation = (
        catalogue.split(name) for name in (recipe.data.train, recipe.data.validation)
    )
    asked, recipe = recipe, recipe_of_run(recipe, out) if resume else settled(recipe, training)
    if resume and (out / MODEL).exists():
        return _read_result(out / MODEL) if first else TrainingResult(out / MODEL, {}, 0.0)
    scenes = [row_of(scene, recipe.catalogue.parent) for scene in (*training, *validation)]
    if resume:
        require_scenes(out, scenes)
    done = steps_done(out) if resume else 0
    trainer = loop.make_trainer(recipe, out, on_progress)
    torch.manual_seed(seed)
    begins = without_weights(recipe) if done else recipe
    task = SegmentationTask(begins)
    for doubt in doubts(begins):
        on_note(doubt)
    windows = training_windows(recipe, training, seed, task.label_transform())
    side_by_side = validation_windows(recipe, validation)  # also checks that labels fit
    task.describe = windows.describe
    bundle = described(recipe, seed, training, validation)
    tiles = tile_scores(recipe, bundle, validation)
    tiles.require_predictable(task.network, recipe.trainer.device)
    by_tiles = recipe.trainer.validation == "tiles"
    task.scorer = tiles if by_tiles else WindowScores(recipe, side_by_side)
    if first:
        out.mkdir(parents=True, exist_ok=True)  # not before: what is refused leaves no run behind
        record.begin(out, asked, recipe, scenes, done)
    for note in (*windows.notes, *side_by_side.notes):
        on_note(note)
    best, seconds = loop.fit(
        trainer,
        task,
        training_batches(recipe, windows, done, shard),
        validation_numbers(len(task.scorer), shard),
        resume=bool(done),
        stay=more and started_outside(),
    )
    if not first:
        return TrainingResult(out / MODEL, {}, seconds)
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
    for note in _absent(scores):
        on_note(note)
    return TrainingResult(out / MODEL, scores, seconds)


def _absent(scores: dict[str, Any]) -> Iterator[str]:
    """What to know of classes that cannot be validated."""
    names = [name for name, row in scores["classes"].items() if not row["pixels"]]
    if names:
        yield (
            f"no pixel to validate on is {' or '.join(names)}: a single one mapped so gives IoU 0, "
            "which lowers the mean"
        )


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
            remedy=remedy(error),
        ) from error


def _read_result(model: Path) -> TrainingResult:
    """What a run that is done left behind."""
    bundle = read_bundle(model)
    seconds = float(bundle.provenance.get("training_seconds", 0))
    return TrainingResult(model, bundle.scores, seconds)
