"""Gaofen Image Dataset: 150 Gaofen-2 scenes of 6800 x 7200 pixels, 4 m (Tong et al. 2020)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from rsseg.data.datasets.decoding import colour_codes, read_colours
from rsseg.data.datasets.layout import first_files
from rsseg.data.datasets.published import Pair, PublishedDataset
from rsseg.legend import NODATA, Legend

STRAYS = 0.001
"""Share of a label's pixels that may have colours of no class: they are left unlabelled."""

VALIDATION = frozenset(
    (
        *(607677, 607681, 718813, 1038935, 1038936, 1064454, 1118839, 1119060),
        *(1344822, 1348919, 1366278, 1366284, 1367840, 1378491, 1378501, 1395956),
        *(1396036, 1396037, 1416129, 1432972, 1471436, 1517494, 1591676, 1670888),
        *(1680857, 1680858, 1757429, 1765574, 1787564, 1821754),
    )
)
"""Product numbers of the 30 scenes that the authors hold out of the same 150 scenes in
Five-Billion-Pixels (the number of GF2_PMS1__L1A0001064454-MSS1 is 1064454)."""

_IMAGES = {"image_NirRGB": ("nir", "red", "green", "blue"), "image_RGB": ("red", "green", "blue")}
"""Folders of the pictures in order of preference, and their bands."""


class Gid(PublishedDataset):
    """The large-scale classification set: 150 scenes in five classes.

    It comes without a split. A scene is in one split, and a group, as a whole: random tiles of the
    same scenes, as they are often split, leak. `VALIDATION` is held out, the rest is to train on.
    Scenes may show the same ground in another season, or adjoin; their names do not tell.

    The pictures of ``image_NirRGB`` are taken where they are, else those of ``image_RGB``. Black
    labels are unlabelled. Labels are known to hold a few pixels of stray colours; up to a share of
    `STRAYS` these are left unlabelled too, and noted.
    """

    title = "the large-scale set of the Gaofen Image Dataset (GID)"
    home = "https://x-ytong.github.io/project/GID.html, 'Large-scale Classification_5classes'"
    layout = "image_NirRGB/SCENE.tif or image_RGB/SCENE.tif, and label_5classes/SCENE_label.tif"
    licence = "for research, with citation"
    legend = Legend.of(
        {
            "built-up": (255, 0, 0),
            "farmland": (0, 255, 0),
            "forest": (0, 255, 255),
            "meadow": (255, 255, 0),
            "water": (0, 0, 255),
        }
    )
    bands = _IMAGES["image_NirRGB"]
    whole: ClassVar[Mapping[str, int]] = {"train": 120, "val": 30}
    labels: ClassVar[str] = "label_5classes"
    """Folder of the labels."""

    def pairs(self, source: Path) -> list[Pair]:
        """Scenes by name."""
        images: dict[str, Path] = {}
        for folder in _IMAGES:
            images = images or first_files(source, [folder], r"(.+)\.tif")
        labels = first_files(source, [self.labels], r"(.+)_label\.tif")
        pairs = self.both(images, labels)
        splits = self.splits(list(pairs))
        return [
            Pair(scene, image, label, splits[scene], scene)
            for scene, (image, label) in pairs.items()
        ]

    def splits(self, scenes: list[str]) -> dict[str, str]:
        """Split by scene, from all scenes in the order of their names."""
        numbers = {scene: re.search(r"L1A(\d+)", scene) for scene in scenes}
        held = {scene for scene, n in numbers.items() if n and int(n.group(1)) in VALIDATION}
        return {scene: "val" if scene in held else "train" for scene in scenes}

    def band_names(self, path: Path) -> tuple[str, ...]:
        """Bands by the folder."""
        names = {folder.casefold(): bands for folder, bands in _IMAGES.items()}
        return names[path.parent.name.casefold()]

    def codes(self, path: Path) -> npt.NDArray[np.uint8]:
        """Codes by colours."""
        colours = {each.name: each.colour for each in self.legend}
        codes = colour_codes(self.legend, colours) | {(0, 0, 0): NODATA}
        return read_colours(path, codes, strays=STRAYS, on_strays=self.note_strays)
