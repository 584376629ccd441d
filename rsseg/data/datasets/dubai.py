"""Semantic segmentation of aerial imagery, Dubai (Humans in the Loop, MBRSC; CC0).

RGB pictures ``images/tileT_part_NNN.jpg`` with colour-coded ``masks/tileT_part_NNN.png``, not
georeferenced. Parts of one tile adjoin, so a split must go by tile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from rsseg.data.datasets.decoding import colour_codes, read_colours
from rsseg.data.datasets.published import Pair, PublishedDataset
from rsseg.errors import CatalogueError
from rsseg.legend import LAND_COVER, NODATA

VALIDATION_TILES = ("2", "7")
"""Tiles held out by default: both hold all five classes, 42 % of the pixels."""

_COLOURS = {
    "building": (60, 16, 152),
    "land": (132, 41, 246),
    "road": (110, 193, 228),
    "vegetation": (254, 221, 58),
    "water": (226, 169, 41),
}
_UNLABELLED = ((155, 155, 155), (0, 0, 0))
_NAME = re.compile(r"tile(\d+)_part_\d+")


class Dubai(PublishedDataset):
    """Six tiles of Dubai in five classes of land cover."""

    title = "the Dubai dataset"
    home = "Humans in the Loop, 'Semantic segmentation of aerial imagery'"
    layout = "images/tileT_part_NNN.jpg and masks/tileT_part_NNN.png"
    licence = "CC0 1.0"
    legend = LAND_COVER
    whole: ClassVar[Mapping[str, int]] = {"train": 54, "val": 18}

    def pairs(self, source: Path) -> list[Pair]:
        """The parts by name; tiles 2 and 7 are held out."""
        found = []
        for image in sorted((source / "images").glob("*.jpg")):
            name, mask = _NAME.fullmatch(image.stem), source / "masks" / f"{image.stem}.png"
            if name is None:
                raise CatalogueError(
                    f"{image} does not tell its tile", expected="tileT_part_NNN.jpg"
                )
            if not mask.is_file():
                raise CatalogueError(f"{image} has no mask", expected=mask)
            tile = name.group(1)
            split = "val" if tile in VALIDATION_TILES else "train"
            found.append(Pair(image.stem, image, mask, split, f"tile{tile}"))
        return found

    def codes(self, path: Path) -> npt.NDArray[np.uint8]:
        """Codes by the masks' colours; some masks are paletted."""
        codes = colour_codes(self.legend, _COLOURS) | dict.fromkeys(_UNLABELLED, NODATA)
        return read_colours(path, codes)
