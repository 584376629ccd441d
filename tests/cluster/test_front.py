"""The moving front: bounded, in order, each call once; on a cluster inside this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import distributed
import pytest

from rsseg.cluster.front import moving_front
from rsseg.cluster.orders import AHEAD
from rsseg.cluster.watching import Patience, Watch, ask, remove
from rsseg.errors import ClusterError

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:distributed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def twice(number: int) -> int:
    return 2 * number


def test_every_call_is_made_once_and_few_wait(client: Any, watch: Watch) -> None:
    taken = 0

    def calls() -> Iterator[tuple[int]]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield (number,)

    got = []
    for result in moving_front(client, twice, calls(), watch):
        got.append(result)
        assert taken - len(got) <= AHEAD * 2
    assert sorted(got) == [2 * number for number in range(200)]
    assert list(moving_front(client, twice, [], watch)) == []


def test_the_first_calls_come_first(client: Any, watch: Watch) -> None:
    got = list(moving_front(client, twice, ((n,) for n in range(50)), watch))
    assert all(abs(place - value // 2) <= 3 * AHEAD for place, value in enumerate(got))


def test_a_failed_call_is_one_error_and_the_rest_is_left(client: Any, watch: Watch) -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise ZeroDivisionError("three")
        return number

    with pytest.raises(ClusterError, match="a worker failed: ZeroDivisionError: three"):
        list(moving_front(client, fail, ((n,) for n in range(1000)), watch))
    assert list(moving_front(client, twice, [(1,)], watch)) == [2]


def test_a_failed_call_can_have_a_result(client: Any, watch: Watch) -> None:
    def fail(number: int) -> int:
        if number % 7 == 3:
            raise ZeroDivisionError("three")
        return number

    failed = []

    def note(call: tuple[Any, ...], error: ClusterError) -> int:
        failed.append(call)
        assert "ZeroDivisionError: three" in str(error)
        return -1

    got = list(moving_front(client, fail, ((n,) for n in range(30)), watch, on_failure=note))
    assert sorted(failed) == [(n,) for n in range(30) if n % 7 == 3]
    assert sorted(got) == sorted(-1 if n % 7 == 3 else n for n in range(30))


def test_calls_may_come_later(client: Any, watch: Watch) -> None:
    """None says that there is no call yet; it depends on what comes of others."""
    ready, asked = [1], 0

    def calls() -> Iterator[tuple[int] | None]:
        nonlocal asked
        made = 0
        while made < 5:
            asked += 1
            made += bool(ready)
            yield (ready.pop(),) if ready else None

    got = []
    for result in moving_front(client, twice, calls(), watch):
        got.append(result)
        ready.append(result)
    assert got == [2, 4, 8, 16, 32]
    assert asked < 100, "it is not asked without pause"


def test_leaving_early_cancels_what_waits(client: Any, watch: Watch) -> None:
    def wait(number: int) -> int:
        time.sleep(0.2)
        return number

    front = moving_front(client, wait, ((n,) for n in range(1000)), watch)
    assert next(front) in (0, 1)
    assert sum(tasks for _, tasks, _ in ask(client).values()) > 0
    front.close()
    for _ in range(100):
        if not any(tasks for _, tasks, _ in ask(client).values()):
            break
        time.sleep(0.1)
    assert not any(tasks for _, tasks, _ in ask(client).values())


def test_results_that_are_lost_are_made_again(own_client: Any) -> None:
    watch = Watch(own_client, Patience())
    watch.look()
    results = moving_front(own_client, twice, ((n,) for n in range(30)), watch)
    got = [next(results)]
    time.sleep(0.5)  # others are done, and kept by their workers
    remove(own_client, next(iter(watch.workers)))
    got += results
    assert sorted(got) == [2 * number for number in range(30)]


def test_workers_are_told_by_threads_and_tasks(client: Any, watch: Watch) -> None:
    found = ask(client)
    assert [threads for threads, _, _ in found.values()] == [1, 1]
    assert watch.threads == 2
    assert sorted(watch.workers) == sorted(found)


def test_a_cluster_without_workers_is_given_up() -> None:
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        watch = Watch(client, Patience(workers=0.5))
        watch.EVERY = 0.0  # type: ignore[misc]
        watch.look()
        for address in watch.workers:
            remove(client, address)
        with pytest.raises(ClusterError, match="no worker is left"):
            list(moving_front(client, twice, [(1,)], watch))
