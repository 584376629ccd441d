"""How the shards of a map are dealt out among processes.

A process computes the windows between two shards once and carries them over; at the border of what
it was dealt, the neighbour computes them again. So each is dealt one run of neighbouring shards,
never every N-th one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heapreplace
from itertools import accumulate, pairwise
from math import ceil
from pathlib import Path

from rsseg.errors import OptionError
from rsseg.geo.shards import Shard
from rsseg.replacing import replacing

_LONGEST = 64
"""Shards of a task. What a task is broken off in is not lost, so only an even end asks for short
ones, of which more is computed twice."""

_EQUAL, _PARTS, _LEAST = (1, 2, 3, 4), (1.0, 1.25, 1.5, 2.0, 3.0), (1, 2, 4)
"""Ways to cut: so many equal tasks for each worker; or, of what is left, the so manieth part for
each worker, and so many shards at least."""

_SPEEDS = (1.0, 0.8)
"""How fast one of the workers is beside the others, when ways to cut are compared."""

_OVERHEAD = 2
"""Windows that would be computed in the time that a task takes to begin and to end."""


@dataclass(frozen=True)
class Share:
    """One of so many shares of the work.

    Args:
        number: Which, from 1.
        of: How many there are.

    Raises:
        OptionError: If there is no such share.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise OptionError(
                "there is no such share", expected="1/N to N/N", got=f"{self.number}/{self.of}"
            )


def parse_share(text: str) -> Share:
    """``3/8`` as the third of eight shares.

    Raises:
        OptionError: If the text is no such thing.
    """
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if match is None:
        raise OptionError("unusable share", expected="a number and how many, as 3/8", got=text)
    return Share(int(match.group(1)), int(match.group(2)))


def deal(shards: Sequence[Shard], count: int, block: int = 1) -> tuple[tuple[Shard, ...], ...]:
    """Deal shards into so many runs of about equally many pixels.

    Runs go along rows or down columns of shards, whichever lets fewer windows be computed twice.

    Args:
        shards: All of them.
        count: Number of runs; some are empty if there are more than shards.
        block: Columns that the scene's file decodes at once; where these are more than a shard has,
            runs go along rows.
    """
    ways = [_cut(_along_rows(shards), count), _cut(_down_columns(shards), count)]
    if block > max(shard.right - shard.left for shard in shards):
        return ways[0]
    return min(ways, key=windows_of_all)


def runs(
    shards: Sequence[Shard], workers: int, block: int = 1, *, even: bool = True
) -> list[tuple[Shard, ...]]:
    """Cut shards into tasks: runs of neighbours along rows or down columns, long ones first.

    Short tasks at the end let all workers end together, but windows between two tasks are computed
    twice. Of several ways to cut, that is taken by which the last worker is expected to end first.

    Args:
        shards: Those that are to be computed.
        workers: Processes that take tasks.
        block: As in `deal`.
        even: Whether all are to end together; else other work follows, and tasks are long.
    """
    orders = {True: _along_rows(shards), False: _down_columns(shards)}
    if shards and block > max(shard.right - shard.left for shard in shards):
        del orders[False]
    if not even:
        along, waiting = orders.popitem()
        return _pieces(waiting, along, lambda left: _LONGEST)
    count = len(shards)
    lengths = [partial(_equal, ceil(count / (workers * each))) for each in _EQUAL]
    lengths += [
        partial(_falling, workers * parts, min(least, ceil(count / workers)))
        for parts in _PARTS
        for least in _LEAST
    ]
    ways = [
        _pieces(waiting, along, length) for along, waiting in orders.items() for length in lengths
    ]
    return min(ways, key=lambda tasks: _windows_in_time(tasks, workers))


def windows_of(shards: Sequence[Shard]) -> int:
    """Windows that a process computes for these shards."""
    columns: dict[int, set[int]] = {}
    for shard in shards:
        for row in shard.rows:
            columns.setdefault(row, set()).update(shard.columns)
    return sum(map(len, columns.values()))


def windows_of_all(dealt: Sequence[Sequence[Shard]]) -> int:
    """Windows that all processes together compute."""
    return sum(map(windows_of, dealt))


def note_shares(folder: Path, dealt: Sequence[Sequence[Shard]]) -> None:
    """Keep in a parts folder how its shards are dealt."""
    path = folder / f"shares_{len(dealt)}.json"
    if not path.is_file():
        with replacing(path) as unfinished:
            indices = [[shard.index for shard in share] for share in dealt]
            unfinished.write_text(json.dumps(indices), encoding="utf-8")


def shares_dealt(folder: Path) -> dict[int, list[list[int]]]:
    """Indices of shards by share, for each number of shares that they were dealt into."""
    found = [json.loads(path.read_text("utf-8")) for path in folder.glob("shares_*.json")]
    return {len(shares): shares for shares in found}


def _pieces(
    shards: Sequence[Shard], along: bool, length: Callable[[int], int]
) -> list[tuple[Shard, ...]]:
    """Runs of at most so many shards, by how many are left; down a column they end with it."""
    found, begin = [], 0
    while begin < len(shards):
        end = begin + 1
        for before, after in pairwise(shards[begin : begin + length(len(shards) - begin)]):
            if not along and not (before.left == after.left and before.bottom == after.top):
                break
            end += 1
        found.append(tuple(shards[begin:end]))
        begin = end
    return found


def _equal(length: int, left: int) -> int:
    return min(_LONGEST, length)


def _falling(parts: float, least: int, left: int) -> int:
    return min(_LONGEST, max(least, ceil(left / parts)))


def _windows_in_time(tasks: Sequence[Sequence[Shard]], workers: int) -> float:
    """Windows that a worker computes in the time until the last one ends; a mean over speeds."""
    costs = [windows_of(task) + _OVERHEAD for task in tasks]
    return sum(_makespan(costs, [speed] + [1.0] * (workers - 1)) for speed in _SPEEDS)


def _makespan(costs: Sequence[float], speeds: Sequence[float]) -> float:
    """When the last worker ends, if each takes the next task as soon as it is free."""
    free = [(0.0, worker) for worker in range(len(speeds))]
    for cost in costs:
        now, worker = free[0]
        heapreplace(free, (now + cost / speeds[worker], worker))
    return max(end for end, _ in free)


def _cut(shards: Sequence[Shard], count: int) -> tuple[tuple[Shard, ...], ...]:
    """Pieces of about equally many pixels, in this order."""
    ends = list(accumulate(_pixels(shard) for shard in shards))
    pieces: list[list[Shard]] = [[] for _ in range(count)]
    for shard, end in zip(shards, ends, strict=True):
        middle = end - _pixels(shard) / 2
        pieces[min(count - 1, int(middle * count / ends[-1]))].append(shard)
    return tuple(map(tuple, pieces))


def _pixels(shard: Shard) -> int:
    return (shard.bottom - shard.top) * (shard.right - shard.left)


def _along_rows(shards: Sequence[Shard]) -> list[Shard]:
    return sorted(shards, key=lambda shard: (shard.top, shard.left))


def _down_columns(shards: Sequence[Shard]) -> list[Shard]:
    return sorted(shards, key=lambda shard: (shard.left, shard.top))
