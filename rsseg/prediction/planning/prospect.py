"""So much of a plan as those need who make no map by it, but keep and tell what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rsseg.geo.grid import Grid
from rsseg.legend import Legend
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.planning.plan import Plan


@dataclass(frozen=True)
class Prospect:
    """A map to come.

    Args:
        scene: What is read.
        grid: Grid of the map.
        legend: Its classes.
        journal: All that decides its bytes, see `rsseg.prediction.planning.plan.Plan`.
        options: The user's choices.
    """

    scene: str
    grid: Grid
    legend: Legend
    journal: dict[str, Any]
    options: PredictOptions

    @classmethod
    def of(cls, work: Plan) -> Prospect:
        """That of a plan."""
        return cls(work.scene, work.grid, work.bundle.legend, work.journal, work.options)
