"""Files that appear whole or not at all."""

from __future__ import annotations

import glob
import os
import platform
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

DAY = 24 * 3600
"""Seconds after which no one still writes to what is unfinished."""

_NUMBERS = count()
_BEGUN: set[Path] = set()
"""What this process has begun, for an end without leaving its contexts."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; on success it takes the place of ``path``.

    No one else writes to that name, so several may write the same file at once: the last one stays.
    On failure nothing is left of it, and what stood at ``path`` is untouched. What a killed process
    left goes when the same file is next written on that machine, or a day later on another.
    """
    path = Path(path)
    token = f"{_machine()}-{os.getpid()}-{next(_NUMBERS)}"
    unfinished = path.with_name(f".{path.stem}.{token}.unfinished{path.suffix}")
    _BEGUN.add(unfinished)
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        try:
            escaped = glob.escape(f".{path.stem}.") + "*" + glob.escape(f".unfinished{path.suffix}")
            for left in path.parent.glob(f"{escaped}*"):
                whose = left.name.removeprefix(f".{path.stem}.")
                if whose.startswith(f"{token}.") or _is_left(left, whose):
                    left.unlink(missing_ok=True)
        finally:
            _BEGUN.discard(unfinished)


def remove_unfinished() -> None:
    """Remove what this process has not finished; before it ends without leaving its contexts.

    What cannot be removed stays until the same file is next written.
    """
    for unfinished in list(_BEGUN):
        with suppress(OSError):
            for left in unfinished.parent.glob(f"{glob.escape(unfinished.name)}*"):
                left.unlink(missing_ok=True)


def lives(process: int) -> bool:
    """Whether this machine runs a process of that number; asked of POSIX systems only."""
    try:
        os.kill(process, 0)  # asks, and sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _is_left(file: Path, whose: str) -> bool:
    """Whether the process that wrote an unfinished file has ended."""
    match = re.match(r"([0-9a-f]{8})-(\d+)-\d+\.unfinished", whose)
    if match is None:
        return False
    machine, process = match.group(1), int(match.group(2))
    if machine == _machine() and os.name == "posix":
        return not lives(process)
    try:
        return time.time() - file.stat().st_mtime > DAY
    except FileNotFoundError:
        return False
