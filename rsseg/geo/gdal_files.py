"""GDAL's own files, as in ``/vsis3/bucket/name``: read, measured, listed, written, removed.

rasterio opens rasters alone, so GDAL's functions are called in the library that it has loaded:
https://gdal.org/en/stable/api/cpl.html (``cpl_vsi.h``). Names are those that GDAL knows.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import takewhile
from typing import Any

import rasterio._io

from rsseg.errors import OutputError

_CHUNK = 8 << 20
_START, _END = 0, 2
"""``SEEK_SET``, ``SEEK_END``."""

_REFUSED, _MISSING = (6, 9, 10), (7, 8)
"""Errors that stores have names for: access, key, signature; bucket, object (``VSIE_...``)."""

_GONE = r"HTTP.*\b(404|410)\b"


def read(name: str) -> bytes:
    """All bytes of a file.

    Raises:
        FileNotFoundError: If there is none.
        OSError: If it cannot be read.
    """
    with _opened(name) as file:
        count = _size(file)
        _gdal().VSIFSeekL(file, 0, _START)
        data = b"".join(iter(lambda: _read(file), b""))
    if len(data) != count:  # GDAL takes an answer that was cut off for the end of the file
        raise OSError(f"{len(data)} bytes have come of {count}")
    return data


def size(name: str) -> int:
    """Bytes of a file.

    Raises:
        FileNotFoundError: If there is none.
        OSError: If that cannot be told.
    """
    with _opened(name) as file:
        return _size(file)


def headers(name: str) -> dict[str, str]:
    """What its server tells of a file as it is there now: HTTP headers, their names in lower case.

    Nothing where GDAL asks no server, as in ``/vsimem/``.

    Raises:
        FileNotFoundError: If there is none.
        PermissionError: If it may not be read.
        OSError: If its server does not answer.
    """
    library = _forget(name)
    told = library.VSIGetFileMetadata(name.encode(), b"HEADERS", None)
    if told:
        lines = [line.decode("latin-1") for line in takewhile(lambda line: line is not None, told)]
        library.CSLDestroy(told)
        return {key.lower(): value for key, _, value in (line.partition("=") for line in lines)}
    message, number = _message(), library.VSIGetLastErrorNo()
    if number in _MISSING or re.search(_GONE, message):
        raise FileNotFoundError(message)
    if number in _REFUSED or re.search(r"HTTP.*\b(401|403)\b", message):
        raise PermissionError(message)
    if message:
        raise OSError(message)
    return {}


def names(folder: str) -> list[str]:
    """Names of files and folders in a folder, as they are there now.

    None where there is no folder, and none where it may not be listed, or its server fails: GDAL
    tells these not apart. Where a later one of several answers fails, the last names are missing.
    """
    library = _gdal()
    opened, found = library.VSIOpenDir(folder.encode(), 0, None), []
    if opened:
        while entry := library.VSIGetNextDirEntry(opened):
            found.append(entry.contents.name.decode(errors="replace"))
        library.VSICloseDir(opened)
    return found


def write(pieces: Iterable[bytes], name: str) -> None:
    """Write a file; what fails on the way leaves nothing, if GDAL writes whole objects there.

    Raises:
        OSError: If it cannot be written, or there is no next piece.
    """
    target = _open(name, b"wb")
    for piece in pieces:
        # what fails here leaves the object open: closing would complete it as it stands
        if _gdal().VSIFWriteL(piece, 1, len(piece), target) != len(piece):
            raise OSError(_message())
    if _gdal().VSIFCloseL(target) != 0:
        raise OSError(_message())


def remove(names: Sequence[str]) -> bool:
    """Delete files of one file system; whether that went well.

    Stores that can, S3 among them, are asked to delete a thousand at once.
    """
    library = _gdal()
    encoded = [name.encode() for name in names]
    done = library.VSIUnlinkBatch((ctypes.c_char_p * (len(encoded) + 1))(*encoded, None))
    left = [name for index, name in enumerate(encoded) if not (done and done[index])]
    library.VSIFree(done)
    return not [name for name in left if library.VSIUnlink(name) != 0]


def abort_uploads(name: str) -> None:
    """Drop the parts of uploads to this name that were begun and not completed, if there are any.

    A store keeps them, and asks money for them, though nobody sees them.
    """
    _gdal().VSIAbortPendingUploads(name.encode())


class _Entry(ctypes.Structure):
    """The first member of ``VSIDIREntry``."""

    _fields_ = (("name", ctypes.c_char_p),)


@contextmanager
def _opened(name: str) -> Iterator[Any]:
    """An object open for reading."""
    file = _open(name, b"rb")
    try:
        yield file
    finally:
        _gdal().VSIFCloseL(file)


def _open(name: str, mode: bytes) -> Any:
    file = _forget(name).VSIFOpenExL(name.encode(), mode, 1)
    if not file:
        message = _message()
        missing = not message or re.search(_GONE, message) or "No such file" in message
        if mode == b"rb" and (missing or "does not exist" in message):
            raise FileNotFoundError(message)
        raise OSError(message or "it cannot be opened")
    return file


def _forget(name: str) -> Any:
    """GDAL's functions, after earlier failures and what it remembers of a file are dropped."""
    library = _gdal()
    library.CPLErrorReset()
    library.VSIErrorReset()
    # what a listing or a writing has told of it; others may have changed it since
    library.VSICurlPartialClearCache(name.encode())
    return library


def _size(file: Any) -> int:
    """Bytes of an open file, at whose end it stands then."""
    if _gdal().VSIFSeekL(file, 0, _END) != 0:
        raise OSError(_message())
    return int(_gdal().VSIFTellL(file))


def _read(file: Any) -> bytes:
    buffer = ctypes.create_string_buffer(_CHUNK)
    count = _gdal().VSIFReadL(buffer, 1, _CHUNK, file)
    if count < _CHUNK and not _gdal().VSIFEofL(file):
        raise OSError(_message() or "it ends too early")
    return buffer.raw[:count]


def _message() -> str:
    """What GDAL says of its last failure, on one line."""
    texts = (_gdal().VSIGetLastErrorMsg(), _gdal().CPLGetLastErrorMsg())
    return next((" ".join(text.decode(errors="replace").split()) for text in texts if text), "")


@cache
def _gdal() -> Any:
    """GDAL's file functions, in the library that rasterio is linked with.

    Raises:
        OutputError: If they cannot be reached, as on Windows.
    """
    library: Any = ctypes.CDLL(rasterio._io.__file__)  # names are looked up in what it links, too
    signatures: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "VSIFOpenExL": (ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int)),
        "VSIFReadL": (
            ctypes.c_size_t,
            (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p),
        ),
        "VSIFWriteL": (
            ctypes.c_size_t,
            (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p),
        ),
        "VSIFSeekL": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int)),
        "VSIFTellL": (ctypes.c_uint64, (ctypes.c_void_p,)),
        "VSIFEofL": (ctypes.c_int, (ctypes.c_void_p,)),
        "VSIFCloseL": (ctypes.c_int, (ctypes.c_void_p,)),
        "VSIUnlink": (ctypes.c_int, (ctypes.c_char_p,)),
        "VSIUnlinkBatch": (ctypes.POINTER(ctypes.c_int), (ctypes.POINTER(ctypes.c_char_p),)),
        "VSICurlPartialClearCache": (None, (ctypes.c_char_p,)),
        "VSIGetFileMetadata": (
            ctypes.POINTER(ctypes.c_char_p),
            (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p),
        ),
        "CSLDestroy": (None, (ctypes.POINTER(ctypes.c_char_p),)),
        "VSIFree": (None, (ctypes.c_void_p,)),
        "VSIOpenDir": (ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p)),
        "VSIGetNextDirEntry": (ctypes.POINTER(_Entry), (ctypes.c_void_p,)),
        "VSICloseDir": (None, (ctypes.c_void_p,)),
        "VSIAbortPendingUploads": (ctypes.c_int, (ctypes.c_char_p,)),
        "VSIGetLastErrorMsg": (ctypes.c_char_p, ()),
        "VSIGetLastErrorNo": (ctypes.c_int, ()),
        "VSIErrorReset": (None, ()),
        "CPLGetLastErrorMsg": (ctypes.c_char_p, ()),
        "CPLErrorReset": (None, ()),
    }
    try:
        for name, (result, arguments) in signatures.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError:
        raise OutputError(
            "GDAL's access to object stores cannot be reached on this system",
            remedy="write to a folder and copy it",
        ) from None
    return library
