"""Files that stay open between reads, lent to one thread at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Generic, Protocol, TypeVar

MOST = 128
"""So many lie open at most while no one reads them; systems allow a process about 1,000 files."""


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Let go of the file."""


File = TypeVar("File", bound=Closable)


class OpenFiles(Generic[File]):
    """Files by number, opened when first wanted and kept for the next one who wants them.

    Several threads may hold the same file at once: each has it opened for itself. A forked process
    begins with none, as it would share the position in them with its parent.

    Args:
        opened: Opens the file of a number.
        most: Files kept open while no one reads them; those unused for longest are closed.
    """

    def __init__(self, opened: Callable[[int], File], most: int = MOST) -> None:
        self._opened, self._most = opened, most
        self._begin()

    @contextmanager
    def lent(self, number: int) -> Iterator[File]:
        """The file of a number, no one else's while the context lasts; not kept if it failed."""
        file = self._idle_one(number)
        if file is None:
            file = self._opened(number)
        try:
            yield file
        except BaseException:
            file.close()
            raise
        self._keep(number, file)

    def _begin(self) -> None:
        # the latest used last
        self._process, self._lock, self._idle = os.getpid(), Lock(), list[tuple[int, File]]()

    def _idle_one(self, number: int) -> File | None:
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            for place in range(len(self._idle) - 1, -1, -1):
                if self._idle[place][0] == number:
                    return self._idle.pop(place)[1]
        return None

    def _keep(self, number: int, file: File) -> None:
        with self._lock:
            self._idle.append((number, file))
            surplus = self._idle.pop(0)[1] if len(self._idle) > self._most else None
        if surplus is not None:
            surplus.close()
