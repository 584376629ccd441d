"""What a plan has to measure on the scene at hand: the overlap a network needs, and 8-bit ranges.

Both depend on the scene, the model and the options alone, and are kept in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rsseg.bundle import Bundle
from rsseg.geo.scene import Scene
from rsseg.geo.state import fingerprint
from rsseg.prediction.engines.engine import Placement, graph_of, make_engine
from rsseg.prediction.engines.onnx_graph import as_fed
from rsseg.prediction.engines.quantising import quantise, quantised_hash
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.planning.decay import known_decay, least_overlap, measure_decay
from rsseg.prediction.planning.sampling import sample_windows

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Subject:
    """A model and the scene it is to map.

    Args:
        scene: Open, with the bands the model wants.
        bundle: Describes the model.
        model: Its file, None for a network of the caller's.
        network: That network.
        identity: Hash of the weights.
        placement: Engine, device and precision.
        side: Side of the windows as the network sees them, pixels.
        size: The same in pixels of the scene.
    """

    scene: Scene
    bundle: Bundle
    model: Path | None
    network: nn.Module | None
    identity: str
    placement: Placement
    side: int
    size: int

    def calibrated(self) -> str:
        """The identity of the 8-bit graph, which is calibrated on this scene if there is none yet.

        Raises:
            OptionError: If the model does not stand 8 bits.
            MissingExtra: If nncf is missing.
        """
        graph = graph_of(self.model, self.network, self.bundle, self.side, self.identity)
        made = quantise(graph, self.identity, as_fed(self.bundle, self.model), self._sample)
        return quantised_hash(made)

    def with_overlap(self, options: PredictOptions) -> tuple[PredictOptions, list[str]]:
        """The options with the least overlap that this network needs, and what to say of it."""
        decay = self.bundle.decay if self.side == self.bundle.window else None
        decay = decay or self._measured_decay()
        if decay is None:
            return replace(options, overlap=None), []
        overlap = least_overlap(decay)
        return replace(options, overlap=overlap), [
            f"windows overlap by {100 * overlap:.0f} % of their side, which suffices this network"
        ]

    def _measured_decay(self) -> tuple[float, ...] | None:
        place = self.placement
        key: list[object] = [self.identity, fingerprint(self.scene.path), list(self.scene.bands)]
        key += [self.bundle.normalisation.to_json(), self.side, self.size]
        key += [place.engine, place.device.split(":")[0], place.precision, place.compiled]

        def measure() -> tuple[float, ...] | None:
            engine = make_engine(
                place,
                self.bundle,
                self.side,
                self.scene.dtype,
                model=self.model,
                network=self.network,
                identity=self.identity,
            )
            return measure_decay(
                lambda windows: np.asarray(engine.to_host(engine(windows))),
                self.scene,
                self.size,
                self.side,
                self.bundle.normalisation.raw_mean,
            )

        return known_decay(key, measure)

    def _sample(self, count: int) -> npt.NDArray[Any]:
        fill = self.bundle.normalisation.raw_mean
        return sample_windows(self.scene, self.size, self.side, count, fill)
