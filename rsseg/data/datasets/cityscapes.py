"""Cityscapes: street scenes of 2048 x 1024 pixels from 50 towns (Cordts et al. 2016)."""

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

LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Published ids of the 19 classes by trainId; the other ids 0-33 are not evaluated."""

_IMAGE = r"(\w+_\d{6}_\d{6})_leftImg8bit\.png"


class Cityscapes(PublishedDataset):
    """Cityscapes with fine labels in the 19 classes of its evaluation, by its authors' split.

    Codes are trainIds: read from ``*_gtFine_labelTrainIds.png`` where they were made, else from
    ``*_gtFine_labelIds.png``. A group is a town; no town is in two splits. The test labels are
    withheld.
    """

    title = "Cityscapes"
    home = (
        "https://www.cityscapes-dataset.com, "
        "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip"
    )
    layout = (
        "leftImg8bit/{train,val}/TOWN/TOWN_S_F_leftImg8bit.png and "
        "gtFine/{train,val}/TOWN/TOWN_S_F_gtFine_labelIds.png"
    )
    licence = "for non-commercial use, not to be passed on"
    legend = Legend.of(
        {
            "road": (128, 64, 128),
            "sidewalk": (244, 35, 232),
            "building": (70, 70, 70),
            "wall": (102, 102, 156),
            "fence": (190, 153, 153),
            "pole": (153, 153, 153),
            "traffic light": (250, 170, 30),
            "traffic sign": (220, 220, 0),
            "vegetation": (107, 142, 35),
            "terrain": (152, 251, 152),
            "sky": (70, 130, 180),
            "person": (220, 20, 60),
            "rider": (255, 0, 0),
            "car": (0, 0, 142),
            "truck": (0, 0, 70),
            "bus": (0, 60, 100),
            "train": (0, 80, 100),
            "motorcycle": (0, 0, 230),
            "bicycle": (119, 11, 32),
        }
    )

    whole: ClassVar[Mapping[str, int]] = {"train": 2975, "val": 500}

    def pairs(self, source: Path) -> list[Pair]:
        """Pictures of train and val in the order of towns and numbers."""
        found = []
        for split in ("train", "val"):
            images, numbers, train_ids = (
                named_files(_towns(source, kind, split), pattern)
                for kind, pattern in (
                    ("leftImg8bit", _IMAGE),
                    ("gtFine", r"(\w+_\d{6}_\d{6})_gtFine_labelIds\.png"),
                    ("gtFine", r"(\w+_\d{6}_\d{6})_gtFine_labelTrainIds\.png"),
                )
            )
            for name, (image, label) in self.both(images, numbers | train_ids).items():
                found.append(Pair(name, image, label, split, image.parent.name))
        return found

    def unlabelled(self, source: Path) -> list[str]:
        """The pictures of test."""
        images = named_files(_towns(source, "leftImg8bit", "test"), _IMAGE)
        withheld = f"test: {counted(len(images), 'picture')} with labels withheld"
        return [withheld] if images else []

    def codes(self, path: Path) -> npt.NDArray[np.uint8]:
        """TrainIds, translated where the file holds ids."""
        codes = {train_id: train_id for train_id in range(len(LABEL_IDS))} | {NODATA: NODATA}
        if path.stem.endswith("labelIds"):
            codes = dict.fromkeys(range(34), NODATA)
            codes |= {number: train_id for train_id, number in enumerate(LABEL_IDS)}
        return read_numbers(path, codes)


def _towns(source: Path, kind: str, split: str) -> list[Path]:
    """The folders of a split's towns."""
    splits = [f for f in folders(source, split) if f.parent.name.casefold() == kind.casefold()]
    return [town for folder in splits for town in sorted(folder.iterdir()) if town.is_dir()]
