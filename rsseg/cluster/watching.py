"""Watching the workers of a cluster: their progress, and whether one hangs."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from distributed import Client

from rsseg.errors import ClusterError, OptionError

COUNT = "rsseg_windows"
"""Name under which a worker tells the scheduler a growing number, such as of windows computed."""

_SILENCE = 60
"""Seconds to wait for an answer of the scheduler."""

PREFIX = "rsseg-"
"""What the keys of our tasks begin with."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for what may never come.

    Args:
        worker: Seconds that a worker may have a task without computing a window, loading of the
            model included; then it is taken out of the cluster and others do its tasks.
        workers: Seconds that the cluster may be without any worker.

    Raises:
        OptionError: If a time is not positive.
    """

    worker: float = 600.0
    workers: float = 120.0

    def __post_init__(self) -> None:
        if min(self.worker, self.workers) <= 0:
            raise OptionError("a time to wait must be positive", got=self)


class Watch:
    """Looks after a cluster now and then.

    Args:
        client: Of the cluster.
        patience: How long to wait.
    """

    EVERY = 1.0
    """Seconds between two looks."""

    def __init__(self, client: Client, patience: Patience) -> None:
        self._client, self._patience = client, patience
        self._counts: dict[str, tuple[Any, float]] = {}
        self._first: dict[str, int] = {}
        self._looked, self._seen = -math.inf, time.monotonic()
        self.workers: dict[str, int] = {}
        """Threads by address."""
        self.windows = 0
        self.lost: list[str] = []

    @property
    def threads(self) -> int:
        """Of all workers."""
        return sum(self.workers.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of workers that were taken out."""
        if not self.lost:
            return ()
        names = ", ".join(self.lost)
        return (f"{len(self.lost)} workers hung and were taken out of the cluster: {names}",)

    def look(self) -> None:
        """Take out workers that hang; unless it was done a moment ago.

        Raises:
            ClusterError: If the scheduler is gone, or no worker has been there for long.
        """
        now = time.monotonic()
        if now - self._looked < self.EVERY:
            return
        self._looked = now
        found = ask(self._client)
        if found:
            self._seen = now
        elif now - self._seen > self._patience.workers:
            raise ClusterError(
                "no worker is left in the cluster", remedy="start some, the same command goes on"
            )
        self.workers = {address: threads for address, (threads, _, _) in found.items()}
        for address, (_, tasks, count) in found.items():
            before, since = self._counts.get(address, (None, now))
            if count != before or not tasks:
                since = now
            self._counts[address] = count, since
            if count is not None:
                self._first.setdefault(address, count)
            if now - since > self._patience.worker:
                remove(self._client, address)
                self.lost.append(address)
                del self.workers[address]
        self.windows = sum(
            count - self._first[address]
            for address, (count, _) in self._counts.items()
            if count is not None
        )


def ask(client: Client) -> dict[str, tuple[int, int, int | None]]:
    """By address of a worker: its threads, its tasks, and how many windows it has computed.

    Of a worker that also does something else for others no tasks are told.

    Raises:
        ClusterError: If the scheduler is gone.
    """

    async def told() -> Any:
        scheduler: Any = client.scheduler
        return await asyncio.gather(
            scheduler.identity(), scheduler.processing(workers=None), scheduler.has_what()
        )

    identity, processing, kept = _asked(client, told)
    found = {}
    for address, worker in identity["workers"].items():
        doing = [str(key).startswith(PREFIX) for key in processing.get(address, ())]
        done = sum(str(key).startswith(PREFIX) for key in kept.get(address, ()))
        tasks = len(doing) + done if all(doing) else 0
        found[address] = worker["nthreads"], tasks, worker["metrics"].get(COUNT)
    return found


def remove(client: Client, address: str) -> None:
    """Take a worker out of the cluster; the scheduler gives its tasks to others.

    Raises:
        ClusterError: If the scheduler is gone.
    """

    async def leave(dask_scheduler: Any) -> None:  # by value: a scheduler need not have rsseg
        await dask_scheduler.remove_worker(address, stimulus_id="rsseg-hangs", close=True)

    async def told() -> Any:
        return await client.run_on_scheduler(leave)

    _asked(client, told)


def _asked(client: Client, question: Callable[[], Awaitable[Any]]) -> Any:
    """What the scheduler answers.

    Raises:
        ClusterError: If it is gone, or silent.
    """
    if client.status == "running":
        with contextlib.suppress(OSError, TimeoutError):
            return client.sync(question, callback_timeout=_SILENCE)
    raise gone()


def gone() -> ClusterError:
    """What to say when the scheduler is gone."""
    return ClusterError(
        "the scheduler of the cluster is gone",
        remedy="start one and workers again, the same command goes on",
    )
