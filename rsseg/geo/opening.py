"""Opening rasters for reading, with failures in one sentence, and GDAL's settings for it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.env import get_gdal_config
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from rsseg.errors import SceneError
from rsseg.geo.quiet import quietly
from rsseg.geo.remote import ATTEMPTS, is_remote, may_pass, pause, public_name, settings

_WITHOUT_PARTS = "Range downloading not supported"
_STRICT = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": False}  # works when given at opening and at reading


def open_raster(path: str | Path, *, scattered: bool = False) -> DatasetReader:
    """Open a raster for reading, without the warning that it has no place on the ground.

    Over a network it is tried several times, unless the server has said that it is no use.

    Args:
        path: A file, or anything GDAL opens: a VRT, ``/vsicurl/...``, ``/vsis3/...``, a URL.
        scattered: Whether windows are read here and there. An uncompressed GeoTIFF is then read
            without GDAL's block cache: only the bytes of the window, not whole strips. The blocks
            of a compressed one that a window touches are decoded by several threads at once.

    Raises:
        SceneError: If there is no such file, GDAL cannot read it, or its server does not answer.
    """
    network = settings() if _may_be_remote(path) else {}
    ways = {"GTIFF_DIRECT_IO": scattered, **(_decoders() if scattered else {})}
    for attempt in range(ATTEMPTS):
        time.sleep(pause(attempt))
        try:
            # within an Env GDAL's own messages go to Python's logging
            with quietly(), rasterio.Env(**_STRICT, **network, **ways):
                dataset = rasterio.open(path)
            break
        except RasterioIOError as error:
            if attempt == ATTEMPTS - 1 or not is_remote(path) or _final(error):
                raise _cannot_open(path, error) from error
    if scattered and not _is_whole(dataset):
        dataset.close()
        return open_raster(path)
    return dataset


def reading(dataset: DatasetReader) -> AbstractContextManager[Any]:
    """Within it, GDAL reads an open raster as it was opened.

    An incomplete PNG fails, where GDAL's fast way gives noise and no error; and what a VRT opens
    when it is read has the settings for networks as well.
    """
    options: dict[str, Any] = {}
    if dataset.driver == "PNG":
        options |= _STRICT
    if _may_be_remote(dataset.name):
        options |= settings()
    return rasterio.Env(**options) if options else nullcontext()


@contextmanager
def gdal_cache(limit: int) -> Iterator[None]:
    """Hold GDAL's block cache to ``limit`` bytes while the context lasts."""
    with rasterio.Env(GDAL_CACHEMAX=limit):
        yield


def gdal_cache_size() -> int:
    """Bytes that GDAL's block cache may take: a twentieth of the memory, unless told otherwise."""
    return int(get_gdal_config("GDAL_CACHEMAX"))


def hold_gdal_cache(limit: int) -> None:
    """Hold GDAL's block cache to ``limit`` bytes for the rest of this thread's life."""
    rasterio.Env(GDAL_CACHEMAX=limit).__enter__()


def hold_decoders(readers: int) -> None:
    """One of so many threads that read: its share of the cores decodes for it from now on."""
    if _decoders():
        rasterio.Env(GDAL_NUM_THREADS=max(1, (os.cpu_count() or 1) // readers)).__enter__()


def _decoders() -> dict[str, Any]:
    """GDAL's setting for decoding with all cores, unless another number is set.

    None in a process that another has begun: a fork leaves GDAL's threads behind, and the child
    would wait for them for ever.
    """
    free = parent_process() is None and get_gdal_config("GDAL_NUM_THREADS") is None
    return {"GDAL_NUM_THREADS": "ALL_CPUS"} if free else {}


def _may_be_remote(path: str | Path) -> bool:
    """Whether GDAL may ask a network for it: a VRT on a disk can have sources anywhere."""
    return is_remote(path) or str(path).lower().endswith(".vrt")


def _status(error: RasterioIOError) -> int | None:
    """The HTTP status that GDAL tells."""
    told = re.search(r"HTTP (?:response code|error code)\s*:\s*(\d+)", str(error))
    return int(told.group(1)) if told else None


def _final(error: RasterioIOError) -> bool:
    """Whether another attempt would end alike: the client's fault, or no raster."""
    status = _status(error) or 0
    refused = status >= 400 and not may_pass(status)
    return refused or any(text in str(error) for text in ("not recognized", _WITHOUT_PARTS))


def _cannot_open(path: str | Path, error: RasterioIOError) -> SceneError:
    name, status = public_name(path), _status(error)
    local = "://" not in name and not name.startswith("/vsi")
    if status in (404, 410) or (local and not Path(path).exists()):
        return SceneError(f"there is no file {name}", got=f"HTTP {status}" if status else None)
    if status in (401, 403):
        remedy = "its address may lack a key, or its signature has run out"
        return SceneError(f"{name} may not be read", got=f"HTTP {status}", remedy=remedy)
    if _WITHOUT_PARTS in str(error):
        return SceneError(f"the server of {name} gives no parts of files", remedy="download it")
    if is_remote(path) and not _final(error):
        reason = "" if status is None else f" (HTTP {status})"
        return SceneError(
            f"{name} cannot be opened{reason}, tried {ATTEMPTS} times",
            remedy="its server or the connection fails, try again later",
        )
    return SceneError(
        f"{name} cannot be opened as a raster",
        expected="a GeoTIFF or another GDAL raster",
        remedy="if it is one, its server cuts it short: try again later"
        if is_remote(path)
        else None,
    )


def _is_whole(dataset: DatasetReader) -> bool:
    """Whether an uncompressed local file can hold all of its pixels.

    Read directly, what a truncated one lacks would be zeros; read in blocks it is an error.
    """
    if dataset.driver != "GTiff" or dataset.compression is not None:
        return True
    pixels = sum(np.dtype(kind).itemsize for kind in dataset.dtypes)
    path = Path(dataset.name)
    return path.is_file() and path.stat().st_size >= dataset.height * dataset.width * pixels
