"""A lock between processes that ends with the process that holds it, however that ends."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import IO, Any

_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
"""What the system says when another has the lock; anything else means that it has no locks."""

_PLACES = 1000
"""On Windows: bytes of the file, of which one that shares the lock holds a single one."""


class FileLock:
    """Holds a file for this process alone, or together with others that share it.

    On a network folder it works as far as its file system has locks (NFS 4 and later, SMB, Lustre
    mounted with ``flock``). Where there are none, nobody is kept out.

    Args:
        path: The file; made if missing, and left there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def acquire(self, *, shared: bool = False) -> bool:
        """Take the lock; False if another process, or another lock of this one, is in the way.

        Args:
            shared: Keep only those out that want it for themselves.
        """
        file = self._path.open("ab")
        try:
            _lock(file, shared=shared)
        except OSError as error:
            if error.errno in _HELD:
                file.close()
                return False
        self._file = file
        return True

    def release(self) -> None:
        """Let go of it, if it was taken."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(file: IO[Any], *, shared: bool) -> None:
    """Lock a file without waiting; closing it unlocks.

    Raises:
        OSError: If it is locked, or cannot be.
    """
    if os.name == "nt":
        import msvcrt

        file.seek(random.randrange(_PLACES) if shared else 0)
        count = 1 if shared else _PLACES
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, count)  # type: ignore[attr-defined]
    else:
        import fcntl

        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
