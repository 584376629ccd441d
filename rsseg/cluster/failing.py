"""What goes wrong on a worker: told by it as a value, raised where the command runs."""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass
from typing import TypeVar

from distributed import Worker

from rsseg.errors import ClusterError, RssegError
from rsseg.geo.remote import public_text

_LOG = logging.getLogger("distributed.worker")

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Failed:
    """A task that failed for a reason that trying again does not mend.

    Args:
        worker: Address of the worker.
        host: Its machine.
        reason: One sentence.
        whole: Whether the worker would fail with any other scene as well.
    """

    worker: str
    host: str
    reason: str
    whole: bool = False

    def __str__(self) -> str:
        return f"the worker {self.worker} on {self.host} failed: {self.reason}"


def failed(worker: Worker, error: Exception, *, whole: bool = False) -> Failed:
    """What a worker tells of an error; of a mistake of ours its log has the traceback."""
    told = str(error)
    if not isinstance(error, RssegError):
        _LOG.exception("a task of rsseg failed")
        told = f"{type(error).__name__}: {error}"
    reason = public_text("; ".join([told, *getattr(error, "__notes__", [])]))
    return Failed(worker.address, platform.node(), reason, whole)


def good(answer: Answer | Failed) -> Answer:
    """The answer of a worker.

    Raises:
        ClusterError: If it has failed.
    """
    if isinstance(answer, Failed):
        raise ClusterError(str(answer))
    return answer
