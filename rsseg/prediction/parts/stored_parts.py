"""The finished shards of an output whose workers leave them in an object store."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from rsseg.errors import OutputError
from rsseg.geo.shards import Shard
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.parts.store import PartStore
from rsseg.prediction.planning.manifest import Manifest
from rsseg.prediction.workers import Workers
from rsseg.replacing import replacing

_AT_ONCE = 8
"""Shards that are fetched at the same time: what takes time is to wait for the store."""


class StoredParts(Parts):
    """The side of the process that makes the map: it fetches the shards when all are there.

    The folder beside the output holds the lock, the plan, and what was fetched. To join shards in
    their store would take many small requests for each of them: every one is read once to count
    it, and twice for each output.

    Args:
        out: The output that the parts become, on a disk of this machine.
        root: Where workers leave the shards, see `PartStore`.
        plan: All that decides their bytes.
    """

    def __init__(self, out: Path, root: str, plan: dict[str, Any]) -> None:
        super().__init__(out)
        self._root, self._store = root, PartStore(root, plan)
        self.place = self._store.place
        self._there: set[int] = set()

    def open(self, plan: dict[str, Any], manifest: Manifest, *, restart: bool) -> None:
        """Make the folder for this process alone, and the place in the store for workers.

        Args:
            plan: All that decides the bytes of the output.
            manifest: What the shards become.
            restart: Throw away what is there, of this plan and of the one that the folder is of.

        Raises:
            PlanChanged: If the folder belongs to another plan.
            OutputError: If the folder cannot be made, another process is at work in it, the store
                takes no object or does not answer, or shards to be thrown away stay there.
        """
        before: PartStore | None = None
        if restart and self._plan.exists():
            with contextlib.suppress(OutputError):  # it is damaged
                before = PartStore(self._root, self._plan.read())
        super().open(plan, manifest, restart=restart)
        try:
            if before is not None:
                before.remove()
            self._there = self._store.begin(restart=restart)
        except BaseException:
            if super()._finished():
                self.leave()
            else:
                super().remove()
            raise

    def has(self, shard: Shard) -> bool:
        """Whether this shard was finished when the place was opened."""
        return shard.index in self._there or super().has(shard)

    def gather(self, manifest: Manifest, given_up: Callable[[], bool]) -> None:
        """Fetch the shards that are not in the folder.

        Args:
            manifest: Of all shards, which are finished.
            given_up: Asked now and then: True ends it.

        Raises:
            SceneError: If one cannot be read.
            OutputError: If one cannot be written here, or they are not wanted any more.
        """
        here = super()._finished()
        wanted = (index for index in range(len(manifest.shards)) if index not in here)
        with Workers(_AT_ONCE, "rsseg-fetch") as fetching:
            waiting: deque[Future[None]] = deque()
            for index in wanted:
                waiting.append(fetching.submit(self._fetch, index))
                if len(waiting) > 2 * _AT_ONCE:
                    waiting.popleft().result()
                if given_up():
                    raise OutputError(f"shards of {self.place} were not wanted any more")
            for each in waiting:
                each.result()

    def keep_if_useful(self) -> bool:
        """After a failure: keep finished shards, or leave no folder at all; True if kept.

        Without shards, only the plan stays in the store: another machine may be at work by it.
        """
        try:
            useful = bool(self._finished())
        except OutputError:  # the store does not answer: what is there stays there
            useful = True
        if useful:
            self.leave()
        else:
            super().remove()
        return useful

    def keep_at_once(self) -> bool:
        """After Ctrl-C: keep what is there without asking the store, which may hang.

        True unless all was removed before.
        """
        self.leave()
        return self.folder.is_dir()

    def remove(self) -> None:
        """Delete all shards, those in the store first: what was fetched is whole."""
        self._store.remove()
        super().remove()

    def _finished(self) -> set[int]:
        """Indices of the shards that are finished.

        Raises:
            OutputError: If the store does not answer.
        """
        return super()._finished() | (self._store.indices() or set())

    def _fetch(self, index: int) -> None:
        path, data = self._path(index), self._store.read(index)
        try:
            with replacing(path) as unfinished:
                unfinished.write_bytes(data)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error
