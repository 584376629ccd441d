"""Scores from one confusion matrix of summed pixels, as the field reports them.

All scores are fractions 0-1. IoU and F1 come from the matrix of the whole test set, never from
averages over images or batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.legend import NODATA
from rsseg.metrics.parts import (
    absent_as_zero,
    choose,
    harmonic,
    mean,
    number,
    ratio,
    require_indices,
    weighted_mean,
)


class ConfusionMatrix:
    """Pixel counts by true class (row) and predicted class (column), ``(K, K + 1)`` int64.

    The last column counts labelled pixels without a prediction: they are part of a class's
    truth, and of no class's predictions.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.matrix: npt.NDArray[np.int64] = np.zeros((len(names), len(names) + 1), np.int64)

    def update(
        self, truth: npt.NDArray[np.integer[Any]], prediction: npt.NDArray[np.integer[Any]]
    ) -> None:
        """Add pixels; both arrays hold class indices, any equal shape, 255 for none.

        Pixels whose truth is 255 are left out.

        Raises:
            ValueError: If shapes differ or an index is neither a class nor 255.
        """
        if truth.shape != prediction.shape:
            raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}")
        classes = len(self.names)
        labelled = truth != NODATA
        rows = truth[labelled].astype(np.int64)
        columns = prediction[labelled].astype(np.int64)
        require_indices("truth", rows, classes)
        require_indices("prediction", columns, classes)
        columns[columns == NODATA] = classes
        counts = np.bincount(rows * (classes + 1) + columns, minlength=self.matrix.size)
        self.matrix += counts.reshape(self.matrix.shape)

    def add(self, matrix: npt.NDArray[np.integer[Any]]) -> None:
        """Add pixels that were counted elsewhere.

        Args:
            matrix: Counts by true class (row) and predicted class (column), ``(K, K + 1)`` as in
                ``matrix``, or ``(K, K)`` if every pixel has a prediction.

        Raises:
            ValueError: If it has another shape, or holds anything but counts.
        """
        classes = len(self.names)
        counts = np.asarray(matrix)
        if counts.shape not in ((classes, classes), (classes, classes + 1)):
            raise ValueError(
                f"counts of {classes} classes are ({classes}, {classes}) or "
                f"({classes}, {classes + 1}), not {counts.shape}"
            )
        if not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
            raise ValueError("counts are integers from 0")
        self.matrix[:, : counts.shape[1]] += counts.astype(np.int64)

    def scores(self, classes: Sequence[str] | None = None) -> dict[str, Any]:
        """All scores; classes absent from truth and prediction are None and in no mean.

        Args:
            classes: Names of the classes that the means are taken over; all if None. Feng et al.
                (2020), for one, average five of the six classes of the ISPRS maps. The pixels of
                the others still count in ``oa``, ``kappa``, ``unpredicted``, the rows of
                ``classes`` and ``confusion``.

        Returns:
            ``oa, miou, mean_accuracy, kappa, f1, f1_of_means, precision, recall, fwiou`` (macro
            means; ``mean_accuracy`` is the mean of per-class recall; ``f1_of_means`` is the
            harmonic mean of mean precision and mean recall; ``fwiou`` weights each IoU by the
            class's share of the true pixels, Long et al. 2015), ``unpredicted`` (share of
            labelled pixels), ``classes`` by name with ``iou, f1, precision, recall, accuracy``
            (one-vs-rest) and ``pixels``, and ``confusion`` as nested lists.

        Raises:
            OptionError: If ``classes`` is empty or names a class that is not there.
        """
        chosen = choose(self.names, classes)
        counts = self.matrix.astype(np.float64)
        total = counts.sum()
        hit = counts[:, :-1].diagonal()
        truth, predicted = counts.sum(axis=1), counts[:, :-1].sum(axis=0)
        seen = truth + predicted > 0
        columns = {
            "iou": ratio(hit, truth + predicted - hit),
            "f1": ratio(2 * hit, truth + predicted),
            "precision": absent_as_zero(ratio(hit, predicted), seen),
            "recall": absent_as_zero(ratio(hit, truth), seen),
            "accuracy": np.where(seen, ratio(total - truth - predicted + 2 * hit, total), np.nan),
        }
        means = {name: mean(values[chosen]) for name, values in columns.items()}
        precision, recall = means["precision"], means["recall"]
        chance = number((truth * predicted).sum() / total**2) if total else None
        oa = number(hit.sum() / total) if total else None
        return {
            "oa": oa,
            "miou": means["iou"],
            "mean_accuracy": recall,
            "kappa": None
            if oa is None or chance is None or chance == 1
            else (oa - chance) / (1 - chance),
            "f1": means["f1"],
            "f1_of_means": harmonic(precision, recall),
            "precision": precision,
            "recall": recall,
            "fwiou": weighted_mean(columns["iou"][chosen], truth[chosen]),
            "unpredicted": number(counts[:, -1].sum() / total) if total else None,
            "classes": {
                name: {key: number(values[i]) for key, values in columns.items()}
                | {"pixels": int(truth[i])}
                for i, name in enumerate(self.names)
            },
            "confusion": self.matrix.tolist(),
        }
