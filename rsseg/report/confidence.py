"""A raster of confidence, read as bytes whatever its type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from rsseg.errors import SceneError
from rsseg.geo.confidence import confidence_scaling
from rsseg.geo.grid import Grid
from rsseg.geo.opened import OpenRaster
from rsseg.geo.strips import ONE
from rsseg.legend import NODATA

_SLACK = 1e-3


class ConfidenceRaster(OpenRaster):
    """An open raster of confidence on a map's grid, read as full-width strips.

    Bytes are shares of 254, as ``rsseg predict`` writes them, unless the file tells a scale;
    other types are shares of 1, by the file's scale.

    Args:
        path: One band.
        grid: Of the map.
        map_name: Of the map, for messages.

    Raises:
        SceneError: If it cannot be opened or has several bands.
        GridMismatch: If it lies on another grid.
    """

    def __init__(self, path: str | Path, grid: Grid, map_name: str) -> None:
        super().__init__(path)
        with self._closed_if_refused():
            self._scale, self._offset = confidence_scaling(self._dataset, self.name)
            grid.require_same(Grid.of(self._dataset), map_name, self.name)
            self._width = grid.width
            self._direct = self._dataset.dtypes[0] == "uint8" and (
                abs(self._scale * ONE - 1) < _SLACK and not self._offset
            )

    def read(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """Confidence of the rows ``start`` to ``stop`` in parts of 254; 255 where invalid.

        Raises:
            SceneError: If the file is damaged or holds values that are no shares.
        """
        window = Window(0, start, self._width, stop - start)
        with self._reading(window):
            values = self._dataset.read(1, window=window)
            valid = self._dataset.read_masks(1, window=window) > 0
        if self._direct:
            return np.where(valid, values, NODATA).astype(np.uint8)
        shares = values.astype(np.float32) * np.float32(self._scale) + np.float32(self._offset)
        valid &= np.isfinite(shares)
        beyond = valid & ((shares < -_SLACK) | (shares > 1 + _SLACK))
        if beyond.any():
            raise SceneError(
                f"{self.name} is no raster of confidence",
                expected="values of 0-1, or bytes of 0-254 for them",
                got=f"{shares[beyond][0]:g}",
            )
        parts = np.where(valid, shares.clip(0, 1), 0) * ONE
        return np.where(valid, parts.round(), NODATA).astype(np.uint8)
