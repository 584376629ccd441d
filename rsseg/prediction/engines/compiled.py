"""Compiled graphs, kept in the cache: to load one takes a fifth of the time of compiling it.

A kept graph gives the bytes of the one that was compiled. It holds its weights in fp32, so those
unused for longest make room for others.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rsseg import __version__
from rsseg.caching import cache_folder, cache_place
from rsseg.errors import OutputError
from rsseg.replacing import replacing

MOST_BYTES = 2**29
"""What compiled graphs may take of the disk; a scene that is stretched has one of its own."""
_KIND = "compiled"
_CHECK = 4
"""Bytes at the end of a file: a checksum of all before, for a damaged graph may crash its
reader."""


def compiled_name(graph: Path, settings: Sequence[object]) -> str:
    """The name a compiled graph is kept under.

    Args:
        graph: The file it is compiled from, which may be written again.
        settings: All else that decides it, in plain types: the hash of the model, the machine.
    """
    state = graph.stat()
    key = [__version__, graph.name, state.st_size, state.st_mtime_ns, *settings]
    return f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()}.blob"


def read_compiled(name: str) -> memoryview | None:
    """A compiled graph; None if there is none of that name, or it is damaged."""
    place = cache_folder() / _KIND / name
    try:
        content = place.read_bytes()
    except OSError:
        return None
    blob, check = memoryview(content)[:-_CHECK], content[-_CHECK:]
    if check != zlib.crc32(blob).to_bytes(_CHECK, "little"):
        return None
    with suppress(OSError):  # of a folder that others own
        os.utime(place)
    return blob


def keep_compiled(name: str, blob: bytes | memoryview) -> None:
    """Keep a compiled graph, if the cache can be written and it is not too large."""
    if len(blob) > MOST_BYTES:
        return
    with suppress(OutputError, OSError):  # then it is compiled again next time
        place = cache_place(_KIND, name)
        with replacing(place) as unfinished, unfinished.open("wb") as file:
            file.write(blob)
            file.write(zlib.crc32(blob).to_bytes(_CHECK, "little"))
        _make_room(place.parent)


def _make_room(folder: Path) -> None:
    states = [(path.stat(), path) for path in folder.glob("[!.]*.blob")]
    taken = 0
    for state, path in sorted(states, key=lambda each: each[0].st_mtime_ns, reverse=True):
        taken += state.st_size
        if taken > MOST_BYTES:
            path.unlink(missing_ok=True)
