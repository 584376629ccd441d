"""Alpine land cover of the Dents du Midi, Valais (swisstopo labels, a course of EPF Lausanne).

12,262 aerial images of 400 x 400 RGB pixels, each with a label of 200 x 200 in 8 classes, which is
written at its own resolution.

Known, from the paper "Semantic segmentation of alpine land cover" (Kaltenrieder, Damiani) and from
its public code: ``ipeo_data.zip`` holds ``rgb/X_Y_rgb.tif``, ``alpine_label/X_Y_label.tif`` and
``splits/{train,val,test}.csv``, one ``X_Y`` in a line without a heading; 60 % train, 30 % test,
10 % val; classes 0-7; the file of 25595_11025 (val) is damaged; 11 training images are all black
under labels that fit something else; every pixel of the 7,357 training labels has a class.

Assumed: X and Y are Swiss coordinates (LV95) in hundreds of metres, as 25595_11025 then lies in the
area; so blocks of `BLOCK` x `BLOCK` are square kilometres. Whether the files are georeferenced, and
the pixel type of the labels, is not known: any that holds whole numbers is read.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rsseg.data.catalogue import LabelledScene
from rsseg.data.datasets.layout import folders
from rsseg.data.datasets.published import Pair, Picture, PublishedDataset
from rsseg.data.datasets.reading import open_strictly, read_all
from rsseg.data.splits import assign_splits
from rsseg.errors import CatalogueError, LegendError, OptionError, SceneError
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import NODATA, Legend

SPLITS = ("published", "blocks")
SHARES = {"train": 0.6, "test": 0.3, "val": 0.1}
BLOCK = 10
"""Side of a block that stays in one split, in units of the names."""
BLACK = 0.95
"""Images with a larger share of pixels that are 0 in every band are left out."""
STRIDE = 2
"""Image pixels along a label pixel."""
FREQUENT = ("grass and other", "loose rocks", "bed rocks")
"""Classes whose dominance the paper's restricted training set avoids."""

_NAME = re.compile(r"(\d+)_(\d+)_rgb\.tif")


class Alpine(PublishedDataset):
    """The alpine dataset, by its published splits or by blocks of the ground.

    The published splits are the paper's, drawn image by image: neighbours that adjoin stand in
    different splits, and each image is its own group. Blocks keep a square of the ground together,
    in the same shares.

    Args:
        splits: One of `SPLITS`.
        dominance: Leave out training images of which one of the classes `FREQUENT` covers more
            than this share; the paper's restricted set has 0.5. None keeps them.

    Raises:
        OptionError: If there are no such splits, or the share is not between 0 and 1.
    """

    title = "the alpine land cover dataset"
    home = "the link in the paper, https://enacshare.epfl.ch/drCz5HgLJyFPXifNBWad7 (ipeo_data.zip)"
    layout = "rgb/X_Y_rgb.tif, alpine_label/X_Y_label.tif and splits/train.csv, val.csv, test.csv"
    licence = "not stated; imagery and labels are swisstopo's"
    legend = Legend.of(
        {
            "grass and other": (134, 178, 92),
            "forest": (31, 97, 47),
            "bushes and sparse forest": (98, 140, 80),
            "water and wetlands": (58, 124, 189),
            "glaciers and permanent snow": (214, 236, 245),
            "sparse rocks": (201, 178, 128),
            "loose rocks": (176, 170, 160),
            "bed rocks": (110, 104, 98),
        }
    )

    def __init__(self, splits: str = "published", dominance: float | None = None) -> None:
        if splits not in SPLITS:
            raise OptionError(
                f"there are no splits '{splits}'", expected=" or ".join(SPLITS), got=repr(splits)
            )
        if dominance is not None and not 0 < dominance <= 1:
            raise OptionError("the share of a dominant class is 0-1", got=dominance)
        self._splits, self._dominance = splits, dominance

    def pairs(self, source: Path) -> list[Pair]:
        """The images by name, with their splits and groups."""
        source = _root(source)
        images = dict(_images(source))
        if not images:
            return []
        blocks = {name: _block(name) for name in images}
        if self._splits == "blocks":
            of = assign_splits(blocks.values(), SHARES)
            splits, groups = {name: of[block] for name, block in blocks.items()}, blocks
        else:
            splits, groups = _published(source), {name: name for name in images}
        found = []
        for name, split in sorted(splits.items()):
            label = source / "alpine_label" / f"{name}_label.tif"
            for what, missing in (("image", name not in images), ("label", not label.is_file())):
                if missing:
                    raise CatalogueError(
                        f"{name} of the split '{split}' has no {what} in {source}",
                        remedy="unpack the whole archive, or take the name out of the split's list",
                    )
            found.append(Pair(name, images[name], label, split, groups[name]))
        return found

    def unlabelled(self, source: Path) -> list[str]:
        """Images that no published split lists."""
        if self._splits == "blocks":
            return []
        listed = _published(_root(source))
        names = [name for name, _ in _images(_root(source)) if name not in listed]
        return [f"{name}: no split lists it" for name in names]

    def codes(self, path: Path) -> npt.NDArray[np.uint8]:
        """Codes 0-7 as they stand in the label."""
        return self._label(path)[0]

    def convert(self, pair: Pair, target: Path) -> LabelledScene | str:
        """Write image and label; or why not: damaged, black, or dominated by one class."""
        try:
            picture = self.picture(pair.image)
            codes, grid = self._label(pair.label)
        except SceneError as error:
            return f"{pair.name}: {error}"
        grid = _coarsened(pair, picture, grid)
        black = float((picture.pixels == 0).all(axis=0).mean())
        if black > BLACK:
            return f"{pair.name}: {100 * black:.0f} % of the image is black"
        dominant = self._dominant(codes) if pair.split == "train" else None
        if dominant is not None:
            return f"{pair.name}: dominated by one class, {dominant}"
        scene = LabelledScene(
            target / f"{pair.name}.tif", target / f"{pair.name}_label.tif", pair.split, pair.group
        )
        write_raster(
            scene.image, picture.pixels, picture.grid, nodata=picture.nodata, bands=self.bands
        )
        write_raster(scene.label, codes[None], grid, nodata=NODATA, legend=self.legend)
        return scene

    def _label(self, path: Path) -> tuple[npt.NDArray[np.uint8], Grid]:
        with open_strictly(path) as dataset:
            values, grid = read_all(dataset, path), Grid.of(dataset)
        if values.shape[0] != 1:
            raise LegendError(f"{path} has {values.shape[0]} bands", expected="one band of codes")
        unknown = ~np.isin(values[0], self.legend.codes)
        if unknown.any():
            raise LegendError(
                f"{path} holds the code {values[0][unknown][0]}",
                expected=f"0-{len(self.legend) - 1}",
            )
        return values[0].astype(np.uint8), grid

    def _dominant(self, codes: npt.NDArray[np.uint8]) -> str | None:
        """The frequent class that covers too much, and how much."""
        shares = np.bincount(codes.ravel(), minlength=len(self.legend)) / codes.size
        for name, share in zip(self.legend.names, shares, strict=True):
            if self._dominance is not None and name in FREQUENT and share > self._dominance:
                return f"{name} {100 * share:.0f} %"
        return None


def _root(source: Path) -> Path:
    """The folder that holds ``rgb``: the source, or one below it."""
    return next((folder.parent for folder in folders(source, "rgb")), source)


def _images(source: Path) -> list[tuple[str, Path]]:
    """Names ``X_Y`` and their images, sorted."""
    found = []
    for path in sorted((source / "rgb").glob("[!.]*.tif")):
        if _NAME.fullmatch(path.name) is None:
            raise CatalogueError(f"{path} does not tell its place", expected="X_Y_rgb.tif")
        found.append((path.name.removesuffix("_rgb.tif"), path))
    return found


def _block(name: str) -> str:
    """The block of the ground that an image ``X_Y`` lies in."""
    x, y = (int(number) // BLOCK for number in name.split("_"))
    return f"block {x}_{y}"


def _published(source: Path) -> dict[str, str]:
    """Split by name, as the authors list them."""
    splits: dict[str, str] = {}
    for split in SHARES:
        path = source / "splits" / f"{split}.csv"
        if not path.is_file():
            raise CatalogueError(
                f"there is no list {path}", remedy="split by blocks instead, --splits blocks"
            )
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            name = line.split(",")[0].strip().strip('"')
            if name in splits:
                raise CatalogueError(f"{path} lists {name}, which is in '{splits[name]}' already")
            if name:
                splits[name] = split
    return splits


def _coarsened(pair: Pair, picture: Picture, label: Grid) -> Grid:
    """The grid of the label: the image's, two pixels by two."""
    rows, columns = picture.grid.height / STRIDE, picture.grid.width / STRIDE
    if (label.height, label.width) != (rows, columns):
        raise CatalogueError(
            f"{pair.label} has {label.height} x {label.width} pixels",
            expected=f"{rows:g} x {columns:g}, half of {pair.image}",
        )
    grid = picture.grid.resized((label.height, label.width))
    if picture.grid.georeferenced and label.georeferenced:
        grid.require_same(label, f"half of {pair.image}", str(pair.label))
    return grid
