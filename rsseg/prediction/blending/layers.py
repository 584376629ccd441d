"""What is written of each pixel: its class, how sure that is, and the probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.geo.strips import ONE
from rsseg.legend import NODATA, Legend
from rsseg.prediction.blending.enlarging import Array, library
from rsseg.prediction.options import PredictOptions


@dataclass(frozen=True)
class Layers:
    """The bands of a block: codes, then what the options ask for.

    Args:
        legend: Classes.
        confidence: Whether a band has the confidence.
        margin: Whether that is the margin over the next class, and not the probability.
        probabilities: Whether bands have the probability of each class.
        least: Confidence below which the class is nodata, as the byte that stands for it.
    """

    legend: Legend
    confidence: bool
    margin: bool
    probabilities: bool
    least: int

    @classmethod
    def of(cls, options: PredictOptions, legend: Legend) -> Layers:
        """The layers that options ask for."""
        return cls(
            legend,
            options.confidence is not None,
            options.confidence_kind == "margin",
            options.probabilities is not None,
            round(options.min_confidence * ONE),
        )

    def __len__(self) -> int:
        return 1 + self.confidence + self.probabilities * len(self.legend)

    def outputs(self, options: PredictOptions) -> list[tuple[Path, dict[int, str]]]:
        """Files beside the map, and the names of their bands by number in the blocks."""
        found = []
        if options.confidence is not None:
            found.append((Path(options.confidence), {2: "confidence"}))
        if options.probabilities is not None:
            first = 2 + self.confidence
            found.append((Path(options.probabilities), dict(enumerate(self.legend.names, first))))
        return found

    def fill(
        self, layers: npt.NDArray[np.uint8], probabilities: Array, to_host: Callable[[Array], Any]
    ) -> None:
        """Write the bytes of some pixels.

        Args:
            layers: Where to, ``(B, h, w)``.
            probabilities: Of the classes, ``(K, h, w)``, where the engine has them.
            to_host: Gives an array of the engine's as numpy.
        """
        index, best, second = ranked(probabilities, second=self.margin)
        layers[0] = self._coded(to_host(index))
        if self.confidence or self.least:
            sure = to_host(as_bytes(best if second is None else best - second))
            if self.confidence:
                layers[1] = sure
            layers[0][sure < self.least] = NODATA
        if self.probabilities:
            layers[1 + self.confidence :] = to_host(as_bytes(probabilities))

    def _coded(self, index: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """File codes of indices."""
        return index if self._codes is None else self._codes[index]

    @cached_property
    def _codes(self) -> npt.NDArray[np.uint8] | None:
        """File codes by index; None if they are the same, as mostly."""
        codes = self.legend.codes
        return None if np.array_equal(codes, np.arange(len(codes))) else codes


def ranked(probabilities: Array, *, second: bool = False) -> tuple[Array, Array, Array | None]:
    """Index (8-bit) and probability of the most likely class, and the next best probability.

    Ties go to the lower index. The next best is only worked out where it is asked for, else None.
    """
    there = library(probabilities)
    best, *others = probabilities
    index = there.zeros_like(best, dtype=there.uint8)
    next_best = there.zeros_like(best) if second else None
    for number, plane in enumerate(others, 1):
        # numbers ascend, so the greatest is that of the last class that was above all before it
        above = (plane > best).view(there.uint8)
        above *= number
        index = above if number == 1 else there.maximum(index, above, out=index)
        if second:
            next_best = there.maximum(next_best, there.minimum(best, plane))
        best = there.maximum(best, plane)
    return index, best, next_best


def as_bytes(shares: Array) -> Array:
    """Shares 0-1 as 0-254, rounded."""
    there = library(shares)
    scaled = shares * ONE
    scaled += 0.5  # what is cut off then is rounded
    return scaled.astype(np.uint8) if there is np else scaled.to(there.uint8)
