"""Gaofen Image Dataset in 15 classes: the fine set, and the scenes of the GID-15 contest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from rsseg.data.datasets.decoding import read_numbers
from rsseg.data.datasets.gid import Gid
from rsseg.data.datasets.layout import folders, named_files
from rsseg.data.datasets.published import Pair
from rsseg.legend import NODATA, Legend


class Gid15(Gid):
    """The fine land-cover set in 15 classes, in either of its two releases.

    - ``image_NirRGB`` or ``image_RGB`` with ``label_15classes``: ten scenes without a split. Every
      fifth of them by name is held out. The patches of that release, of one class each, are not
      read.
    - ``img_dir`` and ``ann_dir`` of the GID-15 contest: all 150 scenes in RGB, with numbers 0-15
      (0 is unlabelled) and the authors' split; labels of its test scenes are withheld.

    See `Gid` for groups and stray colours.
    """

    title = "the fine set of the Gaofen Image Dataset (GID-15)"
    home = (
        "https://x-ytong.github.io/project/GID.html, 'Fine Land-cover Classification_15classes', "
        "or https://captain-whu.github.io/GID15"
    )
    layout = (
        "image_NirRGB/SCENE.tif or image_RGB/SCENE.tif, and label_15classes/SCENE_label.tif; "
        "or img_dir/{train,val}/SCENE.tif and ann_dir/{train,val}/SCENE_15label.png"
    )
    legend = Legend.of(
        {
            "industrial land": (200, 0, 0),
            "urban residential": (250, 0, 150),
            "rural residential": (200, 150, 150),
            "traffic land": (250, 150, 150),
            "paddy field": (0, 200, 0),
            "irrigated land": (150, 250, 0),
            "dry cropland": (150, 200, 150),
            "garden plot": (200, 0, 200),
            "arbor woodland": (150, 0, 250),
            "shrub land": (150, 150, 250),
            "natural grassland": (250, 200, 0),
            "artificial grassland": (200, 200, 0),
            "river": (0, 0, 200),
            "lake": (0, 150, 200),
            "pond": (0, 200, 250),
        }
    )
    labels = "label_15classes"
    whole: ClassVar[Mapping[str, int]] = {}  # its releases differ

    def pairs(self, source: Path) -> list[Pair]:
        """Scenes by name, of the contest where its folders are there."""
        if not folders(source, "img_dir"):
            return super().pairs(source)
        found = []
        for split in ("train", "val"):
            images = named_files(_inside(source, "img_dir", split), r"(.+)\.tif")
            labels = named_files(_inside(source, "ann_dir", split), r"(.+)_15label\.png")
            for scene, (image, label) in self.both(images, labels).items():
                found.append(Pair(scene, image, label, split, scene))
        return found

    def unlabelled(self, source: Path) -> list[str]:
        """The contest's test scenes."""
        images = named_files(_inside(source, "img_dir", "test"), r"(.+)\.tif")
        return [f"test: {len(images)} scenes whose labels are withheld"] if images else []

    def splits(self, scenes: list[str]) -> dict[str, str]:
        """Every fifth scene by name is held out."""
        return {scene: "val" if i % 5 == 4 else "train" for i, scene in enumerate(scenes)}

    def band_names(self, path: Path) -> tuple[str, ...]:
        """Bands by the folder; the contest's are RGB."""
        contest = path.parent.parent.name.casefold() == "img_dir"
        return ("red", "green", "blue") if contest else super().band_names(path)

    def codes(self, path: Path) -> npt.NDArray[np.uint8]:
        """Codes by colours, or one less than the contest's numbers."""
        if path.suffix.casefold() == ".tif":
            return super().codes(path)
        return read_numbers(path, {0: NODATA} | {code + 1: code for code in range(15)})


def _inside(source: Path, kind: str, split: str) -> list[Path]:
    """The folder of a split in the contest's folder of this kind."""
    return [f for f in folders(source, split) if f.parent.name.casefold() == kind]
