"""Weights of classes by how often they occur."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rsseg.errors import OptionError


def median_frequency_weights(pixels: Sequence[int], rare: Sequence[int] = ()) -> list[float]:
    """Weights ``median(f) / f_c`` of classes by their pixel counts (Eigen and Fergus 2015).

    Args:
        pixels: Labelled pixels of each class.
        rare: Classes left out of the median, which get the smallest weight of the others (the
            NPALoss paper's clutter).

    Returns:
        One weight for each class, 0 for a class without pixels.

    Raises:
        OptionError: If no class is left.
    """
    common = [c for c, count in enumerate(pixels) if count > 0 and c not in rare]
    if not common:
        raise OptionError("no class has pixels to weight by", got=list(pixels))
    middle = median(pixels[c] for c in common)
    weights = {c: middle / pixels[c] for c in common}
    least = min(weights.values())
    return [weights.get(c, least if c in rare else 0.0) for c in range(len(pixels))]
