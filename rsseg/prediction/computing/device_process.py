"""The process of a further device, which computes runs of shards for the one that began it.

They talk over its standard input and output. It ends when nobody listens any more.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from rsseg.errors import ClusterError, OptionError, RssegError
from rsseg.geo.opening import gdal_cache
from rsseg.geo.shards import Shard
from rsseg.prediction.computing import pipeline
from rsseg.prediction.computing.pipeline import Timing
from rsseg.prediction.engines.engine import Engine
from rsseg.prediction.memory import peak_memory
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.planning.plan import Plan
from rsseg.prediction.workers import Workers

Task = Sequence[Shard]
Load = Callable[[Plan, None, int | None], Engine]
_MAIN = """
from rsseg.prediction.computing.device_process import main
from rsseg.prediction.predict import load_engine
main(load_engine)
"""
_TELLING = 0.1
"""Seconds between two messages about windows."""
_LOOK = 0.5
"""Seconds between two looks at the process that has begun this one."""
_GRACE = 10
"""Seconds that a process may take to end when it is told to."""


@dataclass(frozen=True)
class Job:
    """What a process is begun with.

    Args:
        work: The plan, with the placement on its device.
        out: The map to come, an absolute path.
        journal: What the parts folder was opened with.
    """

    work: Plan
    out: Path
    journal: dict[str, Any]


@dataclass(frozen=True)
class Computed:
    """A task that is done: its shards lie in the parts folder.

    Args:
        timing: Of the pipeline.
        peak: Highest resident memory of the process so far, bytes.
    """

    timing: Timing
    peak: int


class Helper:
    """The process of a device, as the one that began it sees it.

    Args:
        job: What it is begun with.
        said: Where its standard error goes.
    """

    def __init__(self, job: Job, said: BinaryIO) -> None:
        self._job, self._said = job, said
        self._ready, self._dismissed = False, False
        self._process = subprocess.Popen(
            # nothing from the folder it runs in, where a user's pickle.py may lie
            [sys.executable, "-P", "-c", _MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
        )

    def serve(
        self, take: Callable[[], Task | None], count: Callable[[int], None]
    ) -> list[Computed]:
        """Give it tasks until there is none left, and wait for them.

        Args:
            take: Gives a task; None if there is none.
            count: Called with windows that it has computed.

        Raises:
            ClusterError: If the process dies.
            RssegError: Whatever it says.
        """
        done: list[Computed] = []
        try:
            self._send(self._job)
            self._answer(count)
            self._ready = True
            while (task := take()) is not None:
                self._send(task)
                done.append(self._answer(count))
            self._send(None)
        except ClusterError:
            if not self._dismissed:
                raise
        return done

    def dismiss(self) -> None:
        """End it if it is not ready yet, once there is no task left that it could take."""
        if not self._ready:
            self._dismissed = True
            self._process.kill()

    def end(self, *, now: bool) -> None:
        """Wait a moment until it has ended, or end it at once."""
        if not now:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._dead() from error

    def _answer(self, count: Callable[[int], None]) -> Any:
        """Its next message that is no number of windows."""
        assert self._process.stdout is not None
        while True:
            try:
                message = pickle.load(self._process.stdout)
            except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
                raise self._dead() from error
            if isinstance(message, RssegError):
                raise message
            if not isinstance(message, int):
                return message
            count(message)

    def _dead(self) -> ClusterError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        self._process.kill()
        status = self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        failed = lines and status > 0  # one that was killed has only said other things before
        return ClusterError(
            f"the process of the device {self._job.work.placement.device} has ended",
            got=lines[-1] if failed else f"exit status {status}",
        )


@contextmanager
def helping(job: Job) -> Iterator[Helper]:
    """The process of a device while the context lasts."""
    with tempfile.TemporaryFile() as said:
        helper = Helper(job, said)
        try:
            yield helper
        except BaseException:
            helper.end(now=True)
            raise
        helper.end(now=False)


def main(load: Load) -> None:
    """Do what standard input says: a `Job`, then tasks, then None.

    Args:
        load: Gives the engine of a plan, see `rsseg.prediction.predict.load_engine`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever has begun this process ends it
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what libraries print
        with suppress(BrokenPipeError, EOFError):  # nobody listens any more
            _work(load, sys.stdin.buffer, answers)


def _end_with(parent: int) -> None:
    """End this process soon after the one that has begun it, whatever it is at."""
    while os.getppid() == parent:  # another one adopts orphans
        time.sleep(_LOOK)
    os._exit(1)


def _work(load: Load, tasks: BinaryIO, answers: BinaryIO) -> None:
    def tell(message: object) -> None:
        pickle.dump(message, answers)
        answers.flush()

    job: Job = pickle.load(tasks)
    work, parts = job.work, Parts(job.out)
    try:
        with Workers(1, "rsseg-score") as scoring, gdal_cache(work.gdal_cache):
            engine = scoring.submit(load, work, None, work.placement.forward).result()
            if engine.batch != work.placement.forward:
                raise OptionError(
                    f"the memory of {engine.device} does not hold a forward pass of the others",
                    expected=f"{work.placement.forward} windows",
                    got=engine.batch,
                    remedy="end other programs that use it, or leave the device out",
                )
            parts.visit(job.journal)
            tell("ready")
            while (task := pickle.load(tasks)) is not None:
                counting, some = _Counting(tell), replace(work, shards=tuple(task))
                timing = pipeline.run(some, engine, scoring, parts, counting)
                counting.flush()
                tell(Computed(timing, peak_memory()))
    except RssegError as error:
        tell(error)


class _Counting:
    """Progress of a pipeline as messages, a few in a second."""

    def __init__(self, tell: Callable[[object], None]) -> None:
        self._tell, self._windows, self._next = tell, 0, 0.0

    def __call__(self, done: int, total: int) -> None:
        self._windows += 1
        if time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        self._tell(self._windows)
        self._windows, self._next = 0, time.monotonic() + _TELLING
