"""Opening rasters for reading, with failures in one sentence, and GDAL's settings for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from rsseg.errors import SceneError
from rsseg.geo.quiet import quietly

_STRICT = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": False}  # works when given at opening and at reading


def open_raster(path: str | Path, *, scattered: bool = False) -> DatasetReader:
    """Open a raster for reading, without the warning that it has no place on the ground.

    Args:
        path: A file, or anything GDAL opens.
        scattered: Whether windows are read here and there. An uncompressed GeoTIFF is then read
            without GDAL's block cache: only the bytes of the window, not whole strips.

    Raises:
        SceneError: If there is no such file or GDAL cannot read it.
    """
    try:
        # within an Env GDAL's own messages go to Python's logging
        with quietly(), rasterio.Env(**_STRICT, GTIFF_DIRECT_IO=scattered):
            dataset = rasterio.open(path)
    except RasterioIOError as error:
        local = "://" not in str(path) and not str(path).startswith("/vsi")
        if local and not Path(path).exists():
            raise SceneError(f"there is no file {path}") from error
        raise SceneError(
            f"{path} cannot be opened as a raster", expected="a GeoTIFF or another GDAL raster"
        ) from error
    if scattered and not _is_whole(dataset):
        dataset.close()
        return open_raster(path)
    return dataset


def reading(dataset: DatasetReader) -> AbstractContextManager[Any]:
    """Within it, reading an incomplete PNG fails; GDAL's fast way gives noise and no error."""
    return rasterio.Env(**_STRICT) if dataset.driver == "PNG" else nullcontext()


@contextmanager
def gdal_cache(limit: int) -> Iterator[None]:
    """Hold GDAL's block cache to ``limit`` bytes while the context lasts."""
    with rasterio.Env(GDAL_CACHEMAX=limit):
        yield


def hold_gdal_cache(limit: int) -> None:
    """Hold GDAL's block cache to ``limit`` bytes for the rest of this thread's life."""
    rasterio.Env(GDAL_CACHEMAX=limit).__enter__()


def _is_whole(dataset: DatasetReader) -> bool:
    """Whether an uncompressed local file can hold all of its pixels.

    Read directly, what a truncated one lacks would be zeros; read in blocks it is an error.
    """
    if dataset.driver != "GTiff" or dataset.compression is not None:
        return True
    pixels = sum(np.dtype(kind).itemsize for kind in dataset.dtypes)
    path = Path(dataset.name)
    return path.is_file() and path.stat().st_size >= dataset.height * dataset.width * pixels
