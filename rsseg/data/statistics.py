"""Statistics of a catalogue, and the images that they tell to leave out of training."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg.class_weights import median_frequency_weights
from rsseg.data.band_statistics import BandStatistics
from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.errors import LegendError
from rsseg.legend import Legend


@dataclass(frozen=True)
class ImageStatistics:
    """One row of a catalogue.

    Args:
        scene: The row.
        pixels: Pixels of the image.
        valid: Those of them that are valid.
        black: Those that are invalid, or 0 in every band.
        label_pixels: Pixels of the label.
        counts: Those of them that have a class and lie on a valid pixel, by class index.
    """

    scene: LabelledScene
    pixels: int
    valid: int
    black: int
    label_pixels: int
    counts: tuple[int, ...]

    def dominant(self, classes: Collection[int]) -> tuple[int, float]:
        """Index and share (of the labelled pixels) of the most frequent of these classes."""
        index = max(classes, key=lambda index: self.counts[index])
        return index, self.counts[index] / max(1, sum(self.counts))


@dataclass(frozen=True)
class Statistics:
    """Bands and classes of a catalogue.

    Args:
        dtype: Pixel type of the images.
        bands: Statistics over the valid pixels, by band.
        legend: The classes.
        images: By row of the catalogue.
        notes: What the user should know of the labels.
    """

    dtype: str
    bands: tuple[BandStatistics, ...]
    legend: Legend
    images: tuple[ImageStatistics, ...]
    notes: tuple[str, ...] = ()

    @property
    def valid_share(self) -> float:
        """Valid pixels over all pixels of the images."""
        return sum(i.valid for i in self.images) / sum(i.pixels for i in self.images)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Labelled pixels by class index, ``(K,)``."""
        return np.asarray(self._counts.sum(axis=0), np.int64)

    @property
    def images_with(self) -> npt.NDArray[np.int64]:
        """Images that hold each class, by class index, ``(K,)``."""
        return np.asarray((self._counts > 0).sum(axis=0), np.int64)

    @property
    def unlabelled_share(self) -> float:
        """Label pixels without a class, or on an invalid pixel, over all."""
        return 1 - int(self.counts.sum()) / sum(image.label_pixels for image in self.images)

    @property
    def class_weights(self) -> tuple[float, ...]:
        """Median-frequency weights; 0 for a class without pixels, and where there are none."""
        counts = self.counts.tolist()
        return tuple(median_frequency_weights(counts) if any(counts) else [0.0] * len(counts))

    @property
    def normalisation(self) -> dict[str, list[float]]:
        """``scale``, ``mean`` and ``std`` by band, as a recipe has them.

        Bytes are relative to 255; other types stay raw, as nothing tells their full scale.
        """
        scale = 255.0 if self.dtype == "uint8" else 1.0
        return {
            "scale": [scale] * len(self.bands),
            "mean": [band.mean / scale for band in self.bands],
            "std": [band.std / scale for band in self.bands],
        }

    def black(self, share: float) -> tuple[ImageStatistics, ...]:
        """Images of which at least this share is invalid or 0 in every band."""
        return tuple(image for image in self.images if image.black >= share * image.pixels)

    def dominated(
        self, share: float, classes: Sequence[str] = ()
    ) -> tuple[tuple[ImageStatistics, str, float], ...]:
        """Images whose labelled pixels are of one class in at least this share.

        Args:
            share: 0-1; the alpine land-cover paper takes 0.5.
            classes: Names of the classes to look at, in that paper the three most frequent; any
                class if none.

        Returns:
            Image, name of its class, and the share.

        Raises:
            LegendError: If a class is not in the legend.
        """
        names = self.legend.names
        for name in classes:
            if name not in names:
                raise LegendError(f"there is no class '{name}'", expected=", ".join(names))
        looked_at = [names.index(name) for name in classes] or range(len(names))
        found = [(image, *image.dominant(looked_at)) for image in self.images]
        return tuple(
            (image, names[index], part)
            for image, index, part in found
            if any(image.counts) and part >= share
        )

    @property
    def _counts(self) -> npt.NDArray[np.int64]:
        return np.array([image.counts for image in self.images], np.int64)


def without(catalogue: Catalogue, dropped: Iterable[LabelledScene]) -> Catalogue:
    """The catalogue without these rows.

    Raises:
        CatalogueError: If none is left.
    """
    gone = {(row.image, str(row.window)) for row in dropped}
    return Catalogue(tuple(row for row in catalogue if (row.image, str(row.window)) not in gone))
