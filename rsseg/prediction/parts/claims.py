"""Which process works on what, told by files in a folder that several processes share.

A claim is a file that only one process can have made: the file system sees to that, NFS and SMB as
well. It names its process, which touches a file of its own as long as it lives. What a dead process
has claimed is free: the next one makes the claim of the next generation. Claims are never changed
or removed, so that no two processes can take the same one.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import uuid
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from rsseg.errors import OutputError
from rsseg.replacing import lives, replacing

BEAT = 20.0
"""Seconds between two signs of life."""

SILENCE = 300.0
"""Seconds without a sign of life after which a process counts as dead. On the machine where it ran
that is known at once. Network folders tell times up to a minute late."""

_PROCESS = "process_"
_CLAIM = "claim_"


class Claims:
    """The claims of this process in a folder, which are good within its context.

    Args:
        folder: A folder that all processes see.

    Raises:
        OutputError: If the folder takes no file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = uuid.uuid4().hex[:12]
        self._own = folder / f"{_PROCESS}{self._name}"
        self._over = threading.Event()

    def __enter__(self) -> Claims:
        told = json.dumps({"place": _place(), "process": os.getpid()})
        with _as_one_error(self._folder), replacing(self._own) as unfinished:
            unfinished.write_text(told, encoding="utf-8")
        threading.Thread(target=self._beat, name="rsseg-claims", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._own.unlink(missing_ok=True)

    def take(self, name: str) -> bool:
        """Claim something; False if another process that lives has it.

        Args:
            name: What, in characters that file names may have.

        Raises:
            OutputError: If the folder takes no file.
        """
        with _as_one_error(self._folder):
            return self._take(name)

    def others(self) -> int:
        """How many other processes are at work in the folder."""
        found = self._folder.glob(f"{_PROCESS}*")
        return sum(path != self._own and not self._is_dead(path) for path in found)

    def _take(self, name: str) -> bool:
        for generation in count():
            path = self._claim(name, generation)
            try:
                with path.open("x", encoding="utf-8") as file:
                    file.write(self._name)
                return True
            except FileExistsError:
                holder = path.read_text(encoding="utf-8")
            if self._claim(name, generation + 1).exists():
                continue  # whoever made this one was taken for dead
            if holder == self._name:
                return True
            if holder and not self._is_dead(self._folder / f"{_PROCESS}{holder}"):
                return False
            if not holder and not self._is_silent(path):
                return False  # its process is about to write its name
        raise AssertionError("there is always a next generation")

    def _claim(self, name: str, generation: int) -> Path:
        return self._folder / f"{_CLAIM}{name}.{generation}"

    def _is_dead(self, process: Path) -> bool:
        try:
            told = json.loads(process.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return True  # it has left
        except (OSError, ValueError):
            return self._is_silent(process)
        if os.name == "posix" and told["place"] == _place() and not lives(told["process"]):
            return True
        return self._is_silent(process)

    def _is_silent(self, file: Path) -> bool:
        """Whether a file was last touched long before now, by the clock of the folder."""
        now = self._folder / f".now.{uuid.uuid4().hex}"
        try:
            now.touch()
            return now.stat().st_mtime - file.stat().st_mtime > SILENCE
        except FileNotFoundError:
            return True
        finally:
            now.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            try:
                os.utime(self._own)
            except FileNotFoundError:
                return  # the folder is gone
            except OSError:
                pass  # a network folder may be away for a moment


@contextlib.contextmanager
def _as_one_error(folder: Path) -> Iterator[None]:
    """Failures of the folder as what the user is told."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to: {error.strerror}") from error


def _place() -> str:
    """Where process numbers mean the same: a machine since it was started, and not a container."""
    told = [platform.node()]
    with contextlib.suppress(OSError):
        told.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        told.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(told)
