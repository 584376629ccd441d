"""Scores while training: of whole scenes as ``rsseg predict`` maps them, or of single windows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from rsseg.bundle import Bundle
from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.labels import LabelRaster, open_labels
from rsseg.geo.scene import Scene
from rsseg.loading import WindowDataset
from rsseg.metrics import ConfusionMatrix
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.engines.engine import Engine
from rsseg.prediction.planning.decay import measure_decay
from rsseg.prediction.predict import load_engine, plan
from rsseg.training.recipe import Recipe

Indices = npt.NDArray[np.uint8]

_ROWS = 1024
_IMAGES = 4
"""Images that receptive decay is measured on."""


class Scorer(Protocol):
    """Scores a network on parts of the validation split, by number."""

    def __len__(self) -> int:
        """Parts."""

    def count(self, network: nn.Module, number: int, device: str) -> npt.NDArray[np.int64]:
        """Confusion counts ``(K, K + 1)`` of one part, see `ConfusionMatrix`.

        Args:
            network: The network, left in evaluation mode on the device.
            number: Which part.
            device: ``auto``, ``cpu``, ``cuda:N`` or ``mps``.
        """


class TileScores:
    """Predicts scenes whole and counts them against their labels.

    Args:
        bundle: Describes the network.
        catalogue: Labelled scenes, usually the validation split; all rows of an image are a part.
        gsd: Ground sample distance of the scenes in metres where their files do not tell it.
        rescale: Whether to predict at the model's ground sample distance.
        label_stride: Pixels of a scene along a side of a label pixel.
        precision: ``fp32``, ``bf16`` or ``fp16``.
    """

    def __init__(
        self,
        bundle: Bundle,
        catalogue: Catalogue,
        *,
        gsd: float | None = None,
        rescale: bool = False,
        label_stride: int = 1,
        precision: str = "fp32",
    ) -> None:
        self._bundle, self._catalogue = bundle, catalogue
        self._gsd, self._rescale = gsd, rescale
        self._stride, self._precision = label_stride, precision
        self.images = tuple(dict.fromkeys(scene.image for scene in catalogue))

    def __len__(self) -> int:
        return len(self.images)

    def require_predictable(self, network: nn.Module, device: str) -> None:
        """Plan the prediction of every scene: what is wrong with one shows before the training.

        Raises:
            RssegError: As `rsseg.prediction.predict`.
        """
        for image in self.images:
            plan(image, bundle=self._bundle, network=network, options=self._options(device))

    def count(self, network: nn.Module, number: int, device: str) -> npt.NDArray[np.int64]:
        """Confusion counts of all rows of one image, see `Scorer.count`."""
        confusion = ConfusionMatrix(self._bundle.legend.names)
        for _, truth, predicted in self.strips(network, number, device):
            confusion.update(truth, predicted)
        return confusion.matrix

    def strips(
        self, network: nn.Module, number: int, device: str
    ) -> Iterator[tuple[LabelledScene, Indices, Indices]]:
        """Truth and prediction of one image, row by row of the catalogue and from the top down.

        Args:
            network: The network, left in evaluation mode on the device.
            number: Which image.
            device: ``auto``, ``cpu``, ``cuda:N`` or ``mps``.

        Yields:
            The row of the catalogue, and class indices ``(h, w)`` of its label and of the map, 255
            for none.
        """
        with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
            out, image = Path(folder) / "prediction.tif", self.images[number]
            options = self._options(device)
            predict(image, out, bundle=self._bundle, network=network, options=options)
            for scene in self._catalogue:
                if scene.image == image:
                    for truth, predicted in self._compared(scene, out):
                        yield scene, truth, predicted

    def decay(self, network: nn.Module, device: str) -> tuple[float, ...] | None:
        """Receptive decay of a network on some of the images, by `rsseg.prediction.planning.decay`.

        None where no image is large enough to tell.

        Args:
            network: The network, left in evaluation mode on the device.
            device: ``auto``, ``cpu``, ``cuda:N`` or ``mps``.
        """
        found = []
        options, fill = self._options(device), self._bundle.normalisation.raw_mean
        for image in self.images:
            work = plan(image, bundle=self._bundle, network=network, options=options)
            with Scene(image, work.bands) as scene:
                if 3 * min(scene.grid.height, scene.grid.width) < 5 * work.tiling.size:
                    continue
                engine = load_engine(work, network)

                def score(windows: Any, engine: Engine = engine) -> npt.NDArray[np.float32]:
                    return np.asarray(engine.to_host(engine(windows)))

                measured = measure_decay(score, scene, work.tiling.size, work.side, fill)
            if measured is not None:
                found.append(measured)
            if len(found) == _IMAGES:
                break
        if not found:
            return None
        return tuple(round(float(share), 5) for share in np.mean(found, axis=0))

    def _options(self, device: str) -> PredictOptions:
        return PredictOptions(
            overwrite=True,
            bands=tuple(int(b) if b.isdecimal() else b for b in self._bundle.bands),
            rescale=self._rescale,
            gsd=self._gsd,
            device=device,
            precision=self._precision,  # type: ignore[arg-type]
        )

    def _compared(
        self, scene: LabelledScene, prediction: Path
    ) -> Iterator[tuple[Indices, Indices]]:
        """Label and map of one row of the catalogue, a strip at a time."""
        grid = scene.grid(self._stride)
        truth = open_labels(scene, self._bundle.legend, grid, self._stride)
        predicted = LabelRaster(prediction, self._bundle.legend, scene.window)
        try:
            for window in truth.strips(_ROWS * self._stride):
                codes = truth.read(window)
                yield codes, predicted.read(window, (codes.shape[0], codes.shape[1]))
        finally:
            truth.close()
            predicted.close()


def tile_scores(recipe: Recipe, bundle: Bundle, catalogue: Catalogue) -> TileScores:
    """Scores of whole scenes as a recipe's model maps them.

    Args:
        recipe: The whole run.
        bundle: Describes the network.
        catalogue: Labelled scenes.
    """
    data, precision = recipe.data, recipe.trainer.precision
    return TileScores(
        bundle,
        catalogue,
        gsd=data.gsd,
        rescale=bundle.gsd is not None and (data.gsd or data.read_gsd) is not None,
        label_stride=data.label_stride,
        precision=precision if precision != "fp16" else "fp32",
    )


class WindowScores:
    """Scores windows each by itself, without overlap or blending.

    Args:
        recipe: The whole run.
        windows: Of the validation split.
    """

    def __init__(self, recipe: Recipe, windows: WindowDataset) -> None:
        self._names, self._normalisation = recipe.legend.names, recipe.normalisation
        self._windows = windows

    def __len__(self) -> int:
        return len(self._windows)

    @torch.no_grad()
    def count(self, network: nn.Module, number: int, device: str) -> npt.NDArray[np.int64]:
        """Confusion counts of one window, see `Scorer.count`."""
        sample = self._windows[number]
        gain, offset = (
            torch.from_numpy(values)[:, None, None].to(device)
            for values in (self._normalisation.gain, self._normalisation.offset)
        )
        image = sample["image"].to(device).float() * gain + offset
        logits = network.eval()(image[None].contiguous(memory_format=torch.channels_last))
        label = sample["label"]
        logits = at_label_size(logits, label)
        confusion = ConfusionMatrix(self._names)
        confusion.update(label.numpy(), logits.argmax(dim=1)[0].cpu().numpy())
        return confusion.matrix


def at_label_size(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits at the size of coarser labels, so that labels are never resampled."""
    size = labels.shape[-2:]
    if logits.shape[-2:] == size:
        return logits
    return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
