"""A client of a cluster that is there already, or of one on this machine that lives as long."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any, Self

from distributed import Client, Nanny, Scheduler, SpecCluster
from distributed.utils import LoopRunner

from rsseg.cluster.own_cores import OwnCores
from rsseg.errors import ClusterError, OptionError

_SECONDS = 20
"""To wait for a scheduler."""

_MOMENT = 0.2
"""Seconds that a worker of a broken run has to end by itself."""


class Cluster:
    """A cluster that several tools use one after the other, as long as a context lasts.

    It is connected to when the first of them needs it, so what they check before comes before.

    Args:
        name: The address of a scheduler, or ``local:N`` for N processes on this machine. Each of
            these has its share of the cores, and of the GPUs if there are any. They end with the
            context; if it is left by an error or Ctrl-C, in the midst of what they do.

    Raises:
        OptionError: If the name is neither.
    """

    def __init__(self, name: str) -> None:
        local_workers(name)
        self.name = name
        self._stack = ExitStack()
        self._open = False
        self._client: Client | None = None

    def __enter__(self) -> Self:
        self._open = True
        return self

    def __exit__(self, *error: Any) -> None:
        self._open, self._client = False, None
        self._stack.__exit__(*error)

    @property
    def client(self) -> Client:
        """A client of it.

        Raises:
            ClusterError: If the scheduler does not answer, or this is outside of the context.
        """
        if not self._open:
            raise ClusterError(
                f"the connection to {self.name} would never end",
                expected="a use within its context",
                remedy="write: with Cluster(...) as cluster",
            )
        if self._client is None:
            self._client = self._stack.enter_context(_connected(self.name))
        return self._client


@contextmanager
def connected(cluster: str | Cluster) -> Iterator[Client]:
    """A client of a cluster while the context lasts, and longer if others go on with it.

    Args:
        cluster: A name as of `Cluster`, or one that others use as well.

    Raises:
        OptionError: If the name is none.
        ClusterError: If the scheduler does not answer.
    """
    if isinstance(cluster, Cluster):
        yield cluster.client
        return
    with Cluster(cluster) as own:
        yield own.client


def name_of(cluster: str | Cluster) -> str:
    """Its name.

    Raises:
        OptionError: If that is none.
    """
    return (cluster if isinstance(cluster, Cluster) else Cluster(cluster)).name


def local_workers(name: str) -> int | None:
    """The N of ``local:N``; None for the address of a scheduler.

    Raises:
        OptionError: If it is neither.
    """
    match = re.fullmatch(r"local:(\d+)", name)
    if match is not None and int(match.group(1)) > 0:
        return int(match.group(1))
    if match is not None or not re.fullmatch(r"(\w+://)?([^/\s:]+|\[[\da-f:]+\]):\d+", name):
        raise OptionError(
            "unusable cluster",
            expected="the address of a Dask scheduler, such as tcp://10.0.0.5:8786, or local:N",
            got=name,
        )
    return None


@contextmanager
def _connected(name: str) -> Iterator[Client]:
    count = local_workers(name)
    with _quiet():
        if count is None:
            try:
                client = Client(name, timeout=_SECONDS, set_as_default=False)
            except (OSError, ValueError) as error:
                raise ClusterError(
                    f"there is no Dask scheduler at {name}",
                    remedy="start one by `dask scheduler`, and workers by `dask worker ADDRESS`",
                ) from error
            try:
                yield client
            finally:
                client.close(timeout=5)
            return
        with (
            _started(count) as own,
            Client(own, timeout=_SECONDS, set_as_default=False) as client,
            _ended_at_once(own),
        ):
            client.wait_for_workers(count)
            client.register_plugin(OwnCores(count))
            yield client


@contextmanager
def _started(count: int) -> Iterator[SpecCluster]:
    """So many processes of this machine, while the context lasts."""
    runner = LoopRunner()
    with _uninterrupted():  # nor are the threads and processes that are begun from there
        runner.start()
    loop: Any = runner.loop
    others, known = multiprocessing.active_children(), set(SpecCluster._instances)
    try:
        own = _local(count, loop)
    except KeyboardInterrupt:
        for begun in set(SpecCluster._instances) - known:  # workers have not come up:
            begun.shutdown_on_close = False  # to close it when this process ends would fail,
        loop.asyncio_loop.set_exception_handler(lambda *_: None)  # and Dask tell so
        _kill_workers(others)
        raise
    try:
        with own:
            yield own
    finally:
        runner.stop()


def _kill_workers(others: Sequence[BaseProcess]) -> None:
    """End workers in the midst of starting, when this process is about to end.

    Its end takes away what they share with it, and one that looks for that later says so.

    Args:
        others: Processes that are not of this cluster.
    """
    until = time.monotonic() + _MOMENT
    while time.monotonic() < until:  # threads may be about to start one more
        for child in multiprocessing.active_children():
            if child not in others and child.name.startswith("Dask"):
                child.kill()
        time.sleep(_MOMENT / 20)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let no Ctrl-C reach what is begun within: it is the client who ends it, quietly."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which lets Ctrl-C through again when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _local(count: int, loop: Any) -> SpecCluster:
    """So many processes of one thread; they bound their memory by themselves."""
    gpus = _gpus()
    local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "dashboard": False}
    workers: dict[int, dict[str, Any]] = {
        number: {
            "cls": Nanny,
            "options": {
                "nthreads": 1,
                "memory_limit": 0,
                "host": "127.0.0.1",
                "dashboard": False,
                "silence_logs": logging.CRITICAL,
                "env": {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {},
            },
        }
        for number in range(count)
    }
    scheduler = {"cls": Scheduler, "options": local}
    return SpecCluster(workers, scheduler, loop=loop, silence_logs=logging.CRITICAL)


@contextmanager
def _ended_at_once(own: SpecCluster) -> Iterator[None]:
    """After an error or Ctrl-C, end the workers without waiting for the windows they compute.

    Nothing is lost by that: a shard is written beside its place, and renamed when it is whole.
    """

    async def end() -> None:
        nannies: list[Any] = list(own.workers.values())
        ending = (nanny.close(timeout=_MOMENT, reason="rsseg-ends") for nanny in nannies)
        await asyncio.gather(*ending, return_exceptions=True)

    try:
        yield
    except BaseException:
        own.sync(end)
        raise


def _gpus() -> list[str]:
    """Names of this machine's GPUs by which a process can be given one of them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    told = subprocess.run([program, "-L"], capture_output=True, text=True, check=False).stdout
    return re.findall(r"UUID: (GPU-[^)]+)", told)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from telling on stderr what is told in one sentence, or is no error at all."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed.")]
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado.application", *names)]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
