"""Threads that can be left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rsseg.prediction.workers import Workers


def test_calls_are_done_in_order_and_give_their_results() -> None:
    seen: list[int] = []
    with Workers(1, "test") as workers:
        results = [workers.submit(lambda i: seen.append(i) or i * 2, number) for number in range(9)]
        assert [result.result() for result in results] == [number * 2 for number in range(9)]
    assert seen == list(range(9))


def test_calls_wait_for_each_other_only_where_threads_lack() -> None:
    meeting = threading.Barrier(2, timeout=10)
    with Workers(2, "test") as workers:
        both = [workers.submit(meeting.wait) for _ in range(2)]
        assert sorted(each.result() for each in both) == [0, 1]


def test_threads_are_added_and_end_with_the_others() -> None:
    before = threading.active_count()
    meeting = threading.Barrier(3, timeout=10)
    with Workers(1, "test") as workers:
        for count in (3, 2):  # fewer change nothing
            workers.grow(count)
            assert threading.active_count() == before + 3
        met = [workers.submit(meeting.wait) for _ in range(3)]
        assert sorted(each.result() for each in met) == [0, 1, 2]
    assert threading.active_count() == before


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_exception_comes_to_who_waits(kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind("no")

    with Workers(1, "test") as workers:
        result = workers.submit(fail)
        with pytest.raises(kind, match="no"):
            result.result()
        assert workers.submit(lambda: 1).result() == 1


def test_leaving_waits_for_what_was_asked_for() -> None:
    done: list[int] = []
    with Workers(1, "test") as workers:
        for number in range(3):
            workers.submit(lambda i: time.sleep(0.01) or done.append(i), number)
    assert done == [0, 1, 2]
    assert not workers.given_up


def test_an_error_gives_up_what_has_not_begun() -> None:
    begun, go = threading.Event(), threading.Event()
    done: list[int] = []

    def first() -> None:
        begun.set()
        go.wait(10)
        done.append(1)

    def fail_in_between() -> None:
        with Workers(1, "test") as workers:
            workers.submit(first)
            workers.submit(done.append, 2)
            begun.wait(10)
            threading.Timer(0.05, go.set).start()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail_in_between()
    assert done == [1]


def test_each_thread_leaves_by_what_it_was_told() -> None:
    left: list[str] = []
    with Workers(3, "test", lambda: left.append(threading.current_thread().name)):
        pass
    assert sorted(left) == ["test-0", "test-1", "test-2"]


LONG = """
import threading, time
from rsseg.prediction.workers import Workers
with Workers(1, "test") as workers:
    workers.submit({call})
    time.sleep(0.2)
    raise KeyboardInterrupt
"""


@pytest.mark.parametrize("call", ["time.sleep, 30", "lambda: [i for i in iter(int, 1)]"])
def test_an_interrupted_process_ends_although_a_call_goes_on(call: str) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", LONG.format(call=call)], capture_output=True, text=True, timeout=25
    )
    assert time.monotonic() - began < 20
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr


UNFINISHED = """
import sys, threading, time
from rsseg.prediction.workers import Workers
from rsseg.replacing import replacing
begun = threading.Event()
def write():
    with replacing(sys.argv[1]) as unfinished:
        unfinished.write_text("half")
        unfinished.with_name(unfinished.name + ".ovr").write_text("GDAL's")
        begun.set()
        time.sleep(30)
with Workers(1, "test") as workers:
    workers.submit(write)
    assert begun.wait(20)
    raise KeyboardInterrupt
"""


def test_an_interrupted_process_leaves_no_unfinished_files(tmp_path: Path) -> None:
    target = tmp_path / "map.tif"
    target.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", UNFINISHED, target], capture_output=True, text=True, timeout=25
    )
    assert "KeyboardInterrupt" in done.stderr
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_text() == "old"
