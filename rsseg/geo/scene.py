"""Reading windows of a georeferenced raster, and knowing which of its pixels are valid."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import Interleaving, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from rsseg.geo.bands import band_names, choose_bands, common_dtype, find_band, told_names
from rsseg.geo.failures import read_failure, sources_of_vrt
from rsseg.geo.grid import Grid
from rsseg.geo.opened import OpenRaster
from rsseg.geo.opening import open_raster, reading
from rsseg.geo.quiet import quietly
from rsseg.geo.remote import ATTEMPTS, is_remote, pause
from rsseg.geo.tiling import inner_part, shifted

_ROWS = 1024
"""Rows whose pixels are read at a time to know which are valid."""


class Scene(OpenRaster):
    """An open raster with chosen bands; one thread at a time may read from it.

    Args:
        path: A file, or anything GDAL opens (VRT, ``/vsicurl/...``, URL).
        bands: Band numbers from 1, or names as `find_band` knows them; all bands but alpha if
            None.
        part: The part of the raster that is the scene, in whole pixels inside it; all of it if
            None. Windows are counted from its corner, and nothing beyond it is read.
        scattered: Whether windows are read here and there, see `open_raster`.

    Raises:
        SceneError: If the raster cannot be opened or has a pixel type networks cannot take.
        BandError: If a band is not there.
    """

    def __init__(
        self,
        path: str | Path,
        bands: Sequence[int | str] | None = None,
        part: Window | None = None,
        *,
        scattered: bool = False,
    ) -> None:
        super().__init__(path, scattered=scattered)
        self._scattered = scattered
        with self._closed_if_refused():
            self._part = part
            self._remote = any(map(is_remote, (self.path, *sources_of_vrt(self._dataset))))
            grid = Grid.of(self._dataset)
            self.grid = grid if part is None else grid.crop(part)
            self.bands = choose_bands(self._dataset, bands, self.name)
            self.dtype = common_dtype(self._dataset, self.bands, self.name)
            # within an Env, as what GDAL says of masks is not for the terminal
            with quietly(), rasterio.Env(), reading(self._dataset):
                flags = self._dataset.mask_flag_enums
            self._flags = {flag for band in self.bands for flag in flags[band - 1]}
            self._shadowed = self._dataset.nodata is not None
            self._all_valid = self._flags == {MaskFlags.all_valid} and self.dtype.kind != "f"

    @property
    def band_names(self) -> tuple[str, ...]:
        """Lower-case names of all bands: description, else colour, else number."""
        return tuple(band_names(self._dataset))

    @property
    def told_names(self) -> tuple[str | None, ...]:
        """Common names of all bands that the file spells out; None for others."""
        return tuple(told_names(self._dataset))

    def find(self, name: str) -> int | None:
        """The number of the band of this name, see `find_band`."""
        return find_band(self._dataset, name)

    @property
    def pixel_is_point(self) -> bool:
        """Whether values belong to the centres of pixels, as the file says, not to their areas."""
        return bool(self._dataset.tags().get("AREA_OR_POINT") == "Point")

    @property
    def taken(self) -> str | None:
        """When the picture was taken, as its tags tell: ``2023-05-01T10:30:00Z``."""
        tags = self._dataset.tags() | self._dataset.tags(ns="IMAGERY")
        for key in ("ACQUISITIONDATETIME", "TIFFTAG_DATETIME"):
            told = re.match(r"(\d{4})\D(\d\d)\D(\d\d)\D(\d\d:\d\d:\d\d)", tags.get(key, ""))
            if told is not None:
                year, month, day, clock = told.groups()
                return f"{year}-{month}-{day}T{clock}Z"
        return None

    @property
    def block_width(self) -> int:
        """Columns that GDAL decodes at once."""
        return int(max(columns for _, columns in self._dataset.block_shapes))

    @property
    def decoded_bytes(self) -> int:
        """Bytes of GDAL's cache for a pixel: interleaved bands are decoded together, and a mask."""
        chosen = [band - 1 for band in self.bands]
        if self._dataset.interleaving != Interleaving.band:
            chosen = list(range(self._dataset.count))
        return 1 + int(sum(np.dtype(self._dataset.dtypes[band]).itemsize for band in chosen))

    def read(
        self,
        window: Window,
        shape: tuple[int, int] | None = None,
        fill: npt.NDArray[np.float64] | None = None,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Pixels and validity of a window, which may reach beyond the scene.

        What lies beyond the scene is invalid, and filled by (repeated) reflection of the part of
        the window inside it.

        Args:
            window: Whole pixels.
            shape: Rows and columns to resample to (bilinear; nearest for validity), through
                overviews where the file has them; None keeps the scene's own pixels.
            fill: One value per band that takes the place of invalid pixels, ``(B,)``.

        Returns:
            Raw values ``(B, h, w)`` in the file's type, and True where the scene is valid,
            ``(h, w)``.

        Raises:
            SceneError: If the file is damaged or no longer there, or its server does not answer
                after several attempts.
        """
        size = (int(window.height), int(window.width))
        part = inner_part(window, (self.grid.height, self.grid.width), shape or size)
        resampled = {"out_shape": part.shape, "resampling": Resampling.bilinear}
        inside = part.inside if self._part is None else shifted(part.inside, self._part)
        pixels, valid = self._try_to_read(inside, resampled if part.resampled else {})
        if fill is not None and not valid.all():
            np.copyto(pixels, fill.astype(self.dtype)[:, None, None], where=~valid)
        if part.padded:
            pixels = np.pad(pixels, ((0, 0), *part.pads), mode="reflect")
            valid = np.pad(valid, part.pads, constant_values=False)
        return pixels, valid

    def overview(self, longest: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Pixels and validity of the whole scene, its longer side at most so many pixels.

        Raises:
            SceneError: If the file is damaged or no longer there.
        """
        height, width = self.grid.height, self.grid.width
        shrunk = max(1.0, max(height, width) / longest)
        shape = max(1, round(height / shrunk)), max(1, round(width / shrunk))
        return self.read(Window(0, 0, width, height), shape)

    def valid(self, window: Window) -> npt.NDArray[np.bool_]:
        """True where the scene is valid, ``(h, w)``, False beyond it.

        Raises:
            SceneError: If the file is damaged or no longer there.
        """
        size = int(window.height), int(window.width)
        part = inner_part(window, (self.grid.height, self.grid.width), size)
        valid = np.ones(part.shape, np.bool_)
        if not self._all_valid:
            inside = part.inside
            for row in range(0, len(valid), _ROWS):
                rows = min(_ROWS, len(valid) - row)
                some = Window(inside.col_off, inside.row_off + row, inside.width, rows)
                valid[row : row + rows] = self.read(some)[1]
        return np.pad(valid, part.pads, constant_values=False) if part.padded else valid

    def _try_to_read(
        self, inside: Window, resampled: dict[str, Any]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Pixels and validity of a window inside the file, after some attempts over a network."""
        attempts = ATTEMPTS if self._remote else 1
        for attempt in range(attempts):
            try:
                if attempt:
                    self._reopen(pause(attempt))
                with reading(self._dataset):
                    pixels = self._dataset.read(self.bands, window=inside, **resampled)
                    return pixels, self._valid(pixels, inside)
            except RasterioError as error:
                if attempt + 1 == attempts or (self._dataset.closed and not attempt):
                    tried = attempts if self._remote else None
                    raise read_failure(self._dataset, self.name, inside, error, tried) from error
        raise AssertionError("the last attempt returns or raises")

    def _reopen(self, seconds: float) -> None:
        """Open the file anew: what GDAL keeps of a broken answer goes with the dataset."""
        self._dataset.close()
        time.sleep(seconds)
        self._dataset = open_raster(self.path, scattered=self._scattered)

    def _valid(self, pixels: npt.NDArray[Any], window: Window) -> npt.NDArray[np.bool_]:
        if self._all_valid:
            return np.ones(pixels.shape[1:], dtype=np.bool_)
        shape = pixels.shape[1:]
        if MaskFlags.per_dataset in self._flags:
            with quietly() if self._shadowed else nullcontext():
                valid = self._dataset.dataset_mask(window=window, out_shape=shape) > 0
        else:
            masks = self._dataset.read_masks(
                self.bands, window=window, out_shape=(len(self.bands), *shape)
            )
            valid = masks.any(axis=0)
        if self.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(axis=0)
        return np.asarray(valid)
