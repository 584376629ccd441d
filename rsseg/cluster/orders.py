"""One call on a cluster: how it is given to the scheduler, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distributed import Client, Future

from rsseg.cluster.watching import gone
from rsseg.errors import ClusterError
from rsseg.geo.remote import public_text

AHEAD = 3
"""Calls at the scheduler for each thread: one that runs, one at the worker, one more."""

GATHER = 10.0
"""Seconds to wait for a result that is told to be there."""


def order(
    client: Client,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    name: str,
    number: int,
) -> Future[Any]:
    """Have a function called by any worker.

    Args:
        client: Of the cluster.
        function: What is called.
        arguments: Of the call.
        name: Of all calls of this run, unlike that of any other; begins with `PREFIX`.
        number: Of this call; lower ones have priority.
    """
    key = f"{name}-{number}"
    return client.submit(function, *arguments, key=key, priority=-number, pure=False, retries=0)


def is_made_again(future: Future[Any], client: Client) -> bool:
    """Whether a result has gone with its worker, so that another one makes it again."""
    return bool(future.status == "lost" and client.status == "running")


def result_of(future: Future[Any], seconds: float = GATHER) -> Any:
    """What a call has returned.

    Args:
        future: That of the call.
        seconds: To wait for the worker that has the result.

    Raises:
        TimeoutError: If the worker that has it does not give it.
        ClusterError: If there is no result.
    """
    if future.status in ("cancelled", "lost"):
        raise gone()
    try:
        return future.result(timeout=seconds)
    except TimeoutError:
        raise
    except Exception as error:
        if type(error).__name__ in ("FutureCancelledError", "CancelledError"):
            raise gone() from error
        if type(error).__name__ == "KilledWorker":
            raise ClusterError(
                "a task has ended several workers, one after the other",
                remedy="give them more memory, or a smaller --memory",
            ) from error
        told = public_text(f"{type(error).__name__}: {error}")
        raise ClusterError(f"a worker failed: {told}") from error
