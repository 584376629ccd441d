"""Scores by class and the confusion matrix, as the tables of a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.report.wording import NOTHING, count, score, share

MOST_CLASSES = 30
"""A confusion matrix shows so many classes at most, those with the most truth."""

_MISTAKES = 5
_NAMES = {
    "iou": "IoU",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "boundary_f1": "boundary F1",
    "boundary_iou": "boundary IoU",
}
_OVERALL = {
    "oa": "overall accuracy",
    "miou": "mean IoU",
    "f1": "mean F1",
    "mean_accuracy": "mean accuracy",
    "kappa": "kappa",
    "fwiou": "weighted IoU",
    "boundary_f1": "boundary F1",
    "boundary_iou": "boundary IoU",
    "unpredicted": "unpredicted",
}


@dataclass(frozen=True)
class ScoreTable:
    """Scores of all classes, and those of the whole.

    Args:
        caption: What was scored.
        columns: Headings.
        rows: Name, colour (``#rrggbb`` or None) and a text for each column.
        overall: Names and texts of the scores of the whole.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str | None, tuple[str, ...]], ...]
    overall: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix: its text, its part of the row, and how it is read aloud."""

    text: str
    part: float
    told: str


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix.

    Args:
        columns: Names of the classes, perhaps with ``unpredicted`` last.
        rows: Name of the true class and its cells.
        left_out: Classes that were too many to show.
        mistakes: The commonest mistakes, a sentence each.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    left_out: int
    mistakes: tuple[str, ...]


def score_table(
    scores: Mapping[str, Any], colours: Mapping[str, str], caption: str, unit: str = "pixels"
) -> ScoreTable:
    """Scores as `rsseg.metrics.ConfusionMatrix.scores` gives them, also those of borders.

    Classes that occur neither in truth nor in the prediction are left out.
    """
    keys = [key for key in _NAMES if any(key in row for row in scores["classes"].values())]
    rows = tuple(
        (name, colours.get(name), (*(score(row.get(key)) for key in keys), count(row["pixels"])))
        for name, row in scores["classes"].items()
        if row["pixels"] or any(row.get(key) is not None for key in keys)
    )
    overall = tuple((label, score(scores[key])) for key, label in _OVERALL.items() if key in scores)
    return ScoreTable(caption, (*(_NAMES[key] for key in keys), unit), rows, overall)


def confusion_table(scores: Mapping[str, Any], unit: str = "pixels") -> Confusion | None:
    """The confusion matrix, each row as shares of the class's truth; None if nothing was scored."""
    counts = np.array(scores["confusion"], np.int64)
    names = [*scores["classes"], "unpredicted"]
    seen = np.flatnonzero(counts[:, :-1].any(axis=0) | counts.any(axis=1))
    if not counts.any():
        return None
    ranked = seen[np.argsort(-counts[seen].sum(axis=1), kind="stable")]
    shown = np.sort(ranked[:MOST_CLASSES])
    columns = [*shown.tolist(), *([len(names) - 1] if counts[:, -1].any() else [])]
    rows = tuple(
        (names[row], tuple(_cell(counts, names, row, column, unit) for column in columns))
        for row in shown
    )
    return Confusion(
        tuple(names[column] for column in columns),
        rows,
        len(seen) - len(shown),
        tuple(_mistakes(counts, names)),
    )


def _cell(
    counts: npt.NDArray[np.int64], names: list[str], row: int, column: int, unit: str
) -> Cell:
    total = int(counts[row].sum())
    if not total:
        return Cell(NOTHING, 0.0, f"{names[row]} has no truth")
    part = float(counts[row, column] / total)
    text = "" if not counts[row, column] else "<0.1" if part < 0.0005 else f"{100 * part:.1f}"
    return Cell(text, part, f"{share(part)} of {names[row]}, {count(counts[row, column])} {unit}")


def _mistakes(counts: npt.NDArray[np.int64], names: list[str]) -> list[str]:
    wrong = counts.copy()
    wrong[np.arange(len(wrong)), np.arange(len(wrong))] = 0
    told = []
    for place in np.argsort(-wrong, axis=None, kind="stable")[:_MISTAKES]:
        row, column = np.unravel_index(place, wrong.shape)
        if not wrong[row, column]:
            break
        taken = "not classified" if column == len(wrong) else f"taken for {names[column]}"
        part = share(float(wrong[row, column] / counts[row].sum()))
        told.append(f"{part} of {names[row]} was {taken}")
    return told
