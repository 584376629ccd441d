"""What published datasets have in common: found, checked, written as tiled GeoTIFFs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.datasets.layout import require_own_files
from rsseg.data.datasets.reading import counted, open_strictly, read_all
from rsseg.data.tables import write_catalogue
from rsseg.data.targets import begin_target
from rsseg.errors import CatalogueError
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import NODATA, Legend


@dataclass(frozen=True)
class Pair:
    """A published picture and its label, still as their authors publish them.

    Args:
        name: Stem of the files to write; unique in the dataset.
        image: The picture.
        label: Its label.
        split: Split it belongs to.
        group: Tile, town or scene it was cut from: what must stay in one split.
        eroded: The label without the pixels near its boundaries, where one is published.
    """

    name: str
    image: Path
    label: Path
    split: str
    group: str
    eroded: Path | None = None


@dataclass(frozen=True)
class Picture:
    """Pixels ``(B, h, w)``, their grid, and which of them are valid ``(h, w)`` (all if None)."""

    pixels: npt.NDArray[Any]
    grid: Grid
    nodata: float | None = None


@dataclass(frozen=True)
class Prepared:
    """What came of a dataset.

    Args:
        catalogue: The scenes, also written as ``catalogue.csv``.
        left_out: What was not taken and why, a sentence each.
        notes: What else the user should know, a sentence each.
    """

    catalogue: Catalogue
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class PublishedDataset(ABC):
    """A dataset in the folder that its authors publish.

    A subclass says how the folder is laid out (`pairs`) and how a label is read (`codes`).
    """

    title: ClassVar[str]
    """What it is, in a line."""
    home: ClassVar[str]
    """Where to get it, and by what name."""
    layout: ClassVar[str]
    """Files expected in the folder, for messages."""
    licence: ClassVar[str]
    """What its authors allow."""
    legend: ClassVar[Legend]
    """Its classes, with the codes that the written labels hold."""
    bands: ClassVar[tuple[str, ...]] = ("red", "green", "blue")
    """Names of the bands of its pictures, in their order."""
    whole: ClassVar[Mapping[str, int]] = {}
    """Labelled pictures that its authors publish, by split; empty if that is not known."""

    notes: list[str]
    """What the user should know of the last `prepare`, a sentence each; `codes` may add to it."""

    def __init__(self) -> None:
        self.notes = []

    @abstractmethod
    def pairs(self, source: Path) -> list[Pair]:
        """All labelled pictures of the folder, in a fixed order.

        Raises:
            CatalogueError: If the folder is not laid out like this dataset, or a file is missing.
        """

    @abstractmethod
    def codes(self, path: Path) -> npt.NDArray[np.uint8]:
        """File codes ``(h, w)`` of a label, 255 where unlabelled.

        Raises:
            LegendError: If it holds a colour or code that the dataset does not define.
        """

    def unlabelled(self, source: Path) -> list[str]:
        """What the folder holds beside `pairs` without a label, a sentence each."""
        return []

    def band_names(self, path: Path) -> tuple[str, ...]:
        """Names of the bands of this picture, where pictures of a dataset differ."""
        return self.bands

    def picture(self, path: Path) -> Picture:
        """The pixels of a picture, all bands.

        Raises:
            SceneError: If it cannot be read.
            CatalogueError: If it has other bands than the dataset's.
        """
        bands = self.band_names(path)
        with open_strictly(path) as dataset:
            if dataset.count != len(bands):
                raise CatalogueError(
                    f"{path} has {dataset.count} bands", expected=f"{', '.join(bands)}"
                )
            return Picture(read_all(dataset, path), Grid.of(dataset), dataset.nodata)

    def prepare(
        self,
        source: str | Path,
        target: str | Path,
        *,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Prepared:
        """Write every pair as ``NAME.tif`` and ``NAME_label.tif``, and ``catalogue.csv`` last.

        Eroded labels become ``NAME_label_eroded.tif`` and stand in no catalogue: they are for
        evaluation alone. A catalogue of an earlier run is removed first.

        Args:
            source: The folder as published.
            target: Folder to write to; made if missing.
            on_progress: Called with pairs done and pairs in all.

        Raises:
            CatalogueError: If the folder is another, files are missing or do not fit, or two
                pictures have one name.
            LegendError: If a label holds what the dataset does not define.
            SceneError: If a file is damaged.
            OutputError: If a file cannot be written.
        """
        target = Path(target)
        pairs = self.pairs(Path(source))
        if not pairs:
            raise self.missing(Path(source))
        require_own_files(
            ((pair.image, _written(pair, target)) for pair in pairs),
            (path for pair in pairs for path in (pair.image, pair.label)),
        )
        table = begin_target(target)
        self.notes = self._lacking(pairs)
        scenes, left_out = [], self.unlabelled(Path(source))
        for done, pair in enumerate(pairs):
            outcome = self.convert(pair, target)
            if isinstance(outcome, LabelledScene):
                scenes.append(outcome)
            else:
                left_out.append(outcome)
            on_progress(done + 1, len(pairs))
        catalogue = Catalogue(tuple(scenes))
        write_catalogue(table, catalogue)
        return Prepared(catalogue, tuple(left_out), tuple(self.notes))

    def convert(self, pair: Pair, target: Path) -> LabelledScene | str:
        """Write one pair; or why it was left out, where a dataset is known to hold such."""
        picture = self.picture(pair.image)
        files = {path: self.codes(path) for path in (pair.label, pair.eroded) if path is not None}
        for path, codes in files.items():
            if codes.shape != picture.pixels.shape[1:]:
                raise CatalogueError(
                    f"{path} has {codes.shape[0]} x {codes.shape[1]} pixels",
                    expected=f"{picture.grid.height} x {picture.grid.width} as {pair.image}",
                )
        image, *labels = _written(pair, target)
        write_raster(
            image,
            picture.pixels,
            picture.grid,
            nodata=picture.nodata,
            bands=self.band_names(pair.image),
        )
        for path, codes in zip(labels, files.values(), strict=True):
            write_raster(path, codes[None], picture.grid, nodata=NODATA, legend=self.legend)
        return LabelledScene(image, labels[0], pair.split, pair.group)

    def note_strays(self, path: Path, pixels: int) -> None:
        """Note that so many pixels of a label are left unlabelled for their colours."""
        self.notes.append(f"{path.name}: {counted(pixels)} of unknown colours left unlabelled")

    def missing(self, source: Path) -> CatalogueError:
        """The error of a folder that is not this dataset."""
        wrong = f"{source} is not" if source.is_dir() else f"there is no folder {source} with"
        return CatalogueError(
            f"{wrong} {self.title}",
            expected=self.layout,
            remedy=f"get it from {self.home}",
        )

    def both(
        self, images: Mapping[str, Path], labels: Mapping[str, Path]
    ) -> dict[str, tuple[Path, Path]]:
        """Picture and label by name, in the order of names.

        Raises:
            CatalogueError: If one lacks the other.
        """
        for name in sorted(images.keys() ^ labels.keys()):
            path, lacking = (images[name], "label") if name in images else (labels[name], "picture")
            raise CatalogueError(
                f"{path} has no {lacking}",
                expected=self.layout,
                remedy=f"get it from {self.home}",
            )
        return {name: (images[name], labels[name]) for name in sorted(images)}

    def _lacking(self, pairs: Sequence[Pair]) -> list[str]:
        """A note on how much less than the whole dataset is there."""
        there = Counter(pair.split for pair in pairs)
        short = [
            f"{there[split]:,} of {number:,} {split}"
            for split, number in self.whole.items()
            if there[split] < number
        ]
        if not short:
            return []
        return [f"not all pictures are there: {', '.join(short)}; get the others from {self.home}"]


def _written(pair: Pair, target: Path) -> list[Path]:
    """The files that a pair becomes: the picture, its label, and the eroded one if there is one."""
    endings = ("", "_label") if pair.eroded is None else ("", "_label", "_label_eroded")
    return [target / f"{pair.name}{ending}.tif" for ending in endings]
