"""Class rasters: written whole, and their legends read back."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rsseg.errors import LegendError, OutputError
from rsseg.geo.grid import Grid
from rsseg.geo.opened import reading_window
from rsseg.geo.opening import open_raster
from rsseg.geo.remote import public_name
from rsseg.geo.writing import tiled_geotiff, writing
from rsseg.legend import NODATA, LandClass, Legend

LEGEND_TAG = "RSSEG_LEGEND"
_AT_ONCE = 2**21
"""Pixels to read at a time, in whole blocks of the file."""
_CHUNK = 2**20
"""Pixels to count at a time: to sort them in takes eight bytes for each."""
_FEW = 12


def write_raster(
    path: str | Path,
    pixels: npt.NDArray[Any],
    grid: Grid,
    *,
    nodata: float | None = None,
    legend: Legend | None = None,
    bands: Sequence[str] = (),
) -> None:
    """Write ``(B, H, W)`` as a tiled GeoTIFF, whole or not at all.

    Args:
        path: Target; replaced if there.
        pixels: Values in the type to store.
        grid: Grid of the pixels.
        nodata: Value that means invalid.
        legend: Classes of a single-band class raster, for its colours and names.
        bands: Names of the bands.

    Raises:
        OutputError: If the file cannot be written, or pixels and grid differ in shape.
    """
    if pixels.shape[1:] != (grid.height, grid.width):
        raise OutputError(f"{path}: pixels {pixels.shape} do not fit their grid", expected=grid)
    # what training reads again and again: random windows come 1.5-1.8 times as fast as with deflate
    profile = tiled_geotiff(grid, len(pixels), pixels.dtype, 256, nodata=nodata, compress="zstd")
    profile["alpha"] = "no"  # GDAL takes the last of four bands of bytes for one
    with writing(path) as unfinished, rasterio.open(unfinished, "w", **profile) as target:
        target.write(pixels)
        for number, name in enumerate(bands, 1):
            target.set_band_description(number, name)
        if legend is not None:
            target.write_colormap(1, colour_map(legend))
            target.update_tags(**{LEGEND_TAG: json.dumps(legend.to_json())})


def count_codes(path: str | Path) -> npt.NDArray[np.int64]:
    """Pixels by file code of a single-band 8-bit raster, ``(256,)``.

    Raises:
        SceneError: If the file is damaged.
    """
    name = public_name(path)
    counts = np.zeros(256, dtype=np.int64)
    with open_raster(path) as dataset:
        rows, columns = dataset.block_shapes[0]
        rows *= max(1, _AT_ONCE // (rows * columns))
        for top in range(0, dataset.height, rows):
            for left in range(0, dataset.width, columns):
                window = Window(
                    left, top, min(columns, dataset.width - left), min(rows, dataset.height - top)
                )
                with reading_window(dataset, name, window):
                    codes = dataset.read(1, window=window)
                counts += pixels_by_code(codes)
    return counts


def pixels_by_code(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Pixels by code of an array of any shape, ``(256,)``."""
    counts, flat = np.zeros(256, dtype=np.int64), codes.ravel()
    for first in range(0, flat.size, _CHUNK):
        counts += _counts(flat[first : first + _CHUNK])
    return counts


def is_named(known: LandClass) -> bool:
    """Whether a class has a name of its own, and not one made of its code."""
    return known.name != f"class {known.code}"


def is_class_raster(dataset: DatasetReader) -> bool:
    """Whether an open raster is one band of 8-bit codes with names or colours."""
    return (
        dataset.count == 1
        and dataset.dtypes[0] == "uint8"
        and (LEGEND_TAG in dataset.tags() or dataset.colorinterp[0] == ColorInterp.palette)
    )


def read_legend(dataset: DatasetReader) -> Legend:
    """The classes of an open class raster.

    From rsseg's own tag, else from GDAL's category names, else one class for each colour of its
    colour table, else one for each of the 255 codes.

    Raises:
        LegendError: If the tag contradicts itself.
    """
    tag = dataset.tags().get(LEGEND_TAG)
    if tag is not None:
        try:
            return Legend.from_json(json.loads(tag))
        except ValueError as error:
            raise LegendError(f"the legend of {dataset.name} is damaged: {error}") from error
    names = dict(enumerate(_category_names(dataset)))
    colours = {}
    if dataset.colorinterp[0] == ColorInterp.palette:
        colours = {code: rgba[:3] for code, rgba in dataset.colormap(1).items()}
    named = [code for code, name in names.items() if name]
    codes = named or sorted(colours) or range(NODATA)
    nodata = NODATA if dataset.nodata is None else dataset.nodata
    return Legend(
        tuple(
            LandClass(code, names.get(code) or f"class {code}", colours.get(code, (code,) * 3))
            for code in codes
            if code not in (NODATA, nodata)
        )
    )


def colour_map(legend: Legend) -> dict[int, tuple[int, int, int, int]]:
    """RGBA by code, nodata transparent."""
    return {c.code: (*c.colour, 255) for c in legend} | {NODATA: (0, 0, 0, 0)}


def _counts(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Pixels by code, ``(256,)``; to look for each of a few codes is faster than to sort in all."""
    counts = np.zeros(256, dtype=np.int64)
    left = codes.size
    for code in (NODATA, *range(_FEW)):
        counts[code] = np.count_nonzero(codes == code)
        left -= counts[code]
        if not left:
            return counts
    return np.bincount(codes.ravel(), minlength=256)


def _category_names(dataset: DatasetReader) -> list[str]:
    """GDAL's category names, which rasterio does not tell, by way of a VRT copy."""
    with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
        copy = Path(folder) / "copy.vrt"
        rasterio.shutil.copy(dataset, copy, driver="VRT")
        root = xml.parse(copy).getroot()
    return [entry.text or "" for entry in root.findall("VRTRasterBand[1]/CategoryNames/Category")]
