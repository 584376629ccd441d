"""What is scored: distances, and classes left out or chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rsseg.errors import OptionError
from rsseg.evaluate.matching import Matching
from rsseg.geo.features import did_you_mean
from rsseg.metrics import require_distance

MAX_DISTANCE = 256
"""Pixels; time and memory grow with a distance, and borders are never that uncertain."""


@dataclass(frozen=True)
class Rules:
    """What of a map and its truth is scored, see `rsseg.evaluate.evaluate`.

    Raises:
        OptionError: If a distance cannot be used, or a class is ignored and averaged over at once.
    """

    erode: float
    boundary: float | None
    ignore: Sequence[str]
    classes: Sequence[str] | None

    def __post_init__(self) -> None:
        _require(self.erode, least=0)
        if self.boundary is not None:
            _require(self.boundary, least=1)
        both = [name for name in self.classes or () if name in self.ignore]
        if both:
            raise OptionError(f"{', '.join(both)} cannot be ignored and averaged over at once")

    def require_classes(self, matching: Matching) -> None:
        """Check that the classes named are there.

        Raises:
            OptionError: If one is not.
        """
        for option, names in (("ignore", self.ignore), ("classes", self.classes or ())):
            for name in names:
                if name not in matching.names:
                    raise OptionError(
                        f"{option}: there is no class '{name}'",
                        expected=matching.listed,
                        remedy=did_you_mean(name, matching.names),
                    )

    def ignored(self, matching: Matching) -> list[int]:
        """Indices of the classes whose truth is left out."""
        return [i for i, name in enumerate(matching.names) if name in self.ignore]

    def averaged(self, matching: Matching) -> list[str] | None:
        """Names of the classes that means are taken over; None for all."""
        names = self.classes or [name for name in matching.names if name not in self.ignore]
        return [name for name in names if name in matching.names] or None

    def to_json(self) -> dict[str, Any]:
        """Numbers and lists of names, as they were given."""
        return {
            "erode": self.erode,
            "boundary": self.boundary,
            "ignore": list(self.ignore),
            "classes": None if self.classes is None else list(self.classes),
        }


def _require(distance: float, least: int) -> None:
    require_distance(distance, least=least)
    if distance > MAX_DISTANCE:
        raise OptionError(
            "unusable distance", expected=f"at most {MAX_DISTANCE} pixels", got=distance
        )
