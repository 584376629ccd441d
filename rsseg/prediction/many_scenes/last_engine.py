"""The engine of the last plan, kept for the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsseg.prediction.engines.engine import Engine
from rsseg.prediction.planning.plan import Plan
from rsseg.prediction.predict import load_engine

if TYPE_CHECKING:
    from torch import nn


class LastEngine:
    """Loads engines, and keeps the last for the next plan that asks for the same.

    Args:
        network: A network of the caller's; None for those of model files.
    """

    def __init__(self, network: nn.Module | None = None) -> None:
        self._network = network
        self._key: object = None
        self._reserve = 0
        self._engine: Engine | None = None

    def __call__(self, work: Plan, forward: int | None = None) -> Engine:
        """The engine of a plan; with so many windows in a forward pass if given."""
        key = (
            *(work.placement, work.identity, work.calibrated, work.bundle.normalisation),
            *(work.side, work.dtype, work.options.tta),
            *(work.options.batch_size, forward),
        )
        # on a GPU the windows of a forward pass leave room for blending: more for a wider scene
        reserve = 0 if work.placement.device == "cpu" else work.blending_bytes
        if self._engine is None or key != self._key or reserve > self._reserve:
            self._engine = None  # before the next one takes memory
            self._engine = load_engine(work, self._network, forward)
            self._key, self._reserve = key, reserve
        return self._engine
