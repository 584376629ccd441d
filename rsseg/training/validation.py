"""Scores of whole scenes, by the same mosaic that ``rsseg predict`` uses."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from rsseg.bundle import Bundle
from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.labels import LabelRaster, open_labels
from rsseg.metrics import ConfusionMatrix
from rsseg.prediction import PredictOptions, predict

_ROWS = 1024


class TileScores:
    """Predicts scenes whole and counts them against their labels.

    Args:
        bundle: Describes the network.
        catalogue: Labelled scenes, usually the validation split.
        gsd: Ground sample distance of the scenes in metres where their files do not tell it; if
            given, they are predicted at the model's.
        label_stride: Pixels of a scene along a side of a label pixel.
        precision: ``fp32``, ``bf16`` or ``fp16``.
    """

    def __init__(
        self,
        bundle: Bundle,
        catalogue: Catalogue,
        *,
        gsd: float | None = None,
        label_stride: int = 1,
        precision: str = "fp32",
    ) -> None:
        self._bundle, self._catalogue = bundle, catalogue
        self._gsd, self._stride, self._precision = gsd, label_stride, precision
        self.images = tuple(dict.fromkeys(scene.image for scene in catalogue))

    def count(self, network: nn.Module, image: int, device: str = "auto") -> npt.NDArray[np.int64]:
        """Confusion counts ``(K, K + 1)`` of all rows of one image.

        Args:
            network: The network, left in evaluation mode on the device.
            image: Its index in `images`.
            device: ``auto``, ``cpu``, ``cuda:N`` or ``mps``.
        """
        confusion = ConfusionMatrix(self._bundle.legend.names)
        options = PredictOptions(
            overwrite=True,
            bands=tuple(int(b) if b.isdecimal() else b for b in self._bundle.bands),
            rescale=self._gsd is not None and self._bundle.gsd is not None,
            gsd=self._gsd,
            device=device,
            precision=self._precision,  # type: ignore[arg-type]
        )
        with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
            out = Path(folder) / "prediction.tif"
            path = self.images[image]
            predict(path, out, bundle=self._bundle, network=network, options=options)
            for scene in self._catalogue:
                if scene.image == path:
                    self._add(scene, out, confusion)
        return confusion.matrix

    def _add(self, scene: LabelledScene, prediction: Path, confusion: ConfusionMatrix) -> None:
        """Add the pixels of one row of the catalogue, a strip at a time."""
        grid = scene.grid(self._stride)
        truth = open_labels(scene, self._bundle.legend, grid, self._stride)
        predicted = LabelRaster(prediction, self._bundle.legend, scene.window)
        try:
            for window in truth.strips(_ROWS * self._stride):
                codes = truth.read(window)
                confusion.update(codes, predicted.read(window, (codes.shape[0], codes.shape[1])))
        finally:
            truth.close()
            predicted.close()
