"""Results of calls on a cluster in their order; those whose turn is not yet stay on the workers."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

from distributed import Client, Future

from rsseg.cluster.orders import AHEAD, GATHER, is_made_again, order, result_of
from rsseg.cluster.watching import PREFIX, Watch
from rsseg.errors import ClusterError

KEYS = f"{PREFIX}kept-"
"""What the keys begin with of calls whose results a worker keeps until it is their turn."""

_SECONDS = 0.2


def ordered_front(
    client: Client,
    function: Callable[..., Any],
    calls: Iterable[tuple[Any, ...]],
    watch: Watch,
    on_time: Callable[[], None] = lambda: None,
) -> Iterator[Any]:
    """Results of calls, in the order of the calls.

    A call whose worker is lost, with its result or before, is done by another one. So many are
    given out that all threads have work, and no more: a slow client holds them up.

    Args:
        client: Of the cluster.
        function: What is called.
        calls: Arguments of each call; taken one by one.
        watch: Asked for the number of threads, and to look at the workers.
        on_time: Called several times a second; what it raises ends all.

    Raises:
        ClusterError: If the scheduler is gone, no worker is left, or a call failed.
    """
    waiting, name, position = iter(calls), f"{KEYS}{uuid.uuid4().hex}", count()
    running: deque[Future[Any]] = deque()
    arrived, more, seconds = threading.Event(), True, GATHER
    try:
        while True:
            while more and len(running) < AHEAD * max(1, watch.threads):
                arguments = next(waiting, None)
                if arguments is None:
                    more = False
                    break
                future = order(client, function, arguments, name, next(position))
                running.append(future)
                future.add_done_callback(lambda _: arrived.set())
            if not running:
                return
            watch.look()
            on_time()
            if not running[0].done():
                arrived.wait(_SECONDS)
                arrived.clear()
                continue
            try:
                result = result_of(running[0], seconds)
            except TimeoutError:
                # its worker hangs, and once that is taken out it is done again; or it is large,
                # the network slow, and asking begins anew
                seconds *= 2
                continue
            except ClusterError:
                if is_made_again(running[0], client):
                    continue
                raise
            running.popleft().release()
            seconds = GATHER
            yield result
    finally:
        if running and client.status == "running":
            client.cancel(list(running))
