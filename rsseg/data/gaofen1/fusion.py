"""Pansharpening rasters of any size: sums over the whole first, then window by window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rsseg.data.gaofen1.calibration import STEP, UNIT, Calibration
from rsseg.data.gaofen1.orthorectification import tiles
from rsseg.data.gaofen1.pansharpening import (
    HALO,
    Fusion,
    Moments,
    coarse_moments,
    sharpen,
)
from rsseg.data.gaofen1.product import BANDS, RATIO
from rsseg.data.gaofen1.resample import reach
from rsseg.errors import GridMismatch, SceneError
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.geo.writing import tiled_geotiff, writing

WINDOW = 256
"""Side of a window, coarse pixels."""

_SUMMED = 256
"""Side of what is summed at once, coarse pixels; fixed, for the order of a sum decides on its last
digit."""


def pansharpen_files(
    pan: str | Path,
    mss: str | Path,
    out: str | Path,
    *,
    calibration: Calibration | None = None,
    overviews: bool = False,
    window: int = WINDOW,
    tags: Mapping[str, str] | None = None,
    on_window: Callable[[], None] = lambda: None,
) -> None:
    """Write the sharpened bands as a tiled uint16 GeoTIFF with nodata 0, whole or not at all.

    Pixels do not depend on ``window``; memory does, by about 150 bytes a fine pixel of a window.

    Args:
        pan: Panchromatic raster, uint16, 0 where invalid.
        mss: Raster of blue, green, red and near infrared on the same ground, in pixels of 4 x 4
            panchromatic ones, uint16, all 0 where invalid.
        out: Target.
        calibration: If given, radiances are written instead of digital numbers, in steps of 0.01
            W/(m² sr µm), which is the scale of the bands.
        overviews: Whether to add overviews.
        window: Side of a window, coarse pixels.
        tags: Metadata of the file.
        on_window: Called after each part of the sums and after each window.

    Raises:
        GridMismatch: If the rasters do not lie on each other.
        SceneError: If one cannot be read.
        OutputError: If the target cannot be written.
    """
    with open_raster(pan) as fine, open_raster(mss) as coarse:
        grid = Grid.of(fine)
        shape = (coarse.height * RATIO, coarse.width * RATIO)
        Grid.of(coarse).resized(shape).require_same(grid, str(mss), str(pan))
        if coarse.count != len(BANDS) or fine.count != 1:
            raise GridMismatch(f"{mss} and {pan} are not four bands and one")
        fusion = _fit(fine, coarse, on_window)
        profile = tiled_geotiff(
            grid,
            len(BANDS),
            "uint16",
            512,
            nodata=0,
            compress="deflate",
            predictor=2,
            zlevel=1,
            num_threads="all_cpus",
            bigtiff="if_safer",
        )
        with writing(out) as unfinished:
            with rasterio.open(unfinished, "w", **profile) as target:
                target.descriptions = BANDS
                target.colorinterp = _COLOURS
                target.update_tags(**dict(tags or {}))
                if calibration is not None:
                    target.scales, target.units = [STEP] * len(BANDS), [UNIT] * len(BANDS)
                for part in tiles(Grid.of(coarse), window):
                    values = _values(fine, coarse, part, fusion, calibration)
                    target.write(values, window=_fine(part))
                    on_window()
            if overviews:
                _add_overviews(unfinished)


def count_windows(grid: Grid, window: int = WINDOW) -> int:
    """How often `pansharpen_files` calls ``on_window`` for a fine grid."""
    coarse = grid.resized((grid.height // RATIO, grid.width // RATIO))
    return sum(1 for side in (_SUMMED, window) for _ in tiles(coarse, side))


_COLOURS = (ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined)


def _fit(fine: DatasetReader, coarse: DatasetReader, on_tile: Callable[[], None]) -> Fusion:
    size = 1 + coarse.count
    moments = Moments(np.zeros((size, size)), np.zeros(size), 0.0)
    for part in tiles(Grid.of(coarse), _SUMMED):
        pan = _read(fine, _fine(part), RATIO * reach())[0]
        if pan.any():
            moments += coarse_moments(pan, _read(coarse, part, 0))
        on_tile()
    if moments.products[0, 0] == 0:
        raise SceneError(f"{fine.name} and {coarse.name} have no valid pixel in common")
    return Fusion.fit(moments)


def _values(
    fine: DatasetReader,
    coarse: DatasetReader,
    part: Window,
    fusion: Fusion,
    calibration: Calibration | None,
) -> npt.NDArray[np.uint16]:
    """What to write into a window of coarse pixels."""
    pan = _read(fine, _fine(part), 0)[0]
    values = np.zeros((len(BANDS), *pan.shape), np.uint16)
    if not pan.any():
        return values
    sharp, valid = sharpen(pan, _read(coarse, part, HALO), fusion)
    if calibration is not None:
        sharp = calibration.stored(sharp)
    limits = np.iinfo(np.uint16)
    np.copyto(values, np.clip(np.rint(sharp), 1, limits.max).astype(np.uint16), where=valid)
    return values


def _fine(part: Window) -> Window:
    return Window(*(RATIO * value for value in part.flatten()))


def _read(dataset: DatasetReader, window: Window, margin: int) -> npt.NDArray[np.uint16]:
    """All bands of a window and of so many pixels around, 0 beyond the raster."""
    first_row, first_column = window.row_off - margin, window.col_off - margin
    row, column = max(first_row, 0), max(first_column, 0)
    below = min(window.row_off + window.height + margin, dataset.height)
    right = min(window.col_off + window.width + margin, dataset.width)
    try:
        pixels = dataset.read(window=Window(column, row, right - column, below - row))
    except RasterioError as error:
        raise SceneError(f"{dataset.name} cannot be read at {window}") from error
    missing = (
        (0, 0),
        (row - first_row, window.row_off + window.height + margin - below),
        (column - first_column, window.col_off + window.width + margin - right),
    )
    return np.pad(pixels, missing)


def _add_overviews(path: Path) -> None:
    """Halves down to about 256 pixels, averaged."""
    with rasterio.open(path, "r+") as dataset:
        longest, factors = max(dataset.shape), list[int]()
        while longest >> len(factors) > 256:
            factors.append(2 ** (len(factors) + 1))
        if factors:
            dataset.build_overviews(factors, Resampling.average)
