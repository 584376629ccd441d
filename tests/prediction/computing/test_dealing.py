"""Dealing shards out: every shard once, in runs of neighbours that cost few windows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from rsseg.errors import OptionError
from rsseg.geo.shards import Shard, shards, swaths
from rsseg.geo.tiling import Tiling
from rsseg.prediction.computing.dealing import (
    Share,
    deal,
    parse_share,
    runs,
    windows_of,
    windows_of_all,
)
from rsseg.prediction.computing.descent import descents


def some_shards(height: int, width: int, pixels: int, columns: int) -> tuple[Tiling, list[Shard]]:
    tiling = Tiling(height, width, 32, 24)
    return tiling, list(shards(tiling, Window(0, 0, width, height), pixels, columns))


sizes = st.tuples(
    *(st.integers(1, 400), st.integers(1, 400), st.integers(1, 9000), st.integers(1, 200))
)


@given(sizes, st.integers(1, 40), st.sampled_from([1, 10_000]))
def test_every_shard_is_dealt_once(size: tuple[int, ...], count: int, block: int) -> None:
    _, found = some_shards(*size)
    dealt = deal(found, count, block)
    assert len(dealt) == count
    assert sorted(s.index for share in dealt for s in share) == list(range(len(found)))
    again = deal(list(reversed(found)), count, block)
    assert again == dealt, "it depends on nothing but the plan"


@given(sizes, st.integers(1, 10))
def test_shares_are_about_equal(size: tuple[int, ...], count: int) -> None:
    """A share is off by no more than the largest shard."""
    _, found = some_shards(*size)
    areas = [(s.bottom - s.top) * (s.right - s.left) for s in found]
    for share in deal(found, count):
        own = sum((s.bottom - s.top) * (s.right - s.left) for s in share)
        assert abs(own - sum(areas) / count) <= max(areas)


@given(sizes, st.integers(1, 9), st.sampled_from([1, 10_000]), st.data())
def test_tasks_hold_what_is_pending_once(
    size: tuple[int, ...], workers: int, block: int, data: st.DataObject
) -> None:
    _, found = some_shards(*size)
    pending = [shard for shard in found if data.draw(st.booleans())]
    tasks = list(runs(pending, workers, block))
    assert sorted(s.index for task in tasks for s in task) == [s.index for s in pending]
    lengths = [len(task) for task in tasks]
    assert max(lengths, default=0) <= min(64, -(-len(pending) // workers)), "each gets its share"
    rows = [s.index for s in sorted(pending, key=lambda s: (s.top, s.left))]
    columns = [s.index for s in sorted(pending, key=lambda s: (s.left, s.top))]
    for order in [rows] if block > 1 else [rows, columns]:
        if [s.index for task in tasks for s in task] == order:
            break
    else:
        pytest.fail("tasks are runs in neither order")


def test_workers_end_together() -> None:
    """Two workers do a scene of 8192 x 8192 pixels in hardly more than half the windows each."""
    tiling = Tiling(8192, 8192, 512, 384)
    found = list(shards(tiling, Window(0, 0, 8192, 8192), 2_000_000, 4096))
    first, second = runs(found, 2)
    assert max(windows_of(first), windows_of(second)) < len(tiling) / 2 / 0.94
    assert [len(task) for task in runs(found, 1)] == [len(found)], "alone it computes none twice"


@pytest.mark.parametrize("workers", [2, 3, 5, 8])
@pytest.mark.parametrize("side", [8192, 10_000, 20_000])
def test_no_simple_cut_ends_sooner(side: int, workers: int) -> None:
    tiling = Tiling(side, side, 512, 384)
    found = list(shards(tiling, Window(0, 0, side, side), 2_000_000, 4096))

    def last_end(tasks: Sequence[Sequence[Shard]], speeds: Sequence[float]) -> float:
        free = [0.0] * workers
        for task in tasks:
            worker = free.index(min(free))
            free[worker] += (windows_of(task) + 2) / speeds[worker]
        return max(free)

    slow = [[1.0] * workers, [0.8] + [1.0] * (workers - 1)]
    chosen = sum(last_end(runs(found, workers), speeds) for speeds in slow)
    for length in range(1, len(found) // workers + 1):
        column = sorted(found, key=lambda s: (s.left, s.top))
        cut = [column[first : first + length] for first in range(0, len(found), length)]
        assert chosen <= 1.1 * sum(last_end(cut, speeds) for speeds in slow)


def test_where_other_work_follows_tasks_are_long() -> None:
    _, found = some_shards(2400, 1200, 1, 96)
    long = runs(found, 8, even=False)
    assert len(long) <= len(runs(found, 8))
    assert sorted(s.index for task in long for s in task) == list(range(len(found)))


@given(sizes, st.integers(1, 12))
def test_windows_are_counted_as_the_mosaic_computes_them(size: tuple[int, ...], count: int) -> None:
    tiling, found = some_shards(*size)
    whole = swaths(tiling, found, 1)
    for share in deal(found, count):
        assert windows_of(share) == sum(map(len, descents(tiling, whole, share)))


def test_runs_of_neighbours_cost_fewer_windows_than_every_nth_shard() -> None:
    tiling, found = some_shards(2400, 1200, 1, 96)
    for count in (2, 3, 8, 50):
        near = windows_of_all(deal(found, count))
        every_nth = windows_of_all([found[first::count] for first in range(count)])
        assert len(tiling) <= near < every_nth
    assert windows_of_all(deal(found, 8)) < 1.1 * len(tiling)


def test_runs_go_along_rows_where_a_block_is_as_wide_as_the_scene() -> None:
    _, found = some_shards(400, 2400, 1, 96)
    tall = deal(found, 2)
    assert max(s.left for s in tall[0]) <= min(s.left for s in tall[1])
    wide = deal(found, 2, 2400)
    assert max(s.top for s in wide[0]) <= min(s.top for s in wide[1])


@pytest.mark.parametrize("text", ["1/1", " 3 / 8 ", "8/8"])
def test_shares_are_parsed(text: str) -> None:
    number, of = text.split("/")
    assert parse_share(text) == Share(int(number), int(of))


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", ""])
def test_shares_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(OptionError):
        parse_share(text)
