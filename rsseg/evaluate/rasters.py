"""Codes of class rasters, read strip by strip."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.transform import array_bounds
from rasterio.windows import Window

from rsseg.errors import GridMismatch, LegendError, SceneError
from rsseg.evaluate.matching import Labels
from rsseg.geo.class_raster import read_legend
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.legend import NODATA


class CodeRaster:
    """An open class raster, read as full-width strips; one thread at a time.

    Args:
        path: One band of whole numbers 0-254; what the file's nodata or mask hides becomes 255.

    Raises:
        SceneError: If it cannot be opened or is no class raster.
        LegendError: If its legend contradicts itself.
    """

    def __init__(self, path: str | Path) -> None:
        self._dataset = open_raster(path)
        try:
            self.path = str(path)
            self.grid = Grid.of(self._dataset)
            kinds = self._dataset.dtypes
            if self._dataset.count != 1 or not np.issubdtype(kinds[0], np.integer):
                bands = "1 band" if len(kinds) == 1 else f"{len(kinds)} bands"
                raise SceneError(
                    f"{path} is not a class raster",
                    expected="one band of class codes",
                    got=f"{bands} of {kinds[0]}",
                )
            legend = read_legend(self._dataset)
            named = any(known.name != f"class {known.code}" for known in legend)
            self.labels = Labels(self.path, {c.code: c.name for c in legend} if named else {})
            self._masked = MaskFlags.per_dataset in self._dataset.mask_flag_enums[0]
            self._nodata = self._dataset.nodata
        except BaseException:
            self._dataset.close()
            raise

    def __enter__(self) -> CodeRaster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._dataset.close()

    @property
    def block_height(self) -> int:
        """Rows that GDAL decodes at once."""
        return int(self._dataset.block_shapes[0][0])

    def read(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """Codes of the rows ``start`` to ``stop``, ``(stop - start, W)``; 255 where invalid.

        Raises:
            SceneError: If the file is damaged.
            LegendError: If a value is no code.
        """
        window = Window(0, start, self.grid.width, stop - start)
        try:
            values = self._dataset.read(1, window=window)
            hidden = self._dataset.read_masks(1, window=window) == 0 if self._masked else None
        except RasterioError as error:
            raise SceneError(
                f"{self.path} cannot be read near row {start}",
                remedy="the file is damaged or incomplete, copy or download it again",
            ) from error
        if self._nodata not in (None, NODATA):
            invalid = values == self._nodata
            hidden = invalid if hidden is None else hidden | invalid
        if values.dtype != np.uint8:
            beyond = (values < 0) | (values > NODATA)
            if hidden is not None:
                beyond &= ~hidden
            if beyond.any():
                raise LegendError(
                    f"{self.path} holds the value {values[beyond][0]}",
                    expected=f"codes 0-{NODATA - 1}, or {NODATA} for nodata",
                )
            values = values.astype(np.uint8)
        if hidden is not None:
            values[hidden] = NODATA
        return np.asarray(values)


def require_same_grid(raster: CodeRaster, truth: CodeRaster) -> None:
    """Check that a map and its truth lie on one grid.

    Raises:
        GridMismatch: If they do not, with the command that puts truth on the map's grid.
    """
    try:
        raster.grid.require_same(truth.grid, raster.path, truth.path)
    except GridMismatch as error:  # its remedy would lose the names of the classes
        raise GridMismatch(
            f"{truth.path} is {truth.grid}, {raster.path} is {raster.grid}",
            remedy=_remedy(raster, truth),
        ) from error


def _remedy(raster: CodeRaster, truth: CodeRaster) -> str:
    """The command that puts truth on the map's grid and keeps its class names (GDAL's tags)."""
    grid = raster.grid
    if truth.grid.crs is None or grid.crs is None or not grid.crs.to_epsg():
        return "georeference both, e.g. with gdal_edit -a_srs EPSG:CODE -a_ullr W N E S"
    west, south, east, north = array_bounds(grid.height, grid.width, grid.transform)
    return (
        f"put truth on the map's grid: gdalwarp -r near -t_srs EPSG:{grid.crs.to_epsg()} "
        f"-te {west:.10g} {south:.10g} {east:.10g} {north:.10g} -ts {grid.width} {grid.height} "
        f"-dstnodata {NODATA} {truth.path} OUT.tif"
    )
