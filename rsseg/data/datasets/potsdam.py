"""ISPRS 2D semantic labelling, Potsdam: 38 tiles of 6000 x 6000 pixels, 5 cm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from rsseg.data.datasets.decoding import colour_codes, read_colours
from rsseg.data.datasets.isprs import BLACK, COLOURS, Isprs
from rsseg.data.datasets.layout import first_files
from rsseg.legend import NODATA

_IMAGES = {
    "4_Ortho_RGBIR": ("RGBIR", ("red", "green", "blue", "nir")),
    "2_Ortho_RGB": ("RGB", ("red", "green", "blue")),
    "3_Ortho_IRRG": ("IRRG", ("nir", "red", "green")),
}
"""Folders of the pictures in order of preference; what their names end in, and their bands."""

INEXACT = ("4_12", "6_7")
"""Tiles whose labels are published in inexact colours: 4_12 was compressed with loss (24,850
colours), 6_7 has most cars as (252, 255, 0)."""
TOLERANCE = 80
"""Difference in a channel up to which inexact colours count; no pixel of the two full labels is
further off."""


class Potsdam(Isprs):
    """Potsdam in six classes; train and validation are the 24 tiles labelled from the start.

    The split of these is the usual one of the literature (2_11, 2_12, 4_10, 5_11, 6_7, 7_8 and
    7_10 to validate on); the other 14 are the test tiles. Of the pictures the one with most bands
    is taken: ``4_Ortho_RGBIR``, else ``2_Ortho_RGB``, else ``3_Ortho_IRRG``.

    Labels are those of ``5_Labels_all``, else of ``5_Labels_for_participants``. Where the eroded
    ones are unpacked too (``5_Labels_all_noBoundary``), they are written as
    ``NAME_label_eroded.tif``, so that a map can be evaluated by either protocol.

    In the labels of the two tiles `INEXACT` a pixel has the class whose colour is within
    `TOLERANCE` in each channel, and is unlabelled, and noted, where there is none, as between a
    class and the black of an eroded boundary. In all others an unknown colour is refused. Some
    authors leave out 7_10 for errors in its label.
    """

    title = "ISPRS Potsdam"
    home = (
        "https://www.isprs.org/education/benchmarks/UrbanSemLab, "
        "4_Ortho_RGBIR.zip (or 2_Ortho_RGB.zip) and 5_Labels_all.zip"
    )
    layout = (
        "4_Ortho_RGBIR/top_potsdam_R_C_RGBIR.tif (or 2_Ortho_RGB, 3_Ortho_IRRG) and "
        "5_Labels_all/top_potsdam_R_C_label.tif"
    )
    bands = ("red", "green", "blue", "nir")
    whole: ClassVar[Mapping[str, int]] = {"train": 17, "val": 7}
    train = (
        *("2_10", "3_10", "3_11", "3_12", "4_11", "4_12", "5_10", "5_12", "6_8", "6_9"),
        *("6_10", "6_11", "6_12", "7_7", "7_9", "7_11", "7_12"),
    )
    validation = ("2_11", "2_12", "4_10", "5_11", "6_7", "7_8", "7_10")

    def tiles(self, source: Path) -> dict[str, Path]:
        """Pictures by row and column, all of one folder."""
        for folder, (ending, _) in _IMAGES.items():
            found = first_files(source, [folder], rf"top_potsdam_(\d+_\d+)_{ending}\.tif")
            if found:
                return found
        return {}

    def labels(self, source: Path, *, eroded: bool) -> dict[str, Path]:
        """Labels by row and column, of the newest release that was unpacked."""
        if eroded:
            names = ("5_Labels_all_noBoundary", "5_Labels_for_participants_no_Boundary")
            return first_files(source, names, r"top_potsdam_(\d+_\d+)_label_noBoundary\.tif")
        names = ("5_Labels_all", "5_Labels_for_participants")
        return first_files(source, names, r"top_potsdam_(\d+_\d+)_label\.tif")

    def band_names(self, path: Path) -> tuple[str, ...]:
        """Bands by the end of the file's name."""
        ending = path.stem.rpartition("_")[-1].upper()
        return next(bands for name, bands in _IMAGES.values() if name == ending)

    def codes(self, path: Path) -> npt.NDArray[np.uint8]:
        """Codes by colours; see the class for the two tiles of inexact ones."""
        if not any(f"potsdam_{tile}_label" in path.stem.casefold() for tile in INEXACT):
            return super().codes(path)
        codes = colour_codes(self.legend, COLOURS) | {BLACK: NODATA}
        return read_colours(
            path, codes, tolerance=TOLERANCE, strays=1.0, on_strays=self.note_strays
        )
