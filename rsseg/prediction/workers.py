"""Threads whose work can be left behind, so that Ctrl-C need not wait for it."""

from __future__ import annotations

import atexit
import os
import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from rsseg.replacing import remove_unfinished

Result = TypeVar("Result")
_PATIENCE = 0.2


class Workers:
    """Threads that work off calls in the order they come in.

    A thread that is inside a library, such as a forward pass, cannot be stopped; the main thread,
    if it only waits for a result, can. Leaving the context by `KeyboardInterrupt` waits for nothing
    but a moment. If a call still runs when the process ends, that ends at once, with exit status 1:
    neither waiting for it, as executors do, nor tearing libraries down under it. Files that this
    process has not finished are removed.

    Args:
        count: Number of threads.
        name: Their name.
        leave: Called by each thread at its end.
    """

    def __init__(self, count: int, name: str, leave: Callable[[], None] = lambda: None) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._given_up = threading.Event()
        self._name, self._leave = name, leave
        self._threads: list[threading.Thread] = []
        self.grow(count)

    def grow(self, count: int) -> None:
        """Have at least so many threads from now on."""
        for number in range(len(self._threads), count):
            thread = threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        if kind is not None:
            self._given_up.set()
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join(_PATIENCE if interrupted else None)
            if thread.is_alive():
                atexit.register(_end_at_once, thread)

    @property
    def given_up(self) -> bool:
        """Whether the context was left by an error: results are of no use any more."""
        return self._given_up.is_set()

    def submit(self, call: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Have a call done once those before it are done, or begun where threads are several."""
        future: Future[Result] = Future()

        def work() -> None:
            try:
                result = call(*arguments)
            except BaseException as error:  # whoever waits for the result gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        self._calls.put(work)
        return future

    def _work(self) -> None:
        try:
            while (call := self._calls.get()) is not None:
                if not self.given_up:
                    call()
        finally:
            self._leave()


def _end_at_once(thread: threading.Thread) -> None:
    if thread.is_alive():
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            remove_unfinished()  # last: the thread may still begin files
        finally:
            os._exit(1)
