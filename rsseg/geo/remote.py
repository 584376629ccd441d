"""Rasters that lie behind a network: their names, and GDAL's settings for reading them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

ATTEMPTS = 3
"""Times that opening, or reading a window, is tried; each has GDAL's own retries within it."""

_SCHEMES = {
    "http": "/vsicurl/http://",
    "https": "/vsicurl/https://",
    "ftp": "/vsicurl/ftp://",
    "s3": "/vsis3/",
    "gs": "/vsigs/",
    "az": "/vsiaz/",
    "oss": "/vsioss/",
}
_FILE_SYSTEMS = ("curl", "s3", "gs", "az", "adls", "oss", "swift", "webhdfs", "hdfs")
_REMOTE = re.compile(
    rf"/vsi({'|'.join(_FILE_SYSTEMS)})(_streaming)?[/?]|^(\w+\+)?({'|'.join(_SCHEMES)})://"
)
_NAMED = re.compile(r"(/vsi\w+[/?]|\b(\w+\+)?\w+://)[^\s'\"<>|()]+")
_SETTINGS: dict[str, str | int | float] = {
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 0.5,  # doubled each time
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
    "GDAL_HTTP_LOW_SPEED_TIME": 30,  # a server that sends less than a kilobyte a second for
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1000,  # so long has stalled
    "GDAL_INGESTED_BYTES_AT_OPEN": 32_768,  # the header of most GeoTIFFs in one request
    # asks for masks and overviews beside the file by name, and lists no folder of a million files
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
    # what was cached goes with the dataset: a broken answer, or a file that has changed since
    "CPL_VSIL_CURL_NON_CACHED": ":".join(f"/vsi{system}" for system in _FILE_SYSTEMS),
}


def is_remote(path: str | Path) -> bool:
    """Whether a name leads over a network: a URL, ``/vsicurl/...``, ``/vsis3/...``."""
    return _REMOTE.search(str(path)) is not None


def gdal_name(path: str | Path) -> str:
    """The name by which GDAL itself opens it, as in a VRT: absolute, ``/vsicurl/`` before URLs."""
    scheme, separator, rest = str(path).partition("://")
    if separator and scheme in _SCHEMES:
        return _SCHEMES[scheme] + rest
    local = Path(path)
    return str(local.resolve()) if local.exists() else str(path)


def public_name(path: str | Path) -> str:
    """The name without what may give access: no user, password, query or signature."""
    name = str(path)
    if not is_remote(name):
        return name
    told = re.search(r"/vsicurl\?(?:.*&)?url=([^&]+)", name)
    if told:
        name = unquote(told.group(1))
    return re.sub(r"://[^/]*@", "://", re.split(r"[?#]", name, maxsplit=1)[0])


def public_text(text: str) -> str:
    """A sentence of other software without what may give access in the addresses that it names."""
    return _NAMED.sub(lambda found: public_name(found[0]), text)


def settings() -> dict[str, str | int | float]:
    """GDAL's configuration for reading over a network; what the environment says has its way."""
    return {key: value for key, value in _SETTINGS.items() if key not in os.environ}


def pause(attempt: int) -> float:
    """Seconds to wait before an attempt, counted from 0; none before the first."""
    delay = float(os.environ.get("GDAL_HTTP_RETRY_DELAY") or _SETTINGS["GDAL_HTTP_RETRY_DELAY"])
    return 0.0 if attempt == 0 else delay * 4.0**attempt


def may_pass(status: int) -> bool:
    """Whether what a server answers by this HTTP status may be over in a moment."""
    return status >= 500 or status in (408, 429)
