"""The parts folder of a running prediction: finished shards, and the plan they belong to.

``OUT.tif.parts/plan.json`` and ``part_000000.tif``, ... are the journal of a run: a rerun of the
same plan goes on where it stopped.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.errors import OutputError, PlanChanged
from rsseg.geo.area import Area
from rsseg.geo.class_raster import count_codes
from rsseg.geo.shards import Shard
from rsseg.geo.strips import Strip, write_strip
from rsseg.locking import FileLock
from rsseg.replacing import replacing


class Parts:
    """The finished shards of one output.

    Args:
        out: The output that the parts become.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out.with_name(out.name + ".parts")
        self._journal = self.folder / "plan.json"
        self._finishing = self.folder / "finishing"
        self._lock = FileLock(self.folder / "lock")

    def open(self, plan: dict[str, Any], *, restart: bool) -> None:
        """Make the folder, or go on with it if it belongs to the same plan.

        Args:
            plan: All that decides the bytes of the output.
            restart: Throw away what is there.

        Raises:
            PlanChanged: If the parts belong to another plan.
            OutputError: If the folder cannot be made, or another process is at work in it.
        """
        self._take(restart)
        if self._journal.is_file():
            before = json.loads(self._journal.read_text(encoding="utf-8"))
            changed = sorted(
                key for key in before.keys() | plan.keys() if before.get(key) != plan.get(key)
            )
            if changed:
                key = changed[0]
                self._lock.release()
                raise PlanChanged(
                    f"{self.folder} holds an unfinished run that differs in {', '.join(changed)}",
                    expected=f"{key} {before.get(key)}",
                    got=plan.get(key),
                    remedy="repeat that command to finish it, or add --restart to forget it",
                )
            return
        self._clear()  # shards without a plan: a removal was cut short
        try:
            with replacing(self._journal) as unfinished:
                unfinished.write_text(json.dumps(plan, indent=1), encoding="utf-8")
        except OSError as error:
            self.remove()
            raise OutputError(f"{self._journal} cannot be written: {error.strerror}") from error

    def recorded(self, key: str) -> Any:
        """What the unfinished run that is there says of itself; None if there is none."""
        if not self._journal.is_file():
            return None
        return json.loads(self._journal.read_text(encoding="utf-8")).get(key)

    def has(self, shard: Shard) -> bool:
        """Whether this shard is finished."""
        return self._path(shard).is_file()

    def write(self, shard: Shard, layers: npt.NDArray[np.uint8]) -> None:
        """Store a finished shard ``(B, h, w)``, whose first band holds the codes."""
        write_strip(self._path(shard), layers)

    def strip(self, shard: Shard, area: Area) -> Strip:
        """The shard as a piece of the map of an area."""
        top, left = int(area.window.row_off), int(area.window.col_off)
        return Strip(
            self._path(shard),
            shard.top - top,
            shard.bottom - top,
            shard.left - left,
            shard.right - left,
        )

    def count(self, shard: Shard) -> npt.NDArray[np.int64]:
        """Pixels by file code of a finished shard, ``(256,)``."""
        return count_codes(self._path(shard))

    def finishing(self) -> bool:
        """Whether the run got so far that outputs may be there which are its own."""
        return self._finishing.exists()

    def begin_finishing(self) -> None:
        """Note that outputs are written from here on."""
        self._finishing.touch()

    def keep_if_useful(self) -> bool:
        """After a failure: keep finished shards, or leave no folder at all; True if kept."""
        if any(self.folder.glob("part_*.tif")):
            self._lock.release()
            return True
        self.remove()
        return False

    def remove(self) -> None:
        """Delete the folder."""
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take(self, restart: bool) -> None:
        """Make the folder and keep other processes out of it; empty it for a new start."""
        try:
            self.folder.mkdir(exist_ok=True)
            taken = self._lock.acquire()
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be made: {error.strerror}") from error
        if not taken:
            raise OutputError(
                f"another process is at work in {self.folder}",
                remedy="wait until it is done, or choose another output",
            )
        if restart:
            self._clear()

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink()

    def _path(self, shard: Shard) -> Path:
        return self.folder / f"part_{shard.index:06d}.tif"
