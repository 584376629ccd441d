"""ISPRS 2D semantic labelling, Vaihingen: 33 tiles of 9 cm near infrared, red and green."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from rsseg.data.datasets.isprs import Isprs
from rsseg.data.datasets.layout import first_files, folders, named_files

_STEM = r"top_mosaic_09cm_area(\d+)"
_FULL = ("ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE", "gts_for_participants")
_ERODED = (
    "ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE",
    "gts_eroded_for_participants",
)


class Vaihingen(Isprs):
    """Vaihingen in six classes; train and validation are the 16 tiles labelled from the start.

    The split of these is the usual one of the literature (11 tiles to train on; 11, 15, 28, 30 and
    34 to validate on); the other 17 are the test tiles.

    Labels are looked for in the folders of the published archives
    (``ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE``, before it the 16 of
    ``gts_for_participants``), or beside the folder ``top``. Where the eroded ones are unpacked too
    (``..._ground_truth_eroded_COMPLETE``, ``top_mosaic_09cm_areaN_noBoundary.tif``), they are
    written as ``NAME_label_eroded.tif``, so that a map can be evaluated by either protocol.
    """

    title = "ISPRS Vaihingen"
    home = (
        "https://www.isprs.org/education/benchmarks/UrbanSemLab, "
        "ISPRS_semantic_labeling_Vaihingen.zip and its ..._ground_truth_COMPLETE.zip"
    )
    layout = (
        "top/top_mosaic_09cm_areaN.tif and "
        "ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE/top_mosaic_09cm_areaN.tif"
    )
    bands = ("nir", "red", "green")
    whole: ClassVar[Mapping[str, int]] = {"train": 11, "val": 5}
    train = ("1", "3", "5", "7", "13", "17", "21", "23", "26", "32", "37")
    validation = ("11", "15", "28", "30", "34")

    def tiles(self, source: Path) -> dict[str, Path]:
        """Pictures of the folder ``top`` by number."""
        return named_files(folders(source, "top"), rf"{_STEM}\.tif")

    def labels(self, source: Path, *, eroded: bool) -> dict[str, Path]:
        """Labels by number, of the newest release that was unpacked."""
        if eroded:
            names, pattern = _ERODED, rf"{_STEM}_noBoundary\.tif"
        else:
            names, pattern = _FULL, rf"{_STEM}\.tif"
        beside = [top.parent for top in folders(source, "top") if top != source.resolve()]
        return first_files(source, names, pattern) or named_files(beside, pattern)
