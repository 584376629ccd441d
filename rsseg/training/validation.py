"""Scores of whole scenes, by the same mosaic that ``rsseg predict`` uses."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from rsseg.bundle import Bundle
from rsseg.data.catalogue import Catalogue
from rsseg.data.labels import LabelRaster
from rsseg.metrics import ConfusionMatrix
from rsseg.prediction import PredictOptions, predict

_ROWS = 1024


def validate(
    network: nn.Module, bundle: Bundle, catalogue: Catalogue, gsd: float | None = None
) -> dict[str, Any]:
    """Predict every scene of a catalogue whole and score it against its label.

    Args:
        network: The trained network.
        bundle: Describes it.
        catalogue: Labelled scenes, usually the validation split.
        gsd: Ground sample distance of the scenes in metres; if given, they are predicted at the
            model's.

    Returns:
        What `ConfusionMatrix.scores` gives for the summed pixels of all scenes.
    """
    confusion = ConfusionMatrix(bundle.legend.names)
    rescale = gsd is not None and bundle.gsd is not None
    options = PredictOptions(overwrite=True, bands=bundle.bands, rescale=rescale, gsd=gsd)
    with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
        for scene in catalogue:
            out = Path(folder) / "prediction.tif"
            predict(scene.image, out, bundle=bundle, network=network, options=options)
            _count(scene.label, out, bundle, confusion)
    return confusion.scores()


def _count(label: Path, prediction: Path, bundle: Bundle, confusion: ConfusionMatrix) -> None:
    """Add the pixels of one scene, a strip of rows at a time."""
    truth, predicted = (LabelRaster(path, bundle.legend) for path in (label, prediction))
    try:
        for window in truth.strips(_ROWS):
            shape = (int(window.height), int(window.width))
            confusion.update(truth.read(window, shape), predicted.read(window, shape))
    finally:
        truth.close()
        predicted.close()
