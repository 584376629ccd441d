"""What the tables of trained networks share: missing runs, their scores on a test split, Markdown.

A table has a folder for each run: a run folder of ``rsseg train`` with ``test.json`` beside its own
files, the scores of its model on scenes that neither trained nor chose it.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rsseg.data.catalogue import Catalogue
from rsseg.data.tables import read_catalogue
from rsseg.legend import NODATA
from rsseg.metrics import BoundaryCounts, ConfusionMatrix, eroded
from rsseg.models import load
from rsseg.replacing import replacing
from rsseg.training import Recipe, train
from rsseg.training.logs import VALIDATIONS
from rsseg.training.record import RECIPE
from rsseg.training.task import SCORE
from rsseg.training.train import MODEL
from rsseg.training.validation import tile_scores

TEST = "test.json"
SPLITS = ("train", "val", "test")
"""Train the weights, choose among them, score them."""
TOLERANCE = 3.0
"""Of the boundary scores, pixels."""
NEAR = 8.0
"""What counts as near another class, pixels."""
_TOLD = 50
"""Steps between lines of the log."""


@dataclass(frozen=True)
class Budget:
    """What every run of a table may use.

    Args:
        steps: Of training.
        batch: Windows in a step.
        seeds: A run for each.
        device: As of recipes.
        workers: As of recipes.
    """

    steps: int
    batch: int
    seeds: tuple[int, ...]
    device: str
    workers: int


Result = dict[str, Any]
"""What ``test.json`` holds: ``scores``, ``boundary``, ``by_group`` and how the run was made."""
Course = list[tuple[int, float]]
"""Of one run: steps, and the mean IoU of the validation then."""


def parser_of(about: str, out: Path, *, alone: bool = False) -> argparse.ArgumentParser:
    """What the script of a table takes: folder of the runs, start, budget, what to write.

    Args:
        about: Its docstring, the first line of which is for help.
        out: Markdown file to write if none is named.
        alone: Whether it may be called without a folder.
    """
    parser = argparse.ArgumentParser(description=about.split("\n", maxsplit=1)[0])
    needed = {"nargs": "?"} if alone else {}
    parser.add_argument("runs", type=Path, help="folder of the run folders", **needed)
    parser.add_argument("--weights", type=Path, help="ImageNet weights of the encoder")
    parser.add_argument("--reduced", action="store_true", help="fewer and shorter runs: for a CPU")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, default=out, help="Markdown file to write")
    return parser


def complete(recipe: Recipe, out: Path, name: str) -> None:
    """Bring a run to its end from wherever it is, and score it.

    Args:
        recipe: The whole run, with one seed.
        out: Its folder, made if missing.
        name: For the log.

    Raises:
        RssegError: As `rsseg.training.train`; also if a run there had another recipe.
    """
    begun = time.monotonic()

    def tell(done: int, total: int) -> None:
        if done % _TOLD == 0 or done == total:
            print(f"{name}: {done} of {total} steps, {time.monotonic() - begun:.0f} s", flush=True)

    result = train(recipe, out, (out / RECIPE).exists(), on_progress=tell)
    if (out / TEST).exists():
        return
    test = read_catalogue(recipe.catalogue).split(SPLITS[2])
    found = test_scores(recipe, out, test)
    found |= {
        "steps": recipe.trainer.steps,
        "batch": recipe.data.batch_size,
        "window": recipe.data.window,
        "precision": recipe.trainer.precision,
        "seconds": round(result.seconds),
        "machine": json.loads((out / "environment.json").read_text("utf-8")),
    }
    with replacing(out / TEST) as unfinished:
        unfinished.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"{name}: mIoU {found['scores']['miou']:.4f} on the test split", flush=True)


def test_scores(recipe: Recipe, out: Path, test: Catalogue) -> Result:
    """Score a run's model on whole scenes, as ``rsseg predict`` maps them.

    Args:
        recipe: The whole run.
        out: Its folder.
        test: Labelled scenes.

    Returns:
        ``scores`` (`ConfusionMatrix.scores`), ``near`` (the same of pixels within `NEAR` pixels of
        another class), ``boundary`` (`BoundaryCounts.scores`), and ``by_group``: the first of each
        group of scenes by itself.
    """
    network, bundle = load(out / MODEL)
    names, tiles = bundle.legend.names, tile_scores(recipe, bundle, test)
    borders, near = BoundaryCounts(names, TOLERANCE), ConfusionMatrix(names)
    groups = {scene.group: ConfusionMatrix(names) for scene in test}
    for number in range(len(tiles)):
        strips = tiles.strips(network, number, recipe.trainer.device)
        for scene, parts in groupby(strips, key=lambda strip: strip[0]):
            pairs = [(truth, predicted) for _, truth, predicted in parts]
            truth, predicted = (np.concatenate(maps) for maps in zip(*pairs, strict=True))
            groups[scene.group].update(truth, predicted)
            near.update(np.where(eroded(truth, NEAR) == NODATA, truth, NODATA), predicted)
            borders.update(truth, predicted)
    return {
        "scores": total(groups.values()).scores(),
        "near": near.scores(),
        "boundary": borders.scores(),
        "by_group": {group: part.scores() for group, part in sorted(groups.items())},
    }


def total(parts: Iterable[ConfusionMatrix]) -> ConfusionMatrix:
    """The sum of some confusion matrices, at least one."""
    first, *others = parts
    summed = ConfusionMatrix(first.names)
    for part in (first, *others):
        summed.add(part.matrix)
    return summed


def results(folder: Path, runs: Iterable[str]) -> list[Result]:
    """The results of those runs of a row that are there."""
    files = [folder / run / TEST for run in runs]
    return [json.loads(file.read_text("utf-8")) for file in files if file.exists()]


def validations(folder: Path, runs: Iterable[str]) -> list[Course]:
    """Steps and mean IoU of the validations of those runs of a row that are there."""
    found = []
    for run in runs:
        if (folder / run / TEST).exists():
            with (folder / run / VALIDATIONS).open(encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file)
                found.append([(int(row["step"]), float(row[SCORE])) for row in rows])
    return found


def kept(course: Course) -> int:
    """Steps after which the weights were the best, which are those that are scored."""
    return max(course, key=lambda point: point[1])[0]


def wobble(courses: Iterable[Course]) -> float | None:
    """Median change of the mean IoU from one validation of a run to the next, in points."""
    changes = [
        100 * abs(after - before)
        for course in courses
        for (_, before), (_, after) in pairwise(course)
    ]
    return statistics.median(changes) if changes else None


def middle(
    found: Sequence[Result], score: Callable[[Result], float | None], digits: int = 1
) -> str:
    """Median of a score in per cent, with least and greatest of several; a dash if there is none.

    Args:
        found: Results of a row, one for each seed.
        score: Takes the score, 0-1, out of a result.
        digits: After the point.
    """
    values = [100 * value for each in found if (value := score(each)) is not None]
    if not values:
        return "–"
    text = f"{statistics.median(values):.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):.{digits}f}–{max(values):.{digits}f})"
    return text


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, with an empty one after it."""
    lines = [heading, ["---"] * len(heading), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines] + [""]


def how(found: Iterable[Result], wanted: int) -> str:
    """One sentence on the runs of a table: how many there are, how long, and where made."""
    found = list(found)
    if not found:
        return f"None of {wanted} runs is there yet."
    machines = sorted({_machine(each) for each in found})
    hours = sum(each["seconds"] for each in found) / 3600
    missing = wanted - len(found)
    there = "All" if not missing else f"{len(found)} of"
    return (
        f"{there} {wanted} runs are there{f', {missing} missing' if missing else ''}: "
        f"{hours:.1f} hours of training in all, on {' and '.join(machines)}."
    )


def _machine(result: Result) -> str:
    machine = result["machine"]
    gpus = machine["gpus"]
    threads = machine["threads"]
    where = gpus[0] if gpus else f"{threads} core{'s' if threads > 1 else ''} of a processor"
    return f"{where} ({result['precision']}, torch {machine['packages']['torch']})"
