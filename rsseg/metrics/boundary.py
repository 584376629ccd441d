"""Scores of the borders between classes, and truth without its borders.

Distances are Euclidean, in pixels, between pixel centres. A pixel of one class is *near another* if
a labelled pixel of another class lies within the distance. Unlabelled pixels and the edge of the
map are no class, so they make no borders.

Everything rests on one operation: combining the values of a disc around each pixel. The disc is put
together from rows of growing width, so a pixel costs ``4d`` steps on bytes for a distance of ``d``
pixels, whatever the number of classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.errors import OptionError
from rsseg.legend import NODATA
from rsseg.metrics.parts import absent_as_zero, choose, mean, number, ratio, require_indices

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def eroded(truth: Labels, distance: float) -> Labels:
    """A copy of a label map that is unlabelled near borders.

    The ISPRS semantic labelling benchmark scores maps by such a truth, eroded with a disc of radius
    3 pixels, because the borders of the truth are uncertain themselves.

    Args:
        truth: Class indices ``(H, W)``, 255 for none.
        distance: Pixels of another class within it make a pixel 255; at least 0.

    Returns:
        Class indices ``(H, W)``.

    Raises:
        OptionError: If the distance is negative or not finite.
        ValueError: If truth is not a uint8 map.
    """
    if truth.ndim != 2 or truth.dtype != np.uint8:
        raise ValueError(f"truth is {truth.dtype} {truth.shape}, not uint8 (H, W)")
    require_distance(distance, least=0)
    return np.where(_near_another(truth, distance), np.uint8(NODATA), truth)


class BoundaryCounts:
    """Border pixels by class, summed over maps or strips of maps.

    A *contour* pixel of a class has a pixel of another class to the left, right, top or bottom.
    Pixels whose truth is 255 are left out of both maps. A pixel without a prediction is of no
    class, but differs from all.

    Args:
        names: Class names by index, at most 254.
        distance: Tolerance of the F1 and width of the bands of the IoU, in pixels, at least 1.

    Raises:
        OptionError: If the distance is less than 1 or not finite, or there are too many classes.
    """

    def __init__(self, names: Sequence[str], distance: float) -> None:
        require_distance(distance, least=1)
        if len(names) >= NODATA:
            raise OptionError("too many classes", expected=f"up to {NODATA - 1}", got=len(names))
        self.names = tuple(names)
        self.distance = distance
        self._counts = {what: np.zeros(len(names), np.int64) for what in _COUNTED}

    @property
    def halo(self) -> int:
        """Rows that a strip needs beyond the counted ones, where the map has them."""
        return int(self.distance) + 1

    def update(
        self,
        truth: npt.NDArray[np.integer[Any]],
        prediction: npt.NDArray[np.integer[Any]],
        rows: slice | None = None,
    ) -> None:
        """Add a map, or a strip of one.

        Args:
            truth: Class indices ``(H, W)``, 255 for none.
            prediction: The same.
            rows: Those that count, all if None; the rest is there to see borders beyond. Strips
                with ``halo`` more rows above and below add up to exactly the whole map.

        Raises:
            ValueError: If the arrays are not two maps of one shape, or an index is neither a
                class nor 255.
        """
        if truth.ndim != 2 or truth.shape != prediction.shape:
            raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}")
        classes = len(self.names)
        labelled = truth != NODATA
        require_indices("truth", truth, classes)
        require_indices("prediction", prediction[labelled], classes)
        true = truth.astype(np.uint8)
        guess = prediction.astype(np.uint8)
        guess[guess == NODATA] = classes  # no prediction: one more class, without scores
        guess[~labelled] = NODATA

        inside = slice(None) if rows is None else rows
        self._count_contours(true, guess, inside)
        self._count_bands(true, guess, inside)

    def scores(self, classes: Sequence[str] | None = None) -> dict[str, Any]:
        """Boundary F1 and boundary IoU, from counts of all pixels.

        The F1 is that of Csurka et al. (2013, "What is a good evaluation measure for semantic
        segmentation?"): precision is the share of predicted contour pixels within the distance of
        a true one of the class, recall the reverse. The IoU is that of Cheng et al. (2021,
        "Boundary IoU"): of the pixels of each mask within the distance of the mask's outside.
        Both papers average over images, these are fractions of sums.

        Args:
            classes: Names of the classes that the means are taken over; all if None.

        Returns:
            ``boundary_f1, boundary_iou`` (macro means) and ``classes`` by name with the same. A
            class with a border on one side only scores 0, a class without any (absent, or alone)
            is None and in no mean.

        Raises:
            OptionError: If ``classes`` is empty or names a class that is not there.
        """
        chosen = choose(self.names, classes)
        n = self._counts
        occurs = n["true_contour"] + n["guessed_contour"] > 0
        precision = absent_as_zero(ratio(n["guessed_contour_met"], n["guessed_contour"]), occurs)
        recall = absent_as_zero(ratio(n["true_contour_met"], n["true_contour"]), occurs)
        f1 = absent_as_zero(ratio(2 * precision * recall, precision + recall), occurs)
        union = n["true_band"] + n["guessed_band"] - n["shared_band"]
        columns = {
            "boundary_f1": f1,
            "boundary_iou": ratio(n["shared_band"], union),
        }
        rows = {
            name: {key: number(values[i]) for key, values in columns.items()}
            for i, name in enumerate(self.names)
        }
        return {key: mean(values[chosen]) for key, values in columns.items()} | {"classes": rows}

    def _count_contours(self, true: Labels, guess: Labels, inside: slice) -> None:
        """Contour pixels, and those that meet the other map's contour, eight classes at a time."""
        on_true, on_guess = _near_another(true, 1), _near_another(guess, 1)
        self._add("true_contour", true, on_true, inside)
        self._add("guessed_contour", guess, on_guess, inside)
        for first in range(0, len(self.names), 8):
            bit = np.zeros(256, np.uint8)
            last = min(first + 8, len(self.names))
            bit[first:last] = 1 << np.arange(last - first)
            true_bits, guessed_bits = bit[true] * on_true, bit[guess] * on_guess
            around = _over_disc(np.bitwise_or, true_bits, self.distance)
            self._add("guessed_contour_met", guess, (around & guessed_bits) > 0, inside)
            around = _over_disc(np.bitwise_or, guessed_bits, self.distance)
            self._add("true_contour_met", true, (around & true_bits) > 0, inside)

    def _count_bands(self, true: Labels, guess: Labels, inside: slice) -> None:
        in_true = _near_another(true, self.distance)
        in_guess = _near_another(guess, self.distance)
        self._add("true_band", true, in_true, inside)
        self._add("guessed_band", guess, in_guess, inside)
        self._add("shared_band", true, in_true & in_guess & (true == guess), inside)

    def _add(self, what: str, labels: Labels, where: Mask, inside: slice) -> None:
        classes = len(self.names)
        found = np.bincount(labels[inside][where[inside]], minlength=classes)[:classes]
        self._counts[what] += found


def boundary_scores(
    truth: npt.NDArray[np.integer[Any]],
    prediction: npt.NDArray[np.integer[Any]],
    names: Sequence[str],
    distance: float,
) -> dict[str, Any]:
    """The scores of one map, see `BoundaryCounts`."""
    counts = BoundaryCounts(names, distance)
    counts.update(truth, prediction)
    return counts.scores()


def require_distance(distance: float, *, least: int) -> None:
    """Refuse a distance in pixels that is too small or not finite.

    Raises:
        OptionError: If it is.
    """
    if not least <= distance < math.inf:
        raise OptionError("unusable distance", expected=f"at least {least} pixels", got=distance)


_COUNTED = (
    "true_contour",
    "true_contour_met",
    "guessed_contour",
    "guessed_contour_met",
    "true_band",
    "guessed_band",
    "shared_band",
)


def _near_another(labels: Labels, distance: float) -> Mask:
    """Where a labelled pixel has one of another class within the distance, bool ``(H, W)``."""
    labelled = labels != NODATA
    least = _over_disc(np.minimum, labels, distance)  # 255 is above all classes
    most = _over_disc(np.maximum, labels * labelled, distance)  # 0 is not above the pixel's own
    near: Mask = (least != most) & labelled
    return near


def _over_disc(combine: np.ufunc, values: Labels, distance: float) -> Labels:
    """Combine all values within a distance of each pixel ``(H, W)``; beyond the edges are none.

    Args:
        combine: Minimum, maximum or bitwise or: a value may be combined more than once.
        values: What to combine, ``(H, W)``.
        distance: Radius of the disc in pixels.
    """
    height, width = values.shape
    combined, wide = values.copy(), values.copy()
    half = 0  # wide combines this many columns on each side
    for away in range(min(int(distance), height - 1), -1, -1):
        while math.hypot(half + 1, away) <= distance and half + 1 < width:
            half += 1
            combine(wide[:, half:], values[:, :-half], out=wide[:, half:])
            combine(wide[:, :-half], values[:, half:], out=wide[:, :-half])
        combine(combined[away:], wide[: height - away], out=combined[away:])
        combine(combined[: height - away], wide[away:], out=combined[: height - away])
    return combined
