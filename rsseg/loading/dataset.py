"""A torch Dataset over the windows that a sampler picks from a catalogue."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from rsseg.data.catalogue import Catalogue
from rsseg.data.labels import LabelRaster
from rsseg.data.samplers import GridWindows, Place, RandomWindows
from rsseg.geo.scene import Scene
from rsseg.legend import NODATA, Legend

Transform = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
LabelTransform = Callable[[npt.NDArray[np.integer[Any]]], npt.NDArray[np.int32]]


class Sample(TypedDict):
    """Raw pixels ``(B, size, size)`` and int64 class indices ``(size, size)``, 255 for none.

    ``affinity`` is there where the dataset has a label transform.
    """

    image: Tensor
    label: Tensor
    affinity: NotRequired[Tensor]


class WindowDataset(Dataset[Sample]):
    """Samples of equal size from the windows of one epoch of a sampler.

    Files are opened once in each process. A sample depends on the sampler's seed and on its own
    index alone, so the number of workers changes nothing.

    Args:
        catalogue: Labelled scenes.
        sampler: Which windows.
        legend: Classes of the labels.
        bands: Bands to read, see `Scene`; all if None.
        fill: Value per band in place of invalid pixels, as prediction fills them; None keeps
            what the file has there.
        transform: Augmentation of image and label together.
        seed: Seed of the transform's random numbers.
        label_transform: What else a loss takes from the final label ``(size, size)``, worked out
            in the loader's workers, see `rsseg.losses.NPALoss.label_transform`.

    Raises:
        GridMismatch: If a label does not lie on its image's grid.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        sampler: RandomWindows | GridWindows,
        *,
        legend: Legend,
        bands: tuple[int | str, ...] | None = None,
        fill: npt.NDArray[np.float64] | None = None,
        transform: Transform | None = None,
        seed: int = 0,
        label_transform: LabelTransform | None = None,
    ) -> None:
        self.label_transform = label_transform
        self.catalogue, self.sampler, self.legend = catalogue, sampler, legend
        self.bands, self.fill, self.transform, self.seed = bands, fill, transform, seed
        grids = [scene.grid() for scene in catalogue]
        self._places: list[Place] = list(
            sampler.places([(grid.height, grid.width) for grid in grids])
        )
        self._open: dict[tuple[int, int], tuple[Scene, LabelRaster]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        """The sample at this position of the epoch.

        Raises:
            SceneError: If a file is damaged.
            LegendError: If a label holds an unknown code.
        """
        number, window = self._places[index]
        scene, labels = self._files(number)
        shape = (self.sampler.size, self.sampler.size)
        pixels, valid = scene.read(window, shape, self.fill)
        indices = labels.read(window, shape)
        indices[~valid] = NODATA
        image = torch.from_numpy(np.ascontiguousarray(pixels))
        label = torch.from_numpy(indices.astype(np.int64))
        if self.transform is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(hash((self.seed, index)))
                image, label = self.transform(image, label)
        sample: Sample = {"image": image, "label": label}
        if self.label_transform is not None:
            sample["affinity"] = torch.from_numpy(self.label_transform(label.numpy()))
        return sample

    def __getstate__(self) -> dict[str, object]:
        """Open files do not travel to workers."""
        return {**self.__dict__, "_open": {}}

    def _files(self, number: int) -> tuple[Scene, LabelRaster]:
        # a forked worker inherits open files whose position it would share with its parent
        key = os.getpid(), number
        if key not in self._open:
            row = self.catalogue.scenes[number]
            self._open[key] = (
                Scene(row.image, self.bands),
                LabelRaster(row.label, self.legend),
            )
        return self._open[key]
