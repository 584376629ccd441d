"""Labels as class indices: read per window from class rasters or polygons."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rsseg.data.catalogue import LabelledScene
from rsseg.errors import LegendError, OptionError, SceneError
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster, reading
from rsseg.geo.tiling import inner_part, shifted
from rsseg.legend import NODATA, Legend


class Labels(ABC):
    """The classes of one labelled scene, read per window as class indices.

    Args:
        shape: Rows and columns of the scene, or of the part that its row is about.
        notes: What the user should know of the file.
    """

    def __init__(self, shape: tuple[int, int], notes: tuple[str, ...] = ()) -> None:
        self.shape, self.notes = shape, notes

    @abstractmethod
    def read(self, window: Window, shape: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
        """Class indices ``(h, w)`` of a window, 255 where unlabelled or beyond the scene.

        Args:
            window: Whole pixels of the scene.
            shape: Rows and columns to give, nearest; None for the label's own pixels.
        """

    def strips(self, rows: int) -> Iterator[Window]:
        """Full-width windows of so many rows that cover the scene, from the top."""
        height, width = self.shape
        for row in range(0, height, rows):
            yield Window(0, row, width, min(rows, height - row))

    def close(self) -> None:  # noqa: B027  (polygons have nothing to close)
        """Let go of what is open."""


class LabelRaster(Labels):
    """An open class raster; one thread at a time.

    Args:
        path: A single-band raster of the legend's codes, 255 where unlabelled.
        legend: Codes and their indices.
        part: The part of the scene that is read, in its pixels; all of it if None.
        stride: Pixels of the scene along a side of a pixel of the raster.
        scattered: Whether windows are read here and there, see `open_raster`.

    Raises:
        SceneError: If it cannot be opened.
        LegendError: If it has more than one band.
    """

    def __init__(
        self,
        path: str | Path,
        legend: Legend,
        part: Window | None = None,
        stride: int = 1,
        *,
        scattered: bool = False,
    ) -> None:
        self.path, self._stride = str(path), stride
        self._dataset = _opened(path, scattered)
        if self._dataset.count != 1:
            bands = self._dataset.count
            self._dataset.close()
            raise LegendError(f"{path} has {bands} bands", expected="one band of class codes")
        height, width = self._dataset.shape
        part = part or Window(0, 0, width * stride, height * stride)
        super().__init__((int(part.height), int(part.width)))
        self._corner = self._own(part)
        self._indices, self._count = legend.indices, len(legend)
        self._codes = [f"{each.code} {each.name}" for each in legend]
        self._plain = legend.codes.tolist() == list(range(len(legend)))
        # overviews may hold codes mixed from neighbours, as those of the COG driver do; a VRT hides
        # those of its sources
        self._mixed = bool(self._dataset.overviews(1)) or self._dataset.driver == "VRT"

    def read(self, window: Window, shape: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
        """Class indices ``(h, w)`` of a window, 255 where unlabelled or beyond the scene.

        Raises:
            LegendError: If a code stands there that the legend does not have.
            OptionError: If the window cuts pixels of the raster.
            SceneError: If the file is damaged.
        """
        own = self._own(window)
        limits = self.shape[0] // self._stride, self.shape[1] // self._stride
        part = inner_part(own, limits, shape or (own.height, own.width))
        place = shifted(part.inside, self._corner)
        wanted = None if self._mixed else part.shape
        try:
            with reading(self._dataset):
                codes = self._dataset.read(
                    1, window=place, out_shape=wanted, resampling=Resampling.nearest
                )
        except RasterioError as error:
            raise SceneError(
                f"{self.path} cannot be read near row {int(place.row_off)}, "
                f"column {int(place.col_off)}",
                remedy="the file is damaged or incomplete, copy or download it again",
            ) from error
        if codes.shape != part.shape:
            codes = _nearest(codes, part.shape)
        indices = self._classes(codes)
        return np.pad(indices, part.pads, constant_values=NODATA) if part.padded else indices

    def close(self) -> None:
        """Close the file."""
        self._dataset.close()

    def _own(self, window: Window) -> Window:
        """A window of the scene in pixels of the raster."""
        sides = [int(side) for side in window.flatten()]
        if any(side % self._stride for side in sides):
            raise OptionError(
                f"{window} cuts pixels of {self.path}", expected=f"multiples of {self._stride}"
            )
        return Window(*(side // self._stride for side in sides))

    def _classes(self, codes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        if codes.dtype == np.uint8:
            within = codes
        else:  # what is no number is a code that no class has
            within = np.nan_to_num(np.clip(codes, 0, NODATA)).astype(np.uint8)
        if self._plain:
            indices, unknown = within, within + np.uint8(1) > self._count  # 255 + 1 is 0
        else:
            indices = np.take(self._indices, within)
            unknown = (indices == NODATA) & (within != NODATA)
        if within is not codes:
            unknown |= within != codes
        if unknown.any():
            raise LegendError(
                f"{self.path} holds the code {codes[unknown][0]}",
                expected=f"{', '.join(self._codes)}, or {NODATA} for unlabelled",
            )
        return indices


def open_labels(scene: LabelledScene, legend: Legend, grid: Grid, label_stride: int = 1) -> Labels:
    """The labels of a row of a catalogue.

    Args:
        scene: The row.
        legend: Its classes.
        grid: What `LabelledScene.grid` gave.
        label_stride: Pixels of the scene along a side of a label pixel; of a raster only.

    Raises:
        SceneError: If a file cannot be read.
        LegendError: If a class of polygons is none of the legend's.
        OptionError: If the field of the polygons is not there.
        GridMismatch: If polygons have a CRS and the scene has none.
    """
    if scene.polygons:
        from rsseg.data.label_polygons import LabelPolygons  # which builds on this module

        return LabelPolygons(scene, legend, grid)
    return LabelRaster(scene.label, legend, scene.window, label_stride)


def _opened(path: str | Path, scattered: bool) -> DatasetReader:
    """A raster to read here and there, unless it is compressed.

    The blocks of one band of bytes are decoded sooner than other threads would have them.
    """
    dataset = open_raster(path)
    if not scattered or dataset.compression is not None:
        return dataset
    dataset.close()
    return open_raster(path, scattered=True)


def _nearest(codes: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """The codes at the centres of the pixels of another shape."""
    rows, columns = (
        ((np.arange(wanted) + 0.5) * there / wanted).astype(np.intp)
        for wanted, there in zip(shape, codes.shape, strict=True)
    )
    sampled: npt.NDArray[Any] = codes[rows[:, None], columns]
    return sampled
