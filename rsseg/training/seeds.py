"""What several seeds of one recipe scored, and the median of each score.

Feng et al. 2020 report pixel accuracy and mean IoU "using the median of 3 runs".
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

SEEDS = "seeds.json"
MEANS = ("miou", "oa", "f1")
"""Scores over all classes: mean IoU, pixel accuracy, mean F1."""
OF_CLASSES = ("iou", "f1")
"""Scores of each class."""

Scores = Mapping[str, Any]


def summarise(scores: Mapping[int, Scores]) -> dict[str, Any]:
    """Scores by seed and their medians, as ``seeds.json`` holds them.

    Each median is that of its own score, so all of them need not be of one run.

    Args:
        scores: `ConfusionMatrix.scores` by seed, at least one.

    Returns:
        ``seeds`` and ``median``; both hold `MEANS` and by class name `OF_CLASSES`, None where no
        run has that score.
    """
    chosen = {seed: _chosen(each) for seed, each in scores.items()}
    first = next(iter(chosen.values()))
    return {
        "seeds": {str(seed): each for seed, each in chosen.items()},
        "median": {
            **{key: _median(each[key] for each in chosen.values()) for key in MEANS},
            "classes": {
                name: {
                    key: _median(each["classes"][name][key] for each in chosen.values())
                    for key in OF_CLASSES
                }
                for name in first["classes"]
            },
        },
    }


def middle_of(scores: Mapping[int, Scores]) -> int:
    """The seed whose mean IoU is the median; of an even number the lower one of the two."""
    known = {seed: each["miou"] for seed, each in scores.items() if each["miou"] is not None}
    if not known:
        return next(iter(scores))
    middle = statistics.median_low(known.values())
    return next(seed for seed, score in known.items() if score == middle)


def _chosen(scores: Scores) -> dict[str, Any]:
    classes = {
        name: {key: row[key] for key in OF_CLASSES} for name, row in scores["classes"].items()
    }
    return {**{key: scores[key] for key in MEANS}, "classes": classes}


def _median(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
