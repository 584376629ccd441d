"""A torch Dataset over the windows that a sampler picks from a catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from rsseg.data.agreement import alpha_notes
from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.labels import LabelRaster, Labels, open_labels
from rsseg.data.samplers import Sampler
from rsseg.errors import OptionError, SceneError
from rsseg.geo.grid import Grid
from rsseg.geo.scene import Scene
from rsseg.legend import NODATA, Legend
from rsseg.loading.open_files import OpenFiles

Transform = Callable[[Tensor, Tensor, Generator], tuple[Tensor, Tensor]]
"""Changes image and label together. It takes its random numbers from the generator alone, as other
threads draw from torch's global one at the same time."""
LabelTransform = Callable[[npt.NDArray[np.integer[Any]]], npt.NDArray[np.int32]]


class Sample(TypedDict):
    """Raw pixels ``(B, size, size)`` and uint8 class indices ``(size, size)``, 255 for none.

    Losses take labels as int64: ``label.long()``, best on the device, where an eighth has to go.
    ``number`` is the sample's own, see `WindowDataset.describe`; ``affinity`` is there where the
    dataset has a label transform.
    """

    image: Tensor
    label: Tensor
    number: NotRequired[int]
    affinity: NotRequired[Tensor]


class WindowDataset(Dataset[Sample]):
    """Samples of equal size from the windows that a sampler places in the scenes of a catalogue.

    A sample depends on the sampler's seed and on its number alone, so the number of workers changes
    nothing. Numbers beyond the length are those of later epochs; `Epochs` gives them in turn.
    Several threads may take samples at once. Files stay open, see `OpenFiles`; polygons are read
    once for all.

    Args:
        catalogue: Labelled scenes; their CRS, sizes, resolutions and orders of bands may differ.
        sampler: Which windows.
        legend: Classes of the labels.
        bands: Bands to read, see `Scene`; all if None.
        fill: Value per band in place of invalid pixels, as prediction fills them; None keeps
            what the file has there.
        gsd: Ground sample distance in metres to read all scenes at; their own if None.
        transform: Augmentation of image and label together.
        seed: Seed of the transform's random numbers.
        label_transform: What else a loss takes from the final label ``(size, size)``, worked out
            where the sample is read, see `rsseg.losses.NPALoss.label_transform`.
        label_stride: Pixels of a scene along a side of a pixel of its label raster; samples of
            labels are so much smaller.

    Raises:
        GridMismatch: If a label does not lie on its image's grid.
        SceneError: If a file cannot be opened, or a scene's own ground sample distance is not known
            though ``gsd`` is given.
        LegendError: If polygons have a class that the legend does not have.
        OptionError: If windows of this size cannot have labels of this stride.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        sampler: Sampler,
        *,
        legend: Legend,
        bands: tuple[int | str, ...] | None = None,
        fill: npt.NDArray[np.float64] | None = None,
        gsd: float | None = None,
        transform: Transform | None = None,
        seed: int = 0,
        label_transform: LabelTransform | None = None,
        label_stride: int = 1,
    ) -> None:
        if sampler.size % label_stride:
            raise OptionError(
                f"windows of {sampler.size} pixels cannot have labels of stride {label_stride}"
            )
        self.catalogue, self.sampler, self.legend = catalogue, sampler, legend
        self.bands, self.fill, self.transform, self.seed = bands, fill, transform, seed
        self.label_transform, self._stride = label_transform, label_stride
        grids = [scene.grid(label_stride) for scene in catalogue]
        zooms = [_zoom(row, grid, gsd) for row, grid in zip(catalogue, grids, strict=True)]
        self.places = sampler.over([(grid.height, grid.width) for grid in grids], zooms)
        self._polygons = {
            number: open_labels(row, legend, grid)
            for number, (row, grid) in enumerate(zip(catalogue, grids, strict=True))
            if row.polygons
        }
        self._files = OpenFiles(self._opened)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know: polygons left out or reprojected, a band taken for alpha."""
        first = alpha_notes(self.catalogue.scenes[:1])  # the others will be like it
        notes = (note for labels in self._polygons.values() for note in labels.notes)
        return tuple(dict.fromkeys((*first, *notes)))  # parts of a scene have one file

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Sample]:
        """The samples of the first epoch."""
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Sample:
        """The sample of this number; those below 0 count from the end of the first epoch.

        Raises:
            SceneError: If a file is damaged.
            LegendError: If a label holds an unknown code.
        """
        number = number if number >= 0 else number + len(self)
        index, window = self.places[number]
        size = self.sampler.size
        side = size // self._stride
        with self._files.lent(index) as files:
            pixels, valid = files.scene.read(window, (size, size), self.fill)
            indices = files.labels.read(window, (side, side))
        indices[~valid[:: self._stride, :: self._stride]] = NODATA
        image = torch.from_numpy(pixels)
        label = torch.from_numpy(indices)
        if self.transform is not None:
            generator = Generator().manual_seed(hash((self.seed, number)))
            image, label = self.transform(image, label, generator)
        sample: Sample = {"image": image, "label": label, "number": number}
        if self.label_transform is not None:
            sample["affinity"] = torch.from_numpy(self.label_transform(label.numpy()))
        return sample

    def describe(self, number: int) -> str:
        """File and place of a sample, for messages."""
        index, window = self.places[number]
        place = f"row {int(window.row_off)}, column {int(window.col_off)}"
        size = f"{int(window.height)} x {int(window.width)} pixels"
        return f"{self.catalogue.scenes[index].image} at {place}, {size}"

    def __getstate__(self) -> dict[str, object]:
        """Open files do not travel to other processes."""
        return {name: value for name, value in self.__dict__.items() if name != "_files"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._files = OpenFiles(self._opened)

    def _opened(self, index: int) -> _Files:
        row = self.catalogue.scenes[index]
        labels = self._polygons.get(index)
        if labels is None:
            labels = LabelRaster(row.label, self.legend, row.window, self._stride, scattered=True)
        return _Files(Scene(row.image, self.bands, row.window, scattered=True), labels)


@dataclass(frozen=True)
class _Files:
    """An open scene and its labels."""

    scene: Scene
    labels: Labels

    def close(self) -> None:
        self.scene.close()
        self.labels.close()


def _zoom(row: LabelledScene, grid: Grid, gsd: float | None) -> float:
    """How much a scene is magnified to be read at a ground sample distance."""
    if gsd is None:
        return 1.0
    if grid.gsd is None:
        raise SceneError(
            f"the ground sample distance of {row.image} is not known",
            expected="a projected CRS",
            remedy="read the scenes at their own resolution, without gsd",
        )
    return grid.gsd / gsd
