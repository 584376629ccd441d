"""Codes of class rasters, read strip by strip or here and there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rsseg.errors import LegendError, SceneError
from rsseg.geo.class_raster import LEGEND_TAG, is_named, read_legend
from rsseg.geo.grid import Grid
from rsseg.geo.opened import OpenRaster
from rsseg.legend import NODATA

Codes = npt.NDArray[np.uint8]


class CodeRaster(OpenRaster):
    """An open class raster; one thread at a time.

    Args:
        path: One band of whole numbers 0-254; what the file's nodata or mask hides becomes 255.

    Raises:
        SceneError: If it cannot be opened or is no class raster.
        LegendError: If its legend contradicts itself.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        with self._closed_if_refused():
            self.grid = Grid.of(self._dataset)
            _require_codes(self._dataset, self.name)
            self.legend = read_legend(self._dataset)
            self.tags: dict[str, str] = dict(self._dataset.tags())
            self.named = any(map(is_named, self.legend))
            """Whether the file tells names of classes."""
            palette = self._dataset.colorinterp[0] == ColorInterp.palette
            self.coloured = palette or LEGEND_TAG in self.tags
            """Whether it tells their colours."""
            self._masked = MaskFlags.per_dataset in self._dataset.mask_flag_enums[0]

    def read(self, start: int, stop: int) -> Codes:
        """Codes of the rows ``start`` to ``stop``, ``(stop - start, W)``; 255 where invalid.

        Raises:
            SceneError: If the file is damaged.
            LegendError: If a value is no code.
        """
        return self.read_window(Window(0, start, self.grid.width, stop - start))

    def read_window(self, window: Window, shape: tuple[int, int] | None = None) -> Codes:
        """Codes of a window inside of the raster, ``(h, w)``; 255 where invalid.

        Args:
            window: Whole pixels.
            shape: Rows and columns to make it smaller to: each pixel is then the class most of
                it has, through overviews where the file has them.

        Raises:
            SceneError: If the file is damaged.
            LegendError: If a value is no code.
        """
        hidden = None
        with self._reading(window):
            values = self._dataset.read(
                1, window=window, out_shape=shape, resampling=Resampling.mode
            )
            if self._masked:
                hidden = self._dataset.read_masks(1, window=window, out_shape=shape) == 0
        if self._dataset.nodata not in (None, NODATA):
            invalid = values == self._dataset.nodata
            hidden = invalid if hidden is None else hidden | invalid
        if values.dtype != np.uint8:
            beyond = (values < 0) | (values > NODATA)
            if hidden is not None:
                beyond &= ~hidden
            if beyond.any():
                raise LegendError(
                    f"{self.name} holds the value {values[beyond][0]}",
                    expected=f"codes 0-{NODATA - 1}, or {NODATA} for nodata",
                )
            values = values.astype(np.uint8)
        if hidden is not None:
            values[hidden] = NODATA
        return np.asarray(values)


def _require_codes(dataset: DatasetReader, name: str) -> None:
    kinds = dataset.dtypes
    if len(kinds) == 1 and np.issubdtype(kinds[0], np.integer):
        return
    bands, remedy = f"{len(kinds)} bands", None
    if len(kinds) == 1:
        bands, remedy = "1 band", f"if its values are codes, gdal_translate -ot Byte {name} OUT.tif"
    raise SceneError(
        f"{name} is not a class raster",
        expected="one band of class codes",
        got=f"{bands} of {kinds[0]}",
        remedy=remedy,
    )
