"""What the scores share: checks, fractions and means; NaN is a score that is not defined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.errors import OptionError
from rsseg.legend import NODATA

Floats = npt.NDArray[np.float64]


def require_indices(what: str, values: npt.NDArray[np.integer[Any]], classes: int) -> None:
    """Check that all values are class indices or 255.

    Raises:
        ValueError: If one is neither.
    """
    known = values[values != NODATA]
    if known.size and not (known.min() >= 0 and known.max() < classes):
        raise ValueError(f"{what} holds indices outside 0-{classes - 1} and {NODATA}")


def choose(names: Sequence[str], chosen: Sequence[str] | None) -> npt.NDArray[np.bool_]:
    """Which of the names are chosen, bool ``(K,)``; all of them if ``chosen`` is None.

    Raises:
        OptionError: If none is chosen, or one that is not there.
    """
    if chosen is None:
        return np.ones(len(names), np.bool_)
    unknown = sorted(set(chosen) - set(names))
    if unknown or not chosen:
        raise OptionError(
            "unusable classes to average over",
            expected=f"some of {', '.join(names)}",
            got=", ".join(unknown) or "none",
        )
    return np.array([name in chosen for name in names])


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any] | np.float64) -> Floats:
    """Fractions ``(K,)``, NaN of nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.true_divide(part, whole))


def absent_as_zero(values: Floats, seen: npt.NDArray[np.bool_]) -> Floats:
    """A class that occurs, but was never predicted (or only predicted), scores 0, not NaN."""
    return np.where(seen & np.isnan(values), 0.0, values)


def mean(values: Floats) -> float | None:
    """The mean of what is defined, None if nothing is."""
    known = values[~np.isnan(values)]
    return number(known.mean()) if known.size else None


def weighted_mean(values: Floats, weights: Floats) -> float | None:
    """The mean of what has weight, None if nothing has."""
    heavy = weights > 0
    return float(np.average(values[heavy], weights=weights[heavy])) if heavy.any() else None


def harmonic(a: float | None, b: float | None) -> float | None:
    """The harmonic mean of two fractions, 0 of two zeros, None if one is None."""
    if a is None or b is None:
        return None
    return 0.0 if a + b == 0 else 2 * a * b / (a + b)


def number(value: float | np.floating[Any]) -> float | None:
    """A plain float, or None for NaN, which JSON does not take."""
    return None if np.isnan(value) else float(value)
