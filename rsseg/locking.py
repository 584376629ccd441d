"""A lock between processes that ends with the process that holds it, however that ends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any


class FileLock:
    """Holds a file for this process alone.

    Args:
        path: The file; made if missing, and left there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Take the lock; False if another process, or another lock of this one, has it."""
        file = self._path.open("ab")
        try:
            _lock(file)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let go of it, if it was taken."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(file: IO[Any]) -> None:
    """Lock a file without waiting; closing it unlocks.

    Raises:
        OSError: If it is locked.
    """
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
