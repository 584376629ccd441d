"""LoveDA: 5,987 pictures of 1024 x 1024 pixels, 0.3 m, of town and country (Wang et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from rsseg.data.datasets.decoding import read_numbers
from rsseg.data.datasets.layout import folders, named_files
from rsseg.data.datasets.published import Pair, PublishedDataset
from rsseg.data.datasets.reading import counted
from rsseg.legend import NODATA, Legend


class LoveDA(PublishedDataset):
    """LoveDA in seven classes, by its authors' split; the test labels are withheld.

    Masks hold 1-7, and 0 where there is no data. Codes written are one less, 0-6, as the
    benchmark's server wants predictions; no data becomes 255.

    The names are numbers that tell no place, so a group is all that one split has of ``Urban`` or
    ``Rural``: whoever splits anew can only keep these four apart.
    """

    title = "LoveDA"
    home = "https://zenodo.org/records/5706578, Train.zip and Val.zip"
    layout = "Train and Val, in each Urban and Rural, in each images_png/N.png and masks_png/N.png"
    licence = "CC BY-NC-SA 4.0"
    legend = Legend.of(
        {
            "background": (255, 255, 255),
            "building": (255, 0, 0),
            "road": (255, 255, 0),
            "water": (0, 0, 255),
            "barren": (159, 129, 183),
            "forest": (0, 255, 0),
            "agriculture": (255, 195, 128),
        }
    )

    whole: ClassVar[Mapping[str, int]] = {"train": 2522, "val": 1669}

    def pairs(self, source: Path) -> list[Pair]:
        """Pictures of Train and Val in the order of folders and numbers."""
        found = []
        for folder in _domains(source, "train", "val"):
            split, domain = folder.parent.name.casefold(), folder.name.casefold()
            images = named_files(folders(folder, "images_png"), r"(\d+)\.png")
            masks = named_files(folders(folder, "masks_png"), r"(\d+)\.png")
            for number, (image, mask) in self.both(images, masks).items():
                found.append(Pair(f"{domain}_{number}", image, mask, split, f"{split}_{domain}"))
        return found

    def unlabelled(self, source: Path) -> list[str]:
        """The pictures of Test."""
        return [
            f"{folder.parent.name}/{folder.name}: "
            f"{counted(len(images), 'picture')} with labels withheld"
            for folder in _domains(source, "test")
            if (images := named_files(folders(folder, "images_png"), r"(\d+)\.png"))
        ]

    def codes(self, path: Path) -> npt.NDArray[np.uint8]:
        """Codes 0-6 of the numbers 1-7."""
        return read_numbers(path, {0: NODATA} | {code + 1: code for code in range(7)})


def _domains(source: Path, *splits: str) -> list[Path]:
    """The folders Urban and Rural of these splits."""
    found = [folder for domain in ("Rural", "Urban") for folder in folders(source, domain)]
    return [folder for folder in found if folder.parent.name.casefold() in splits]
