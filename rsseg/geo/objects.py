"""Whole files in object stores and on web servers: read, looked for, listed, put in one piece.

GDAL has the clients and finds the keys: ``AWS_...``, ``~/.aws``, ``GOOGLE_...``, ``AZURE_...``.
"""

from __future__ import annotations

import io
import re
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request

import rasterio

from rsseg.errors import OutputError, SceneError
from rsseg.geo import gdal_files
from rsseg.geo.remote import (
    ATTEMPTS,
    gdal_name,
    may_pass,
    pause,
    public_name,
    public_text,
    settings,
)
from rsseg.geo.web import ask_web

_STORES = re.compile(r"(s3|gs|az|oss)://|/vsi(s3|gs|az|adls|oss|swift|webhdfs|hdfs|mem)/")
_WEB = re.compile(r"(https?|ftp)://|/vsicurl[/?]")
_CHUNK = 8 << 20
_MAY_LOOK = "may the key that is set read and list there, does the network work?"

_KEPT = "%/:?#[]@!$&'()*+,;=~"
"""What stands in addresses as it is (RFC 3986); blanks and letters beyond ASCII are escaped."""

Answer = TypeVar("Answer")


def is_object(path: str | Path) -> bool:
    """Whether a name is that of an object in a store, which can be written."""
    return _STORES.match(str(path)) is not None


def is_address(path: str | Path) -> bool:
    """Whether a name is that of a file on a web server, which can be read alone."""
    return _WEB.match(str(path)) is not None


def joined(folder: str | Path, name: str) -> str | Path:
    """The name of a file in a folder, on a disk or in a store."""
    if is_object(folder):
        return f"{str(folder).rstrip('/')}/{name}"
    return Path(folder) / name


def read_object(name: str) -> bytes:
    """The bytes of an object, or of a file on a web server, read in several attempts.

    Raises:
        SceneError: If there is none, it may not be read, or its server does not answer.
    """
    if re.match(r"https?://", name):
        return _fetched(name)

    try:
        return _persistent(lambda: gdal_files.read(gdal_name(name)))
    except FileNotFoundError:
        raise SceneError(f"there is no file {public_name(name)}") from None
    except OSError as error:
        raise SceneError(
            f"{public_name(name)} cannot be read: {public_text(str(error))}"
        ) from error


def object_size(name: str) -> int | None:
    """Bytes of an object; None if there is none.

    Raises:
        OutputError: If its store does not answer or lets nobody look.
    """
    try:
        return _persistent(lambda: gdal_files.size(gdal_name(name)))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(
            f"{public_name(name)} cannot be looked for: {public_text(str(error))}",
            remedy=_MAY_LOOK,
        ) from error


def object_headers(name: str) -> dict[str, str]:
    """What a store tells with a part of an object: HTTP headers, their names in lower case.

    Empty where no server is asked, as in GDAL's memory, or GDAL's functions are out of reach.

    Raises:
        SceneError: If there is no such object, it may not be read, or its store does not answer.
    """
    try:
        return _persistent(lambda: gdal_files.headers(gdal_name(name)))
    except OutputError:
        return {}
    except FileNotFoundError:
        raise SceneError(f"there is no file {public_name(name)}") from None
    except PermissionError as error:
        raise SceneError(
            f"{public_name(name)} may not be read",
            got=_sentence(error),
            remedy="the key for its store may be missing, wrong or out of date",
        ) from None
    except OSError as error:
        raise SceneError(
            f"{public_name(name)} cannot be asked for ({_sentence(error)}){_tried(error)}",
            remedy="may the key that is set read there, does the network work?",
        ) from None


def object_names(folder: str, last: str) -> list[str]:
    """Names of what lies in a folder of a store, as it is there now.

    Args:
        folder: The folder.
        last: The name of an object in it, behind all others: a listing that has it is complete.

    Returns:
        All names, that one included; none if that object is not there.

    Raises:
        OutputError: If the store lets nobody look, or does not answer.
    """

    def listed() -> list[str]:
        names = gdal_files.names(gdal_name(folder))
        if last not in names:
            gdal_files.size(gdal_name(f"{folder}/{last}"))  # why, if its store tells
            raise OSError("its store lists nothing there")
        return names

    try:
        return _persistent(listed)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(
            f"{public_name(folder)} cannot be listed: {public_text(str(error))}", remedy=_MAY_LOOK
        ) from error


def put_object(source: Path | bytes, name: str) -> None:
    """Copy a file, or bytes, to an object, which is there whole or not at all.

    Up to ``VSIS3_CHUNK_SIZE`` megabytes (50) are one request, more of them a multipart upload that
    is completed at the end. It is tried several times, and the object's size is looked at after;
    parts of an attempt that failed are removed.

    Raises:
        OutputError: If it cannot be written.
    """
    attempts = 0

    def put() -> None:
        nonlocal attempts
        attempts += 1
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
            gdal_files.write(iter(lambda: file.read(_CHUNK), b""), gdal_name(name))
            size = file.tell()
        there = object_size(name)
        if there != size:
            raise OSError(f"{there or 'no'} bytes have arrived of {size}")

    try:
        _persistent(put)
    except OSError as error:
        _abort_uploads(name)
        raise OutputError(
            f"{public_name(name)} cannot be written{_tried(error)}: {public_text(str(error))}",
            remedy="is the bucket there, may the key that is set write, does the network work?",
        ) from error
    if attempts > 1:
        _abort_uploads(name)


def remove_objects(names: Sequence[str]) -> bool:
    """Delete objects of one store; whether that went well."""
    with rasterio.Env(**settings()):
        return gdal_files.remove([gdal_name(name) for name in names])


def require_store(name: str, *, overwrite: bool) -> None:
    """Check that an object can be written, by writing an empty one beside it for a moment.

    Args:
        name: The object to come.
        overwrite: Whether it may be there already.

    Raises:
        OutputError: If it is there, or its store takes none.
    """
    if not overwrite and object_size(name) is not None:
        raise OutputError(
            f"{public_name(name)} is already there", remedy="add --overwrite to replace it"
        )
    trial = f"{name}.{uuid.uuid4().hex}.unfinished"  # several processes may try at once
    put_object(b"\0", trial)
    remove_objects([trial])


def _abort_uploads(name: str) -> None:
    with rasterio.Env(**settings()):
        gdal_files.abort_uploads(gdal_name(name))


def _persistent(call: Callable[[], Answer]) -> Answer:
    """The answer of a call that is repeated where a server fails, within GDAL's settings."""
    for attempt in range(ATTEMPTS):
        time.sleep(pause(attempt))
        try:
            with rasterio.Env(**settings()):
                return call()
        except (FileNotFoundError, PermissionError):
            raise
        except OSError as error:
            if _refused(error) or attempt + 1 == ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _refused(error: OSError) -> bool:
    """Whether a server has said no, and would say it again."""
    status = _status(str(error)) or 0
    return status >= 400 and not may_pass(status)


def _tried(error: OSError) -> str:
    return "" if _refused(error) else f", tried {ATTEMPTS} times"


def _sentence(error: OSError) -> str:
    """What GDAL says of a failure, without what may give access."""
    return public_text(str(error)).rstrip(".")


def _status(message: str) -> int | None:
    """The HTTP status that a message tells."""
    told = re.search(r"HTTP (?:response |error )?(?:code)?\s*:?\s*(\d{3})", message)
    return int(told.group(1)) if told else None


def _fetched(address: str) -> bytes:
    name, plain = public_name(address), Request(quote(address, safe=_KEPT))
    try:
        return ask_web(plain, lambda answer: bytes(answer.read()), failure=f"{name} cannot be read")
    except HTTPError as error:
        if error.code in (404, 410):
            raise SceneError(f"there is no file {name}") from None
        raise SceneError(f"{name} may not be read (HTTP {error.code})") from None
