"""Scores from one confusion matrix of summed pixels, as the field reports them.

All scores are fractions 0-1. IoU and F1 come from the matrix of the whole test set, never from
averages over images or batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.legend import NODATA


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
        predicted = columns != NODATA
        for what, values in (("truth", rows), ("prediction", columns[predicted])):
            if values.size and not (values.min() >= 0 and values.max() < classes):
                raise ValueError(f"{what} holds indices outside 0-{classes - 1} and {NODATA}")
        columns[~predicted] = classes
        counts = np.bincount(rows * (classes + 1) + columns, minlength=self.matrix.size)
        self.matrix += counts.reshape(self.matrix.shape)

    def scores(self) -> dict[str, Any]:
        """All scores; classes absent from truth and prediction are None and in no mean.

        Returns:
            ``oa, miou, mean_accuracy, kappa, f1, f1_of_means, precision, recall`` (macro means;
            ``mean_accuracy`` is the mean of per-class recall; ``f1_of_means`` is the harmonic
            mean of mean precision and mean recall), ``unpredicted`` (share of labelled pixels),
            ``classes`` by name with ``iou, f1, precision, recall, accuracy`` (one-vs-rest) and
            ``pixels``, and ``confusion`` as nested lists.
        """
        counts = self.matrix.astype(np.float64)
        total = counts.sum()
        hit = counts[:, :-1].diagonal()
        truth, predicted = counts.sum(axis=1), counts[:, :-1].sum(axis=0)
        seen = truth + predicted > 0
        columns = {
            "iou": _ratio(hit, truth + predicted - hit),
            "f1": _ratio(2 * hit, truth + predicted),
            "precision": _absent_as_zero(_ratio(hit, predicted), seen),
            "recall": _absent_as_zero(_ratio(hit, truth), seen),
            "accuracy": np.where(seen, _ratio(total - truth - predicted + 2 * hit, total), np.nan),
        }
        means = {name: _mean(values) for name, values in columns.items()}
        precision, recall = means["precision"], means["recall"]
        chance = _number((truth * predicted).sum() / total**2) if total else None
        oa = _number(hit.sum() / total) if total else None
        return {
            "oa": oa,
            "miou": means["iou"],
            "mean_accuracy": recall,
            "kappa": None
            if oa is None or chance is None or chance == 1
            else (oa - chance) / (1 - chance),
            "f1": means["f1"],
            "f1_of_means": _harmonic(precision, recall),
            "precision": precision,
            "recall": recall,
            "unpredicted": _number(counts[:, -1].sum() / total) if total else None,
            "classes": {
                name: {key: _number(values[i]) for key, values in columns.items()}
                | {"pixels": int(truth[i])}
                for i, name in enumerate(self.names)
            },
            "confusion": self.matrix.tolist(),
        }


def _ratio(
    part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64] | np.float64
) -> npt.NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.true_divide(part, whole))


def _absent_as_zero(
    values: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """A class that occurs, but was never predicted (or only predicted), scores 0, not NaN."""
    return np.where(seen & np.isnan(values), 0.0, values)


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return _number(known.mean()) if known.size else None


def _number(value: float | np.floating[Any]) -> float | None:
    return None if np.isnan(value) else float(value)


def _harmonic(a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return None
    return 0.0 if a + b == 0 else 2 * a * b / (a + b)
