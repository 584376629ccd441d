"""How the shards of a map are dealt out among processes.

A process computes the windows between two shards once and carries them over; at the border of what
it was dealt, the neighbour computes them again. So each is dealt one run of neighbouring shards,
never every N-th one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from rsseg.errors import OptionError
from rsseg.geo.shards import Shard
from rsseg.replacing import replacing

_LONGEST, _SHORTEST = 16, 4
"""Shards of a task. What a task is broken off in is not lost, so only an even end asks for short
ones, of which more is computed twice."""


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


def runs(shards: Sequence[Shard], workers: int, block: int = 1) -> Iterator[tuple[Shard, ...]]:
    """Cut shards into tasks: runs of neighbours, long ones first so that all end together.

    Args:
        shards: Those that are to be computed.
        workers: Processes that take tasks.
        block: As in `deal`.
    """
    along = bool(shards) and block > max(shard.right - shard.left for shard in shards)
    waiting = _along_rows(shards) if along else _down_columns(shards)
    least = min(_SHORTEST, -(-len(waiting) // workers))
    while waiting:
        most = min(_LONGEST, max(least, -(-len(waiting) // (2 * workers))))
        length = 1
        for before, after in pairwise(waiting[:most]):
            if not along and not (before.left == after.left and before.bottom == after.top):
                break
            length += 1
        yield tuple(waiting[:length])
        del waiting[:length]


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
