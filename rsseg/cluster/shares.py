"""Who of the workers has done what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar


class Task(Protocol):
    """A task that is done: by which worker, and in how many seconds."""

    @property
    def worker(self) -> str:
        """Its address."""

    @property
    def seconds(self) -> float:
        """Wall time."""


SomeTask = TypeVar("SomeTask", bound=Task)


def by_worker(tasks: Iterable[SomeTask]) -> list[list[SomeTask]]:
    """Tasks of each worker, in the order of their addresses."""
    found: dict[str, list[SomeTask]] = {}
    for task in tasks:
        found.setdefault(task.worker, []).append(task)
    return [found[address] for address in sorted(found)]


def busy(tasks: Sequence[Task], seconds: float) -> float:
    """Share of so many seconds, 0 to 1, that a worker was at its tasks."""
    return min(1.0, sum(task.seconds for task in tasks) / max(seconds, 1e-9))
