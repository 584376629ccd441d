"""The texts that an ONNX file carries beside its graph, read without onnx or protobuf.

An ONNX file is one protocol-buffer message: fields, each a key (its number, and of what kind the
value is) and a value. The graph is one field among them and is passed over, however large it is.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

_METADATA = 14
"""Number of the field ``metadata_props`` of a ``ModelProto`` in onnx.proto."""
_KEY, _VALUE = 1, 2
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_LONGEST = 100_000_000


def read_texts(path: Path) -> dict[str, str]:
    """Text by key of an ONNX file.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not such a file, or not all of it.
    """
    texts = {}
    with path.open("rb") as file:
        for _, entry in _fields(file, os.fstat(file.fileno()).st_size, (_METADATA,)):
            pair = dict(_fields(BytesIO(entry), len(entry), (_KEY, _VALUE)))
            texts[pair.get(_KEY, b"").decode()] = pair.get(_VALUE, b"").decode()
    return texts


def _fields(file: BinaryIO, end: int, wanted: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of the wanted fields of a message that ends there."""
    while file.tell() < end:
        key = _varint(file)
        number, kind = key >> 3, key & 7
        if number == 0 or kind not in (_VARINT, _FIXED64, _LENGTH, _FIXED32):
            raise ValueError("this is no ONNX file")
        if kind == _VARINT:
            _varint(file)
            continue
        length = _varint(file) if kind == _LENGTH else {_FIXED64: 8, _FIXED32: 4}[kind]
        if length > end - file.tell():
            raise ValueError("the file is cut off")
        if number in wanted and length <= _LONGEST:
            yield number, file.read(length)
        else:
            file.seek(length, os.SEEK_CUR)


def _varint(file: BinaryIO) -> int:
    """A number in groups of seven bits, the lowest first; the highest bit says that more follow."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("the file is cut off")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("this is no ONNX file")
