"""The parts folder of a running prediction: finished shards, and the plan they belong to.

``OUT.tif.parts/plan.json`` and ``part_000000.tif``, ... are the journal of a run: a rerun of the
same plan goes on where it stopped, and several processes may fill the same folder.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rsseg.errors import OutputError
from rsseg.geo.class_raster import count_codes
from rsseg.geo.shards import Shard
from rsseg.geo.strips import Strip, write_strip
from rsseg.late_files import in_time
from rsseg.locking import FileLock
from rsseg.prediction.parts.claims import Claims
from rsseg.prediction.parts.names import PART_FILES, part_indices, part_name
from rsseg.prediction.parts.stored_plan import StoredPlan
from rsseg.prediction.planning.manifest import Manifest


class PartWriter(Protocol):
    """Where those who compute shards look for finished ones, and put theirs."""

    def has(self, shard: Shard) -> bool:
        """Whether this shard is finished."""

    def write(self, shard: Shard, layers: npt.NDArray[np.uint8]) -> None:
        """Store a finished shard ``(B, h, w)``, whose first band holds the codes."""


class Parts:
    """The finished shards of one output.

    Args:
        out: The output that the parts become.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out.with_name(out.name + ".parts")
        self.place = str(self.folder)
        """Where finished shards lie, for messages."""
        self._plan = StoredPlan(self.folder)
        self._finishing = self.folder / "finishing"
        self._lock = FileLock(self.folder / "lock")
        self._shared: dict[str, Any] | None = None

    def open(self, plan: dict[str, Any], manifest: Manifest, *, restart: bool) -> None:
        """Make the folder for this process alone, or go on with it if it is of the same plan.

        Args:
            plan: All that decides the bytes of the output.
            manifest: What the shards become.
            restart: Throw away what is there.

        Raises:
            PlanChanged: If the parts belong to another plan.
            OutputError: If the folder cannot be made, or another process is at work in it.
        """
        self.take()
        if restart:
            self._clear()
        if not self._plan.exists():
            self._clear()  # shards without a plan: a removal was cut short
        self._agree(plan, manifest)

    def join(self, plan: dict[str, Any], manifest: Manifest) -> None:
        """Make the folder, or go on with it, beside other processes that join it.

        Args:
            plan: All that decides the bytes of the output.
            manifest: What the shards become.

        Raises:
            PlanChanged: If the parts belong to another plan.
            OutputError: If the folder cannot be made, or a process has it for itself.
        """
        self._hold(shared=True)
        self._shared = plan
        self._agree(plan, manifest)

    def visit(self, plan: dict[str, Any]) -> None:
        """Look at a folder that another process has opened, to write shards into it.

        Args:
            plan: What it was opened with.

        Raises:
            OutputError: If it is not to be seen here.
            PlanChanged: If it belongs to another plan.
        """
        self._shared = plan
        above = self.folder.parent
        if not in_time(self._plan.exists, hopeless=lambda: not above.is_dir()):
            raise OutputError(f"the folder {self.folder} is not to be seen")
        self._plan.require(plan, self._forget)

    def take(self) -> None:
        """Have the folder for this process alone.

        Raises:
            OutputError: If it cannot be made, or another process is at work in it.
        """
        self._hold(shared=False)
        if Claims(self.folder).others():
            raise self._busy()

    def plan(self) -> dict[str, Any] | None:
        """The plan of the unfinished run that is there; None if there is none.

        Raises:
            OutputError: If it is damaged.
        """
        return self._plan.read() if self._plan.exists() else None

    def recorded(self, key: str) -> Any:
        """What the unfinished run that is there says of itself; None if there is none."""
        return self._plan.read().get(key) if self._plan.exists() else None

    def manifest(self) -> Manifest:
        """What the shards become.

        Raises:
            OutputError: If no run is there.
        """
        return self._plan.manifest()

    def has(self, shard: Shard) -> bool:
        """Whether this shard is finished."""
        return self._path(shard.index).is_file()

    def missing(self, manifest: Manifest, *, patient: bool = False) -> list[int]:
        """Indices of the shards that are not finished.

        Args:
            manifest: Of all shards.
            patient: Wait a while for shards that other machines have told to be finished.
        """
        left = set(range(len(manifest.shards)))

        def whole() -> bool:
            left.difference_update(self._finished())
            return not left

        in_time(whole, within=None if patient else 0.0)
        return sorted(left)

    def write(self, shard: Shard, layers: npt.NDArray[np.uint8]) -> None:
        """Store a finished shard ``(B, h, w)``, whose first band holds the codes.

        Raises:
            OutputError: If it cannot be written.
            PlanChanged: If other processes have begun another plan meanwhile.
        """
        if self._shared is not None:
            self._plan.require(self._shared, self._forget)
            if self.has(shard):
                return  # by a process that thought this one dead; the bytes are the same
        write_strip(self._path(shard.index), layers)

    def gather(self, manifest: Manifest, given_up: Callable[[], bool]) -> None:
        """Have all shards in the folder, where that is not where they are written.

        Args:
            manifest: Of all shards, which are finished.
            given_up: Asked now and then: True ends it.
        """

    def strips(self, manifest: Manifest) -> list[Strip]:
        """The shards as pieces of the map."""
        return [
            Strip(self._path(index), top, bottom, left, right)
            for index, (top, bottom, left, right) in enumerate(manifest.shards)
        ]

    def count(self, index: int) -> npt.NDArray[np.int64]:
        """Pixels by file code of a finished shard, ``(256,)``."""
        return count_codes(self._path(index))

    def finishing(self) -> bool:
        """Whether the run got so far that outputs may be there which are its own."""
        return self._finishing.exists()

    def begin_finishing(self) -> None:
        """Note that outputs are written from here on."""
        self._finishing.touch()

    def keep_if_useful(self) -> bool:
        """After a failure: keep finished shards, or leave no folder at all; True if kept."""
        if self._shared is not None or self._finished():
            self.leave()
            return bool(self._finished())
        self.remove()
        return False

    def keep_after(self, error: BaseException | None) -> bool:
        """After a run ended by this: keep finished shards, or leave no folder; True if kept."""
        interrupted = isinstance(error, KeyboardInterrupt)
        return self.keep_at_once() if interrupted else self.keep_if_useful()

    def keep_at_once(self) -> bool:
        """The same after Ctrl-C: no answer of a store is waited for; True if kept."""
        return self.keep_if_useful()

    def leave(self) -> None:
        """Let other processes have the folder."""
        self._lock.release()

    def remove(self) -> None:
        """Delete the folder."""
        with contextlib.suppress(OSError):
            self._clear()  # while it is held: who comes now begins anew, in what is left of it
        self.leave()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _finished(self) -> set[int]:
        """Indices of the shards that are finished."""
        if not self.folder.is_dir():  # removed, or not seen yet
            return set()
        return part_indices(path.name for path in self.folder.glob(PART_FILES))

    def _hold(self, *, shared: bool) -> None:
        """Make the folder and keep processes out of it that do not share it."""
        try:
            self.folder.mkdir(exist_ok=True)
            taken = self._lock.acquire(shared=shared)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be made: {error.strerror}") from error
        if not taken:
            raise self._busy()

    def _busy(self) -> OutputError:
        self.leave()
        return OutputError(
            f"another process is at work in {self.folder}",
            remedy="wait until it is done, or choose another output",
        )

    def _agree(self, plan: dict[str, Any], manifest: Manifest) -> None:
        """Put the plan into the folder, unless there is one, which must be the same then."""
        left = [] if self._plan.exists() else list(self.folder.glob(PART_FILES))
        try:
            if self._plan.put(plan, manifest):
                for path in left:  # of a removal that was cut short
                    path.unlink(missing_ok=True)
            self._plan.require(plan, self._forget)
            if self._shared is not None:
                self._plan.require_beside(manifest, self._forget)
        except OutputError:
            self.leave()
            if self._shared is None and not self._plan.exists():
                self.remove()
            raise

    @property
    def _forget(self) -> str:
        return "add --restart" if self._shared is None else "remove that folder"

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink()

    def _path(self, index: int) -> Path:
        return self.folder / part_name(index)
