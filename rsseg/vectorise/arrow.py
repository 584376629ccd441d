"""Columns handed to GDAL without a copy, by way of Arrow's C stream interface.

GDAL pulls one batch after the other, so a layer of any size is written within a batch's memory.
The layout of the structures and who frees them: https://arrow.apache.org/docs/format/CDataInterface
and https://arrow.apache.org/docs/format/CStreamInterface.
"""

from __future__ import annotations

import ctypes
import errno
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

INT32, FLOAT64, TEXT, BINARY = "i", "g", "U", "Z"
"""Arrow's formats of columns; texts and binaries with 64-bit offsets."""


@dataclass(frozen=True)
class Column:
    """Values as Arrow lays them out.

    Args:
        length: Number of values.
        nulls: How many of them are missing.
        buffers: Bits of those that are there (None if all are), then offsets if there are any,
            then the data.
    """

    length: int
    nulls: int
    buffers: tuple[npt.NDArray[Any] | None, ...]

    @classmethod
    def numbers(cls, values: npt.NDArray[Any]) -> Column:
        """Of numbers; NaN is missing."""
        missing = np.isnan(values)
        bits = np.packbits(~missing, bitorder="little") if missing.any() else None
        return cls(len(values), int(missing.sum()), (bits, np.ascontiguousarray(values)))

    @classmethod
    def pieces(cls, values: Sequence[bytes]) -> Column:
        """Of pieces of bytes: geometries as WKB, texts in UTF-8."""
        offsets = np.zeros(len(values) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=offsets[1:])
        data = np.frombuffer(b"".join(values) or b"\0", dtype=np.uint8)
        return cls(len(values), 0, (None, offsets, data))


class ArrowStream:
    """Batches of columns that a consumer such as ``pyogrio.write_arrow`` pulls, once.

    Args:
        formats: Arrow's format of each column, by name.
        batches: Columns of each batch in the same order.
    """

    def __init__(self, formats: Mapping[str, str], batches: Iterator[Sequence[Column]]) -> None:
        self._formats = formats
        self._batches = batches
        self.failure: BaseException | None = None
        """What stopped the batches; the consumer knows no more than that something did."""
        self.ended = False
        """Whether the last batch was pulled."""
        self._pulling = self._interrupted = False

    @contextmanager
    def consumed(self) -> Iterator[None]:
        """A context for the consumer, after which a Ctrl-C is a failure of the batches.

        The consumer also calls Python to free a batch, and what is raised there is lost: Python
        tells of it, and the consumer goes on. So Ctrl-C is raised only where batches are made.
        """
        default = signal.default_int_handler
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGINT) is not default:
            yield  # here no Ctrl-C arrives, or whoever uses us deals with it
            return
        signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, default)
            if self._interrupted and self.failure is None:
                self.failure = KeyboardInterrupt()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A capsule with the stream."""
        stream = _Stream()
        calls = (_GET_SCHEMA(self._schema), _GET_NEXT(self._next), _GET_ERROR(lambda _: b"stopped"))
        stream.get_schema, stream.get_next, stream.get_last_error = calls
        stream.release = _RELEASE_STREAM
        stream.private_data = _held((self, calls))
        # The consumer moves the structure out of the capsule, which then stays with this object.
        self._stream = stream
        return _new_capsule(ctypes.addressof(stream), b"arrow_array_stream", None)

    def _schema(self, _: Any, out: Any) -> int:
        children = [_schema(kind, name) for name, kind in self._formats.items()]
        _fill(out.contents, _schema("+s", "", children))
        return 0

    def _next(self, _: Any, out: Any) -> int:
        try:
            columns = self._pull()
            if columns is None:
                self.ended = True
                out.contents.release = _NO_RELEASE_ARRAY
                return 0
            children = [_array(column) for column in columns]
            _fill(out.contents, _array(Column(columns[0].length, 0, (None,)), children))
            return 0
        except BaseException as failure:  # nothing may be raised through the consumer's code
            self.failure = failure
            return errno.EIO

    def _pull(self) -> Sequence[Column] | None:
        self._pulling = True
        try:
            if self._interrupted:
                raise KeyboardInterrupt
            return next(self._batches, None)
        finally:
            self._pulling = False

    def _interrupt(self, *_: object) -> None:
        self._interrupted = True
        if self._pulling:
            raise KeyboardInterrupt


class _Schema(ctypes.Structure):
    pass


class _Array(ctypes.Structure):
    pass


class _Stream(ctypes.Structure):
    pass


_SchemaPointer, _ArrayPointer, _StreamPointer = map(ctypes.POINTER, (_Schema, _Array, _Stream))
_RELEASE_OF_SCHEMA = ctypes.CFUNCTYPE(None, _SchemaPointer)
_RELEASE_OF_ARRAY = ctypes.CFUNCTYPE(None, _ArrayPointer)
_RELEASE_OF_STREAM = ctypes.CFUNCTYPE(None, _StreamPointer)
_GET_SCHEMA = ctypes.CFUNCTYPE(ctypes.c_int, _StreamPointer, _SchemaPointer)
_GET_NEXT = ctypes.CFUNCTYPE(ctypes.c_int, _StreamPointer, _ArrayPointer)
_GET_ERROR = ctypes.CFUNCTYPE(ctypes.c_char_p, _StreamPointer)

_Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(_SchemaPointer)),
    ("dictionary", _SchemaPointer),
    ("release", _RELEASE_OF_SCHEMA),
    ("private_data", ctypes.c_void_p),
]
_Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(_ArrayPointer)),
    ("dictionary", _ArrayPointer),
    ("release", _RELEASE_OF_ARRAY),
    ("private_data", ctypes.c_void_p),
]
_Stream._fields_ = [
    ("get_schema", _GET_SCHEMA),
    ("get_next", _GET_NEXT),
    ("get_last_error", _GET_ERROR),
    ("release", _RELEASE_OF_STREAM),
    ("private_data", ctypes.c_void_p),
]

_NULLABLE = 2
_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)


def _schema(kind: str, name: str, children: Sequence[_Schema] = ()) -> _Schema:
    made = _Schema(flags=_NULLABLE, n_children=len(children), release=_RELEASE_SCHEMA)
    made.format, made.name = texts = kind.encode(), name.encode()
    made.children = pointers = _pointers(_SchemaPointer, children)
    made.private_data = _held((texts, pointers, children))
    return made


def _array(column: Column, children: Sequence[_Array] = ()) -> _Array:
    made = _Array(length=column.length, null_count=column.nulls, release=_RELEASE_ARRAY)
    places = [None if buffer is None else buffer.ctypes.data for buffer in column.buffers]
    made.n_buffers = len(places)
    made.buffers = buffers = (ctypes.c_void_p * len(places))(*places)
    made.n_children = len(children)
    made.children = pointers = _pointers(_ArrayPointer, children)
    made.private_data = _held((column, buffers, pointers, children))
    return made


def _pointers(kind: Any, items: Sequence[Any]) -> Any:
    """A C array of pointers to structures; it and they must be kept."""
    return (kind * len(items))(*map(ctypes.pointer, items))


def _fill(target: ctypes.Structure, source: ctypes.Structure) -> None:
    ctypes.memmove(ctypes.byref(target), ctypes.byref(source), ctypes.sizeof(source))


def _held(thing: object) -> int:
    """The address of an object, which lives until `_release` is called with it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return id(thing)


def _release(released: Any) -> None:
    """Free a structure: its children that the consumer did not take over, then what it held."""
    structure = released.contents
    for index in range(getattr(structure, "n_children", 0)):
        child = structure.children[index]
        if child.contents.release:
            child.contents.release(child)
    held = structure.private_data
    structure.release = type(structure.release)()
    structure.private_data = None
    ctypes.pythonapi.Py_DecRef(ctypes.cast(held, ctypes.py_object))


_RELEASE_SCHEMA = _RELEASE_OF_SCHEMA(_release)
_RELEASE_ARRAY = _RELEASE_OF_ARRAY(_release)
_RELEASE_STREAM = _RELEASE_OF_STREAM(_release)
_NO_RELEASE_ARRAY = _RELEASE_OF_ARRAY()
