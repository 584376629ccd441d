"""What a sample of points says about a whole map: accuracies and areas with their uncertainty.

The map's classes are the strata. Points are drawn at random in each, as many as one likes, and
their true class is looked up; each point then stands for its share of the mapped area. The
equations are those of Olofsson et al. (2014), "Good practices for estimating area and assessing
accuracy of land change", Remote Sensing of Environment 148, 42-57.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.errors import OptionError
from rsseg.metrics.parts import Floats, number

_Z = 1.96
"""Normal quantile of a 95 % confidence interval, as in the paper."""


def stratified_accuracy(
    counts: npt.NDArray[np.integer[Any]],
    areas: npt.NDArray[np.floating[Any]] | Sequence[float],
    names: Sequence[str],
) -> dict[str, Any]:
    """Accuracies and areas of a map, estimated from a stratified random sample of points.

    An estimate is a dict of ``estimate``, ``standard_error`` and ``interval``, the 95 % confidence
    interval as ``[low, high]``: 1.96 standard errors to each side, but not beyond 0, 1 or the whole
    area. What the sample does not tell is None: all that depends on a mapped class without a point,
    every standard error that depends on one with a single point, the user's accuracy of a class
    that is mapped nowhere, the producer's accuracy of one that no point truly is. ``notes`` names
    the classes that need more points.

    Args:
        counts: Number of points by mapped class (row) and true class (column), ``(K, K)``; the
            transpose of a `ConfusionMatrix` without its last column.
        areas: Mapped area of each class ``(K,)``, in any one unit.
        names: Class names by index.

    Returns:
        ``oa`` (an estimate), ``classes`` by name with the estimates ``users_accuracy``,
        ``producers_accuracy`` and ``area`` (unit of ``areas``) and with ``mapped_area`` and
        ``points`` (mapped as the class), ``proportions`` (estimated share of the whole area by
        mapped and true class, nested lists), ``notes`` (sentences).

    Raises:
        OptionError: If the shapes do not fit, a number is negative or not finite, the whole area
            is 0, or points are mapped as a class that has no area.
    """
    n = np.asarray(counts)
    mapped = np.asarray(areas, np.float64)
    _check(n, mapped, names)
    points = n.sum(axis=1)
    total = mapped.sum()
    weight = mapped / total
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN is what cannot be estimated
        share = n / points[:, None]
        variance = share * (1 - share) / (points[:, None] - 1)  # of each share, eq. 6
        proportions = _of_mapped(weight, share)  # eq. 4
        parts = _of_mapped(weight**2, variance)
        truly = proportions.sum(axis=0)  # eq. 8 and 9
        producers = proportions.diagonal() / truly  # eq. 3
        omitted = parts.sum(axis=0) - parts.diagonal()
        producers_variance = (
            (1 - producers) ** 2 * parts.diagonal() + producers**2 * omitted
        ) / truly**2  # eq. 7

    users, users_error = share.diagonal(), np.sqrt(variance.diagonal())  # eq. 2 and 6
    producers_error = np.sqrt(producers_variance)
    area, area_error = total * truly, total * np.sqrt(parts.sum(axis=0))  # eq. 10 and 11
    return {
        "oa": _estimate(proportions.trace(), np.sqrt(parts.trace())),  # eq. 1 and 5
        "classes": {
            name: {
                "users_accuracy": _estimate(users[i], users_error[i]),
                "producers_accuracy": _estimate(producers[i], producers_error[i]),
                "area": _estimate(area[i], area_error[i], most=float(total)),
                "mapped_area": float(mapped[i]),
                "points": int(points[i]),
            }
            for i, name in enumerate(names)
        },
        "proportions": [[number(value) for value in row] for row in proportions],
        "notes": _notes(points, mapped, names),
    }


def _check(counts: npt.NDArray[Any], areas: Floats, names: Sequence[str]) -> None:
    classes = len(names)
    if counts.shape != (classes, classes) or areas.shape != (classes,):
        raise OptionError(
            "points and areas do not fit the classes",
            expected=f"({classes}, {classes}) and ({classes},)",
            got=f"{counts.shape} and {areas.shape}",
        )
    if not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise OptionError("numbers of points are integers from 0")
    if not (np.isfinite(areas).all() and (areas >= 0).all() and areas.sum() > 0):
        raise OptionError("unusable mapped areas", expected="numbers from 0, not all of them 0")
    nowhere = [
        name
        for name, row, area in zip(names, counts, areas, strict=True)
        if row.any() and area == 0
    ]
    if nowhere:
        raise OptionError(
            f"points are mapped as {', '.join(nowhere)}, which has no mapped area",
            remedy="count points and areas on the same map",
        )


def _of_mapped(weights: Floats, values: Floats) -> Floats:
    """Weighted rows ``(K, K)``; a class mapped nowhere adds 0, though its values are NaN."""
    return np.where(weights[:, None] > 0, weights[:, None] * values, 0.0)


def _estimate(value: float, error: float, most: float = 1.0) -> dict[str, Any]:
    """An estimate of something between 0 and ``most``."""
    low, high = max(value - _Z * error, 0.0), min(value + _Z * error, most)
    known = not (np.isnan(value) or np.isnan(error))
    return {
        "estimate": number(value),
        "standard_error": number(error),
        "interval": [float(low), float(high)] if known else None,
    }


def _notes(points: npt.NDArray[np.integer[Any]], areas: Floats, names: Sequence[str]) -> list[str]:
    notes = []
    for name, count, area in zip(names, points, areas, strict=True):
        if area > 0 and count == 0:
            notes.append(f"{name} has no point, so nothing can be said of the whole map")
        elif area > 0 and count == 1:
            notes.append(f"{name} has one point, so its error cannot be estimated")
    return notes
