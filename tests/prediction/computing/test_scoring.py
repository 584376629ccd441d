"""Windows go through the engine in order, a call of each thread ahead of what is blended."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.prediction.computing.pipeline import Timing
from rsseg.prediction.computing.scoring import ReadWindow, Scorer
from rsseg.prediction.workers import Workers


class Doubling:
    """An engine that doubles the only pixel of its windows, in arrays by turns as OpenVINO's.

    Args:
        size: Windows of one call at most.
        seconds: What a call takes.
        streams: Threads that may call it at once.
    """

    def __init__(self, size: int, seconds: float = 0.0, streams: int = 1) -> None:
        self._size, self._seconds, self.streams = size, seconds, streams
        self._of_thread = threading.local()
        self.begun: list[int] = []

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        self.begun.append(int(windows[0, 0, 0, 0]))
        time.sleep(self._seconds)
        if not hasattr(self._of_thread, "results"):
            arrays = (np.zeros((self._size, 1, 1, 1)) for _ in range(self.streams + 1))
            self._of_thread.results = itertools.cycle(arrays)
        result = next(self._of_thread.results)
        result[: len(windows)] = 2 * windows
        return result[: len(windows)]


def made(pattern: list[bool], seconds: float = 0.0) -> Iterator[ReadWindow]:
    """Windows numbered from 1, some without a valid pixel, each read in so many seconds."""
    valid = np.ones((1, 1), np.bool_)
    for number, there in enumerate(pattern, 1):
        time.sleep(seconds)
        yield ReadWindow(number, (np.full((1, 1, 1), number), valid) if there else None)


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 4), st.integers(1, 3))
def test_each_window_comes_in_order_with_its_own_scores(
    pattern: list[bool], size: int, streams: int
) -> None:
    with Workers(streams, "score") as scoring:
        scorer = Scorer(Doubling(size, streams=streams), scoring, size)
        seen = [
            (window.column, None if scores is None else float(scores.squeeze()))
            for window, scores in scorer.scored(made(pattern))
        ]
    assert seen == [(n, 2.0 * n if there else None) for n, there in enumerate(pattern, 1)]


def begun_at_each(pattern: list[bool], streams: int = 1) -> list[Any]:
    """What the engine was given by the time each window was blended."""
    engine = Doubling(1, streams=streams)
    with Workers(1, "score") as scoring:
        found = []
        for _ in Scorer(engine, scoring, 1).scored(made(pattern)):
            scoring.submit(lambda: None).result()  # all that was given is begun
            found.append(list(engine.begun))
    return found


def test_the_engine_is_one_call_ahead() -> None:
    assert begun_at_each([True] * 4) == [[1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4]]
    assert begun_at_each([True] * 4, streams=2) == [[1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4]] + [
        [1, 2, 3, 4]
    ]


def test_threads_of_an_engine_score_at_once() -> None:
    meeting = threading.Barrier(2, timeout=10)

    class Meeting(Doubling):
        def __call__(self, windows: np.ndarray) -> np.ndarray:
            meeting.wait()
            return super().__call__(windows)

    with Workers(2, "score") as scoring:
        scorer = Scorer(Meeting(1, streams=2), scoring, 1)
        seen = [float(scores.squeeze()) for _, scores in scorer.scored(made([True] * 8))]
    assert seen == [2.0 * number for number in range(1, 9)]


def test_windows_without_a_valid_pixel_hold_nothing_up() -> None:
    begun = begun_at_each([True, False, False, True, False])
    assert begun == [[1, 4]] * 5


def test_many_of_them_do_not_pile_up() -> None:
    read = 0

    def counted() -> Iterator[ReadWindow]:
        nonlocal read
        for window in made([True] + [False] * 500):
            read += 1
            yield window

    with Workers(1, "score") as scoring:
        next(Scorer(Doubling(1), scoring, 1).scored(counted()))
    assert read < 100


@pytest.mark.parametrize(
    ("reading", "scoring", "streams", "least", "most"),
    [(0.02, 0.0, 1, 0.15, 60), (0.0, 0.04, 1, 0.0, 0.3), (0.04, 0.05, 2, 0.1, 60)],
    ids=["reading is the limit", "scoring is", "one of two streams would do"],
)
def test_waiting_is_for_reading_alone(
    reading: float, scoring: float, streams: int, least: float, most: float
) -> None:
    with Workers(streams, "score") as workers:
        scorer = Scorer(Doubling(1, scoring, streams), workers, 1)
        for _ in scorer.scored(made([True] * 10, reading)):
            time.sleep(0.001)
    assert least <= scorer.waited <= most


def test_it_is_said_when_reading_is_the_limit() -> None:
    assert Timing(pipeline=10, forward=9, waiting=0.9).notes == ()
    assert Timing(pipeline=1, forward=0.1, waiting=0.9).notes == ()
    (note,) = Timing(pipeline=100, forward=60, waiting=39.6).notes
    assert "40 of 100 s" in note
