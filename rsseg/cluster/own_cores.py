"""The processor's cores, shared out among the workers of one machine."""

from __future__ import annotations

import os

from distributed import Worker, WorkerPlugin


class OwnCores(WorkerPlugin):
    """Gives each worker of a machine its own share of the cores, also one that is started again.

    Args:
        count: Workers on this machine, whose names are 0, 1, ...
    """

    name = "rsseg-cores"

    def __init__(self, count: int) -> None:
        self._count = count

    def setup(self, worker: Worker) -> None:
        """Hold all threads of the worker, and those they start, to its cores."""
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            share = cores[int(worker.name) % len(cores) :: min(self._count, len(cores))]
            for thread in os.listdir("/proc/self/task"):
                os.sched_setaffinity(int(thread), share)
