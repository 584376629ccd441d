"""Whether a scene is still the same: the files of its pixels, and what is known of them.

What is kept of it in a journal holds no address and no key.
"""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import Request

import numpy as np
from rasterio.errors import RasterioError
from rasterio.windows import Window

from rsseg.errors import SceneError
from rsseg.geo.objects import is_object, object_headers
from rsseg.geo.opening import open_raster, reading
from rsseg.geo.remote import gdal_name, is_remote, public_name
from rsseg.geo.web import ask_web

State = list[int | str]
"""What is known of a file."""

_AT_ONCE = 16
"""Servers asked at the same time."""

_SAMPLES = 3
"""Windows along each axis that a digest looks at."""

_SIDE = 64
"""Pixels along a side of such a window."""


def fingerprint(scene: str) -> list[State]:
    """The state of every file that a scene's pixels come from.

    Of a local file its size and time stamp, of a VRT its text and the files it names, of an
    address or an object in a store what its server says: size, ETag and time. Where nobody says
    ETag or time, such as of a file in an archive or in GDAL's memory, a digest of a sample of the
    pixels, which a change beside the sample leaves as it was.

    Raises:
        SceneError: If the scene cannot be opened, or a server does not answer.
    """
    files = [scene, *sources_of(scene)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(_state, files))


def sources_of(scene: str) -> list[str]:
    """What else a scene is made of: the sources of a VRT, also of VRTs in it; a mask beside it.

    Raises:
        SceneError: If the scene cannot be opened.
    """
    found: dict[str, None] = {}
    waiting = [scene]
    while waiting:
        name = waiting.pop()
        if is_remote(name) and not name.lower().endswith(".vrt"):
            continue  # GDAL would ask for a hundred files that are not there
        with open_raster(name) as dataset:
            files = [path for path in dataset.files if path != name]
            virtual = dataset.driver == "VRT"
        for path in files:
            if path not in found and (virtual or path.lower().endswith(".msk")):
                found[path] = None
                if path.lower().endswith(".vrt"):
                    waiting.append(path)
    return sorted(found)


def state_at_server(name: str) -> State | None:
    """Size, ETag and time stamp of a file by its web server or store; None if it does not tell.

    Raises:
        SceneError: If the server cannot be reached, or fails each time; if a store has no such
            object, or lets nobody read it.
    """
    told = object_headers(name) if is_object(name) else _told_by_web(name)
    whole = told.get("content-range", "").rpartition("/")[2]
    size = whole if whole.isdigit() else told.get("content-length", "")
    known = [told.get(key, "") for key in ("etag", "last-modified")]
    return [int(size) if size.isdigit() else 0, *known] if any(known) else None


def pixel_digest(name: str) -> str:
    """Hash of the grid and type of a raster, the sizes of its blocks, and a sample of its pixels.

    Raises:
        SceneError: If it cannot be opened or read.
    """
    digest = hashlib.sha256()
    with open_raster(name) as dataset:
        digest.update(repr((dataset.shape, dataset.dtypes, dataset.nodatavals)).encode())
        digest.update(repr(tuple(dataset.transform)).encode())
        try:
            with reading(dataset):
                for top in np.linspace(0, max(0, dataset.height - _SIDE), _SAMPLES, dtype=int):
                    for left in np.linspace(0, max(0, dataset.width - _SIDE), _SAMPLES, dtype=int):
                        rows, columns = dataset.block_shapes[0]
                        block = f"BLOCK_SIZE_{left // columns}_{top // rows}"
                        size = dataset.get_tag_item(block, "TIFF", bidx=1)
                        digest.update(str(size).encode())
                        side = min(_SIDE, dataset.width), min(_SIDE, dataset.height)
                        window = Window(int(left), int(top), *side)
                        digest.update(dataset.read(window=window).tobytes())
        except RasterioError as error:
            raise SceneError(
                f"{public_name(name)} cannot be read", remedy="it is damaged, or its server fails"
            ) from error
    return digest.hexdigest()


def _state(name: str) -> State:
    path = Path(name)
    if path.is_file() and path.suffix.lower() == ".vrt":
        return [_digest_of_vrt(path)]
    if path.is_file():
        status = path.stat()
        return [status.st_size, status.st_mtime_ns]
    if is_remote(name):
        return state_at_server(name) or [pixel_digest(name)]
    return [pixel_digest(name)]


def _told_by_web(name: str) -> dict[str, str]:
    """Headers of a web server, their names in lower case; none if it does not say, or is not asked.

    It is asked by a request of one byte: addresses that are signed for reading allow nothing else.
    """
    address = gdal_name(name).partition("/vsicurl")[2]
    told = re.search(r"url=([^&]+)", address) if address.startswith("?") else None
    address = unquote(told.group(1)) if told else address.lstrip("/")
    if not re.match(r"https?://[^@/]+(/|$)", address):
        return {}
    try:
        return ask_web(
            Request(address, headers={"Range": "bytes=0-0"}),
            lambda answer: {key.lower(): value for key, value in answer.headers.items()},
            failure=f"{public_name(name)} cannot be asked for",
        )
    except HTTPError:
        return {}  # GDAL may have a key that this request has not


def _digest_of_vrt(path: Path) -> str:
    """Hash of a VRT's text, whose sources count by their last name: folders and keys may change."""
    text = re.sub(
        r"(<SourceFilename[^>]*>)([^<]*)",
        lambda found: found[1] + Path(public_name(found[2])).name,
        path.read_text(encoding="utf-8"),
    )
    return hashlib.sha256(text.encode()).hexdigest()
