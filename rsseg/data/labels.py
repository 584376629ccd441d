"""Labels as class indices: read per window from class rasters or polygons."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from rsseg.data.catalogue import LabelledScene
from rsseg.errors import LegendError, OptionError, SceneError
from rsseg.geo.features import Features, PolygonRaster, read_features
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
        self._dataset = open_raster(path, scattered=scattered)
        if self._dataset.count != 1:
            bands = self._dataset.count
            self._dataset.close()
            raise LegendError(f"{path} has {bands} bands", expected="one band of class codes")
        height, width = self._dataset.shape
        part = part or Window(0, 0, width * stride, height * stride)
        super().__init__((int(part.height), int(part.width)))
        self._corner = self._own(part)
        self._indices, self._count = legend.indices, len(legend)
        self._plain = legend.codes.tolist() == list(range(len(legend)))

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
        try:
            with reading(self._dataset):
                codes = self._dataset.read(
                    1, window=place, out_shape=part.shape, resampling=Resampling.nearest
                )
        except RasterioError as error:
            raise SceneError(f"{self.path} cannot be read at {place}") from error
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
        within = codes if codes.dtype == np.uint8 else np.clip(codes, 0, NODATA).astype(np.uint8)
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
                expected=f"{np.flatnonzero(self._indices != NODATA).tolist()} or {NODATA}",
            )
        return indices


class LabelPolygons(Labels):
    """Polygons with a class, burnt window by window; where they overlap, the later one wins.

    Args:
        scene: The row that names the file, its field, its areas and its background.
        legend: The classes; names or codes are matched.
        grid: Grid of the scene, or of the part that the row is about.

    Raises:
        SceneError: If a file cannot be read or holds other geometries.
        OptionError: If the field is not there.
        LegendError: If a class is none of the legend's.
        GridMismatch: If the scene has no CRS to take the polygons to.
    """

    def __init__(self, scene: LabelledScene, legend: Legend, grid: Grid) -> None:
        fields = (scene.field,) if scene.field else ("class", "class_id")
        features = read_features(scene.label, grid, fields)
        _require_polygons(scene.label, features)
        self._polygons = PolygonRaster(features.geometries, _indices(scene, features, legend), grid)
        notes, self._areas, self._background = features.notes, None, NODATA
        if scene.areas is not None:
            areas = read_features(scene.areas, grid, ())
            _require_polygons(scene.areas, areas)
            inside = np.zeros(len(areas.geometries), np.uint8)
            self._areas = PolygonRaster(areas.geometries, inside, grid)
            notes += areas.notes
        if scene.background is not None:
            self._background = _index(scene.background, legend, f"the background of {scene.label}")
        super().__init__((grid.height, grid.width), notes)

    def read(self, window: Window, shape: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
        """Class indices ``(h, w)`` of a window, 255 where unlabelled or beyond the scene."""
        size = shape or (int(window.height), int(window.width))
        part = inner_part(window, self.shape, size)
        indices = self._polygons.read(part.inside, part.shape)
        indices[indices == NODATA] = self._background
        if self._areas is not None:
            indices[self._areas.read(part.inside, part.shape) == NODATA] = NODATA
        return np.pad(indices, part.pads, constant_values=NODATA)


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
        return LabelPolygons(scene, legend, grid)
    return LabelRaster(scene.label, legend, scene.window, label_stride)


def _require_polygons(path: Path, features: Features) -> None:
    kinds = set(shapely.get_type_id(features.geometries).tolist())
    if not kinds <= {3, 6}:
        raise SceneError(f"{path} holds other geometries than polygons", expected="polygons")


def _indices(scene: LabelledScene, features: Features, legend: Legend) -> npt.NDArray[np.uint8]:
    """Class index by polygon, from names or codes."""
    values, place = np.unique(features.values.astype(str), return_inverse=True)
    said = f"the field '{features.field}' of {scene.label}"
    found = [_index(value, legend, said) for value in values.tolist()]
    return np.array(found, np.uint8)[place] if found else np.empty(0, np.uint8)


def _index(value: str, legend: Legend, place: str) -> int:
    """Class index of a name or a code; 255 for the code of nodata."""
    name = value.strip()
    if name in legend.names:
        return legend.names.index(name)
    code = name.removesuffix(".0")
    if code.isdecimal() and int(code) <= NODATA:
        index = int(legend.indices[int(code)])
        if index != NODATA or int(code) == NODATA:
            return index
    classes = ", ".join(f"{c.code} {c.name}" for c in legend)
    raise LegendError(f"{place} holds the class '{name}'", expected=classes)
