"""The ordered front: bounded, each call once; on a cluster inside this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from rsseg.cluster.ordered_front import ordered_front
from rsseg.cluster.orders import AHEAD
from rsseg.cluster.watching import Patience, Watch, remove
from rsseg.errors import ClusterError

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:distributed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def uneven(number: int) -> int:
    time.sleep(0.02 * (number % 3))
    return 2 * number


def test_results_come_in_the_order_of_calls_and_few_wait(client: Any, watch: Watch) -> None:
    taken, got = 0, []

    def calls() -> Iterator[tuple[int]]:
        nonlocal taken
        for number in range(60):
            taken += 1
            yield (number,)

    for result in ordered_front(client, uneven, calls(), watch):
        got.append(result)
        assert taken - len(got) <= AHEAD * 2
    assert got == [2 * number for number in range(60)]
    assert list(ordered_front(client, uneven, [], watch)) == []


def test_a_slow_client_holds_the_workers_up(client: Any, watch: Watch) -> None:
    taken = []
    calls = ((number,) for number in range(100) if not taken.append(number))
    results = ordered_front(client, uneven, calls, watch)
    assert next(results) == 0
    time.sleep(0.5)
    assert len(taken) == AHEAD * 2
    results.close()
    assert len(taken) == AHEAD * 2


def test_a_failed_call_is_one_error(client: Any, watch: Watch) -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise ZeroDivisionError("three")
        return number

    results = ordered_front(client, fail, ((n,) for n in range(1000)), watch)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ClusterError, match="a worker failed: ZeroDivisionError: three"):
        next(results)


def test_what_is_raised_now_and_then_ends_all(client: Any, watch: Watch) -> None:
    def on_time() -> None:
        raise KeyboardInterrupt

    calls = ((number,) for number in range(10))
    with pytest.raises(KeyboardInterrupt):
        list(ordered_front(client, uneven, calls, watch, on_time))


def test_a_result_that_takes_long_to_fetch_is_waited_for() -> None:
    class Slow:
        status = "finished"

        def add_done_callback(self, function: Any) -> None:
            function(self)

        def done(self) -> bool:
            return True

        def result(self, timeout: float) -> float:
            asked.append(timeout)
            if timeout < 35:
                raise TimeoutError
            return timeout

        def release(self) -> None:
            pass

    class Cluster:
        status, threads = "running", 1

        def submit(self, *_: object, **__: object) -> Slow:
            return Slow()

        def look(self) -> None:
            assert len(asked) < 10

    asked: list[float] = []
    cluster: Any = Cluster()
    results = ordered_front(cluster, uneven, [(1,), (2,)], cluster)
    assert list(results) == [40, 40]
    assert asked == 2 * [10, 20, 40]


def test_results_that_are_lost_are_made_again(own_client: Any) -> None:
    watch = Watch(own_client, Patience())
    watch.look()
    results = ordered_front(own_client, uneven, ((n,) for n in range(30)), watch)
    got = [next(results)]
    time.sleep(0.5)  # others are done, and kept by their workers
    remove(own_client, next(iter(watch.workers)))
    got += results
    assert got == [2 * number for number in range(30)]
