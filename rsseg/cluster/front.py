"""Calls on a cluster in a bounded moving front: never more at the scheduler than it can use."""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

from distributed import Client, Future

from rsseg.cluster.orders import AHEAD, is_made_again, order, result_of
from rsseg.cluster.watching import PREFIX, Watch
from rsseg.errors import ClusterError

_END: Any = object()
_SECONDS = 0.2
_MOMENT = 0.05


def moving_front(
    client: Client,
    function: Callable[..., Any],
    calls: Iterable[tuple[Any, ...] | None],
    watch: Watch,
    on_time: Callable[[], None] = lambda: None,
    on_failure: Callable[[tuple[Any, ...], ClusterError], Any] | None = None,
) -> Iterator[Any]:
    """Results of calls, in the order in which they are done.

    Earlier calls have priority. A call whose worker is lost is done by another one.

    Args:
        client: Of the cluster.
        function: What is called.
        calls: Arguments of each call; taken one by one. None says that there is none at the
            moment, and is asked for again a little later, or after the next result.
        watch: Asked for the number of threads, and to look at the workers.
        on_time: Called several times a second.
        on_failure: Called with the arguments of a call that failed, or ended several workers, and
            the error; gives its result, and the others go on. The first failure ends all if None.

    Raises:
        ClusterError: If the scheduler is gone, no worker is left, or a call failed.
    """
    waiting, name, position = iter(calls), f"{PREFIX}{uuid.uuid4().hex}", count()
    finished: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
    running: dict[object, tuple[Future[Any], tuple[Any, ...]]] = {}
    more = True
    try:
        while True:
            while more and len(running) < AHEAD * max(1, watch.threads):
                arguments = next(waiting, _END)
                if arguments is None or arguments is _END:
                    more = arguments is None
                    break
                future = order(client, function, arguments, name, next(position))
                running[future.key] = future, arguments
                future.add_done_callback(finished.put)
            if not (running or more):
                return
            watch.look()
            on_time()
            try:
                future = finished.get(timeout=_SECONDS)
            except queue.Empty:
                continue
            if future.key in running:
                try:
                    result = result_of(future)
                except TimeoutError:  # its worker hangs; once that is taken out it is done again
                    finished.put(future)
                    continue
                except ClusterError as error:
                    if is_made_again(future, client):
                        finished.put(future)
                        time.sleep(_MOMENT)
                        continue
                    if on_failure is None or future.status != "error":
                        raise
                    result = on_failure(running[future.key][1], error)
                del running[future.key]
                future.release()  # an error would keep it, and its result on the worker
                yield result
    finally:
        if running and client.status == "running":
            client.cancel([future for future, _ in running.values()])
