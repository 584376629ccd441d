"""torchgeo both ways: our catalogues under its samplers, its datasets as our samples.

>>> dataset = CatalogueDataset(catalogue, legend)
>>> loader = DataLoader(dataset, sampler=RandomGeoSampler(dataset, 512), collate_fn=stack_samples)

>>> samples = TorchgeoSamples(Vaihingen2D("data"), size=512, count=1000)
>>> loader = DataLoader(samples, batch_size=8)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely
import torch
from rasterio.windows import Window
from torch import Generator, Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from torchgeo.datasets import GeoDataset, NonGeoDataset

from rsseg.data.catalogue import Catalogue
from rsseg.data.labels import Labels, open_labels
from rsseg.errors import GridMismatch, LegendError, OptionError, SceneError
from rsseg.geo.grid import Grid
from rsseg.geo.scene import Scene
from rsseg.legend import NODATA, Legend
from rsseg.loading.dataset import Sample, Transform


class CatalogueDataset(GeoDataset):
    """Labelled scenes as a torchgeo dataset, for its samplers, transforms and trainers.

    A sample is what torchgeo's own are: ``image`` float32 ``(B, h, w)``, ``mask`` int64 class
    indices ``(h, w)`` with 255 for none, ``crs`` and ``bounds``. A box is read from the one scene
    that has most of it; what that scene has not is unlabelled.

    Args:
        catalogue: Labelled scenes of one CRS and pixel size, north up.
        legend: Classes of the labels.
        bands: Bands to read, see `Scene`; all if None.
        transforms: Changes of a sample, as torchgeo has them.

    Raises:
        GridMismatch: If the scenes differ in CRS or pixel size, which torchgeo's samplers cannot
            take, or one is rotated or has no CRS.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        legend: Legend,
        *,
        bands: tuple[int | str, ...] | None = None,
        transforms: Any = None,
    ) -> None:
        self._catalogue, self._legend, self._bands = catalogue, legend, bands
        self.transforms = transforms
        names = [str(scene.image) for scene in catalogue]
        self._grids = [scene.grid() for scene in catalogue]
        _require_alike(self._grids, names)
        self.paths = names
        first = self._grids[0]
        self._res = (first.transform.a, -first.transform.e)
        every = pd.Interval(pd.Timestamp.min, pd.Timestamp.max, closed="both")
        self.index = geopandas.GeoDataFrame(
            {"filepath": names},
            index=pd.IntervalIndex([every] * len(catalogue), name="datetime"),
            geometry=[grid.outline() for grid in self._grids],
            crs=first.crs,
        )
        self._open: dict[tuple[int, int], tuple[Scene, Labels]] = {}

    def __getitem__(self, query: Any) -> dict[str, Any]:
        """The sample of a box ``[left:right, bottom:top]`` in the CRS of the scenes.

        Raises:
            IndexError: If no scene has any of it.
        """
        x, y, _ = self._disambiguate_slice(query)
        box = shapely.box(x.start, y.start, x.stop, y.stop)
        shared = shapely.area(shapely.intersection(self.index.geometry.to_numpy(), box))
        index = int(np.argmax(shared))
        if not shared[index] > 0:
            raise IndexError(f"no scene has anything of {query}")
        columns, rows = round((x.stop - x.start) / x.step), round((y.stop - y.start) / y.step)
        transform = ~self._grids[index].transform
        left, top = transform @ (x.start, y.stop)
        right, bottom = transform @ (x.stop, y.start)
        # rounding the far corner instead would make some windows a pixel longer, and resample them
        sides = max(round(right - left), 1), max(round(bottom - top), 1)
        window = Window(round(left), round(top), *sides)
        scene, labels = self._files(index)
        pixels, valid = scene.read(window, (rows, columns))
        indices = labels.read(window, (rows, columns))
        indices[~valid] = NODATA
        sample: dict[str, Any] = {
            "crs": self.crs,
            "bounds": query,
            "image": torch.from_numpy(pixels).float(),
            "mask": torch.from_numpy(indices).long(),
        }
        return sample if self.transforms is None else self.transforms(sample)

    def __getstate__(self) -> dict[str, object]:
        """Open files do not travel to workers."""
        return {**self.__dict__, "_open": {}}

    def _files(self, index: int) -> tuple[Scene, Labels]:
        key = os.getpid(), index
        if key not in self._open:
            row = self._catalogue.scenes[index]
            labels = open_labels(row, self._legend, self._grids[index])
            self._open[key] = Scene(row.image, self._bands, row.window), labels
        return self._open[key]


class TorchgeoSamples(Dataset[Sample]):
    """Random crops of the pictures of a torchgeo dataset, as `rsseg.loading` gives them.

    A crop depends on the seed and on its number alone. Smaller pictures are padded: reflected,
    and unlabelled there.

    Args:
        dataset: Pictures with an ``image`` ``(B, h, w)`` and a ``mask`` ``(h, w)``.
        size: Side of the crops in pixels.
        count: Crops in an epoch.
        indices: Class index by value of the masks, where they differ; 255 for values that mean
            unlabelled. Values not listed stay.
        classes: Number of classes, to check the masks by; None does not check.
        transform: Augmentation of image and label together.
        seed: Seed of places and of the transform's random numbers.

    Raises:
        OptionError: If the dataset is empty, or size or count is not positive.
    """

    def __init__(
        self,
        dataset: NonGeoDataset,
        *,
        size: int,
        count: int,
        indices: Mapping[int, int] | None = None,
        classes: int | None = None,
        transform: Transform | None = None,
        seed: int = 0,
    ) -> None:
        if min(size, count, len(dataset)) < 1:
            raise OptionError(
                "crops need a positive size and count, and a picture",
                got=f"{size}, {count} and {len(dataset)} pictures",
            )
        self._dataset, self._size, self._count = dataset, size, count
        self._indices, self._classes = dict(indices or {}), classes
        self._transform, self._seed = transform, seed

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Sample:
        """The crop of this number; those beyond the length are of later epochs.

        Raises:
            SceneError: If the dataset gives no image with a mask of its size.
            LegendError: If a mask has a value that is no class.
        """
        generator = np.random.default_rng((self._seed, number))
        picture = int(generator.integers(len(self._dataset)))
        image, mask = self._pair(picture)
        image, mask = _padded(image, mask, self._size)
        top, left = (int(generator.integers(side - self._size + 1)) for side in mask.shape)
        rows, columns = slice(top, top + self._size), slice(left, left + self._size)
        image, label = image[:, rows, columns].clone(), self._label(mask[rows, columns], picture)
        if self._transform is not None:
            source = Generator().manual_seed(hash((self._seed, number)))
            image, label = self._transform(image, label, source)
        return {"image": image, "label": label, "number": number}

    def _pair(self, picture: int) -> tuple[Tensor, Tensor]:
        sample = self._dataset[picture]
        image, mask = sample.get("image"), sample.get("mask")
        if image is None or mask is None or image.shape[-2:] != mask.shape[-2:]:
            raise SceneError(
                f"picture {picture} of {type(self._dataset).__name__} has no mask of its size",
                expected="image (B, h, w) and mask (h, w)",
                got=", ".join(
                    f"{name} {tuple(value.shape)}"
                    for name, value in sample.items()
                    if isinstance(value, Tensor)
                ),
            )
        return image, mask.reshape(mask.shape[-2:])

    def _label(self, mask: Tensor, picture: int) -> Tensor:
        label = mask.to(torch.int64, copy=True)
        for value, index in self._indices.items():
            label[mask == value] = index
        unknown = (label < 0) | (label > NODATA)
        if self._classes is not None:
            unknown |= (label >= self._classes) & (label != NODATA)
        if unknown.any():
            raise LegendError(
                f"the mask of picture {picture} of {type(self._dataset).__name__} holds the value "
                f"{int(mask[unknown][0])}",
                expected=f"0-{(self._classes or NODATA) - 1}, or its index in `indices`",
            )
        return label.to(torch.uint8)


def _padded(image: Tensor, mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Both with at least ``size`` rows and columns."""
    below, right = (max(0, size - side) for side in mask.shape)
    if not below and not right:
        return image, mask
    rows, columns = (
        torch.from_numpy(np.pad(np.arange(side), (0, more), mode="reflect"))
        for side, more in zip(mask.shape, (below, right), strict=True)
    )
    grown = functional.pad(mask, (0, right, 0, below), value=NODATA)
    return image[:, rows][:, :, columns], grown


def _require_alike(grids: Sequence[Grid], names: Sequence[str]) -> None:
    first = grids[0]
    for grid, name in zip(grids, names, strict=True):
        here = grid.transform
        if grid.crs is None or here.b or here.d or here.a <= 0 or here.e >= 0:
            raise GridMismatch(f"{name} is {grid}", expected="a CRS, and north up")
        same = np.allclose((here.a, here.e), (first.transform.a, first.transform.e), rtol=1e-6)
        if grid.crs != first.crs or not same:
            raise GridMismatch(
                f"{name} is {grid}, {names[0]} is {first}",
                expected="one CRS and pixel size, which torchgeo's samplers need",
                remedy="use rsseg's own samplers, or warp the scenes",
            )
