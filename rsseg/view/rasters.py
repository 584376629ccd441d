"""Tiles of rasters and values at points, read by several threads at once."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import from_bounds
from rasterio.windows import Window
from rio_tiler.reader import read
from rio_tiler.utils import render

from rsseg.errors import SceneError
from rsseg.geo.display import Limits
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster, reading
from rsseg.geo.quiet import quietly
from rsseg.geo.remote import public_name
from rsseg.legend import NODATA
from rsseg.view.plane import MERCATOR, Bounds, Plane, pixel_size

_SLACK = 1.2  # an overview's pixels may be larger than a tile's by so much

Sampling = Literal["nearest", "bilinear"]
_Seen = tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]


class Raster:
    """A raster seen in a plane; each thread that reads has it open for itself.

    Args:
        path: A file, or anything GDAL opens.
        plane: Where tiles lie.
        bands: Numbers of the bands that are read, from 1.
        smaller: A copy of the raster with overviews, of which tiles are made; None if the raster
            has its own.
        scale: What the values at a point are multiplied by; those of tiles are as in the file.
        offset: What is then added.
    """

    def __init__(
        self,
        path: str,
        plane: Plane,
        bands: Sequence[int],
        smaller: Path | None = None,
        *,
        scale: float = 1.0,
        offset: float = 0.0,
    ) -> None:
        self.name = public_name(path)
        self._scale, self._offset = scale, offset
        self._path, self._plane, self._bands = path, plane, tuple(bands)
        self._smaller = None if smaller is None else str(smaller)
        self._mine = threading.local()
        self._open: list[DatasetReader] = []

    def close(self) -> None:
        """Close the file in all threads, none of which reads any more."""
        while self._open:
            self._open.pop().close()

    def read(self, bounds: Bounds, size: int, sampling: Sampling) -> _Seen:
        """Pixels of a part of the plane, ``(B, size, size)``, and where they are valid.

        Args:
            bounds: Of the tile, in the plane.
            size: Rows and columns to give.
            sampling: How pixels between the raster's are found.

        Raises:
            SceneError: If the file is damaged or no longer there.
        """
        try:
            if self._plane.mercator:
                return self._warped(bounds, size, sampling)
            return self._cut(bounds, size, sampling)
        except RasterioError as error:
            raise self._cannot_read() from error

    def at(self, u: float, v: float) -> tuple[tuple[int, int], list[float | None]] | None:
        """Row and column of the pixel at a point of the plane, and its values, None where invalid.

        None beyond the raster.

        Raises:
            SceneError: If the file is damaged or no longer there.
            GridMismatch: If the point has no place in the raster's CRS.
        """
        try:
            dataset = self._dataset(self._path)
            if self._plane.mercator:
                (x,), (y,) = self._plane.to_ground(dataset.crs, [u], [v])
                column, row = ~dataset.transform @ (float(x), float(y))
            else:
                column, row = u, -v
            if not (0 <= column < dataset.width and 0 <= row < dataset.height):
                return None
            window = Window(math.floor(column), math.floor(row), 1, 1)
            with reading(dataset):
                pixel = dataset.read(self._bands, window=window, masked=True)[:, 0, 0]
        except RasterioError as error:
            raise self._cannot_read() from error
        values = [None if value is np.ma.masked else float(value) for value in pixel]
        values = [
            None
            if value is None or not math.isfinite(value)
            else value * self._scale + self._offset
            for value in values
        ]
        return (math.floor(row), math.floor(column)), values

    def _dataset(self, path: str, level: int | None = None) -> DatasetReader:
        """The file, or one of its overviews, as this thread has it open."""
        mine = self._mine.__dict__.setdefault("datasets", {})
        if (path, level) not in mine:
            if level is None:
                dataset = open_raster(path)
            else:
                with reading(self._dataset(path)), quietly():
                    dataset = rasterio.open(path, OVERVIEW_LEVEL=level)
            mine[path, level] = dataset
            self._open.append(dataset)
        found: DatasetReader = mine[path, level]
        return found

    def _warped(self, bounds: Bounds, size: int, sampling: Sampling) -> _Seen:
        """Pixels warped straight to those of a tile.

        rio-tiler's own tiles are warped at the raster's resolution and then made smaller, which
        takes GDAL ten times as long where a CRS is costly.
        """
        path = self._smaller or self._path
        whole = self._dataset(path)
        size_here = pixel_size(Grid.of(whole))
        pixel = (bounds[2] - bounds[0]) / size * _SLACK
        fine = [k for k, factor in enumerate(whole.overviews(1)) if factor * size_here <= pixel]
        dataset = self._dataset(path, max(fine)) if fine else whole
        placed = from_bounds(*bounds, size, size)
        with reading(dataset):
            image = read(
                dataset,
                dst_crs=MERCATOR,
                indexes=self._bands,
                reproject_method=sampling,
                vrt_options={"transform": placed, "width": size, "height": size},
            )
        return _seen(image.array)

    def _cut(self, bounds: Bounds, size: int, sampling: Sampling) -> _Seen:
        """Pixels as they lie in the file; tiles begin within it, and may end beyond it."""
        dataset = self._dataset(self._smaller or self._path)
        left, top, side = bounds[0], -bounds[3], bounds[2] - bounds[0]
        width, height = min(side, dataset.width - left), min(side, dataset.height - top)
        columns, rows = (max(1, round(size * length / side)) for length in (width, height))
        with reading(dataset):
            image = read(
                dataset,
                window=Window(left, top, width, height),
                width=columns,
                height=rows,
                indexes=self._bands,
                resampling_method=sampling,
            )
        pixels, valid = _seen(image.array)
        beyond = (0, size - rows), (0, size - columns)
        return np.pad(pixels, ((0, 0), *beyond)), np.pad(valid, beyond)

    def _cannot_read(self) -> SceneError:
        return SceneError(f"{self.name} cannot be read", remedy="is it damaged, or gone?")


class ClassTiles:
    """Tiles of a class raster: codes as they are in the file."""

    def __init__(self, raster: Raster) -> None:
        self.raster = raster

    def tile(self, bounds: Bounds, size: int) -> bytes:
        """Codes row by row, a byte each, 255 where the raster is invalid or ends."""
        (codes,), valid = self.raster.read(bounds, size, "nearest")
        if codes.dtype != np.uint8:
            valid &= (codes >= 0) & (codes < NODATA)
        return np.where(valid, codes, NODATA).astype(np.uint8).tobytes()


class PictureTiles:
    """Tiles of a scene as it is drawn: one band in grey, or three in colour.

    Args:
        raster: The raster, its bands those drawn.
        limits: By band, the values that are black and fully bright.
    """

    def __init__(self, raster: Raster, limits: Sequence[Limits]) -> None:
        self.raster, self.limits = raster, tuple(limits)

    def tile(self, bounds: Bounds, size: int, *, native: bool) -> bytes:
        """A PNG, transparent where the raster is invalid or ends.

        Args:
            bounds: Of the tile, in the plane.
            size: Its rows and columns.
            native: Whether the raster's pixels are larger than the tile's, and seen as such.
        """
        pixels, valid = self.raster.read(bounds, size, "nearest" if native else "bilinear")
        return render(self._drawn(pixels, valid), valid.astype(np.uint8) * 255, ZLEVEL=1)

    def _drawn(
        self, pixels: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.uint8]:
        if pixels.dtype == np.uint8 and set(self.limits) == {(0, 255)}:
            return pixels
        low, high = np.array(self.limits, np.float64).T[:, :, None, None]
        shares = (np.where(valid, pixels, low) - low) / (high - low)
        drawn: npt.NDArray[np.uint8] = np.round(np.clip(shares, 0, 1) * 255).astype(np.uint8)
        return drawn


def _seen(image: np.ma.MaskedArray[Any, Any]) -> _Seen:
    """Pixels, and where they are valid: one of the bands at least, and all of them finite."""
    pixels = np.asarray(image.data)
    valid = ~np.asarray(np.ma.getmaskarray(image)).all(axis=0)
    if pixels.dtype.kind == "f":
        valid &= np.isfinite(pixels).all(axis=0)
    return pixels, np.asarray(valid)
