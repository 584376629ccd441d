"""What the two ISPRS benchmarks of urban aerial imagery share: classes, colours, eroded labels."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from rsseg.data.datasets.decoding import colour_codes, read_colours
from rsseg.data.datasets.published import Pair, PublishedDataset
from rsseg.legend import NODATA, Legend

COLOURS = {
    "impervious surfaces": (255, 255, 255),
    "building": (0, 0, 255),
    "low vegetation": (0, 255, 255),
    "tree": (0, 255, 0),
    "car": (255, 255, 0),
    "clutter": (255, 0, 0),
}
"""The benchmark's own colours; clutter is also called background."""
BLACK = (0, 0, 0)
"""Pixels of an eroded label within three pixels of a boundary, which are not evaluated."""


class Isprs(PublishedDataset):
    """Tiles with full labels and, where given, eroded ones.

    Tiles that are neither in ``train`` nor in ``validation`` are the contest's test tiles, whose
    labels were published later; without their labels they are left out.
    """

    licence = "for research, with citation; see the benchmark's conditions"
    legend = Legend.of(COLOURS)
    train: ClassVar[tuple[str, ...]]
    """Tiles to train on."""
    validation: ClassVar[tuple[str, ...]]
    """Tiles to validate on."""

    @abstractmethod
    def tiles(self, source: Path) -> dict[str, Path]:
        """Pictures by tile."""

    @abstractmethod
    def labels(self, source: Path, *, eroded: bool) -> dict[str, Path]:
        """Labels by tile, full or eroded; none of the latter if they were not unpacked."""

    def split(self, tile: str) -> str:
        """The split of a tile: train, val or test."""
        if tile in self.train:
            return "train"
        return "val" if tile in self.validation else "test"

    def pairs(self, source: Path) -> list[Pair]:
        """Labelled tiles in the order of their numbers; each is its own group."""
        tiles, labels = self.tiles(source), self.labels(source, eroded=False)
        eroded = self.labels(source, eroded=True)
        required = {t: tiles[t] for t in tiles if t in labels or self.split(t) != "test"}
        return [
            Pair(image.stem, image, label, self.split(tile), tile, eroded.get(tile))
            for tile, (image, label) in sorted(self.both(required, labels).items(), key=_numbers)
        ]

    def unlabelled(self, source: Path) -> list[str]:
        """Test tiles whose labels are not there."""
        labels = self.labels(source, eroded=False)
        tiles = sorted(self.tiles(source).items(), key=_numbers)
        return [f"{image.name}: no label" for tile, image in tiles if tile not in labels]

    def codes(self, path: Path) -> npt.NDArray[np.uint8]:
        """Codes by the benchmark's colours; black is unlabelled in eroded labels alone."""
        codes = colour_codes(self.legend, COLOURS)
        if "noboundary" in path.stem.casefold():
            codes[BLACK] = NODATA
        return read_colours(path, codes)


def _numbers(tile: tuple[str, object]) -> list[int]:
    """Sort key of a tile named by one number, or by two with a stroke between."""
    return [int(number) for number in tile[0].split("_")]
