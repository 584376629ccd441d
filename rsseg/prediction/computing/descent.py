"""In which order windows are computed, and which of them for what is still to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rsseg.geo.shards import Shard, Swath
from rsseg.geo.tiling import Tiling


@dataclass(frozen=True)
class Step:
    """A row of windows, as far as it is needed.

    Args:
        columns: Indices of its windows, ascending.
        shards: Those that some rows are finished of when it is done.
    """

    columns: tuple[int, ...]
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class Descent:
    """A swath and what is to be computed of it.

    Args:
        swath: Where.
        steps: By index of the row of windows, ascending; rows that nothing needs are left out.
    """

    swath: Swath
    steps: dict[int, Step]

    def __len__(self) -> int:
        return sum(len(step.columns) for step in self.steps.values())

    def windows(self) -> Iterator[tuple[int, int]]:
        """Indices of row and column of the windows, in order."""
        return ((row, column) for row, step in self.steps.items() for column in step.columns)


def descents(tiling: Tiling, swaths: Sequence[Swath], pending: Sequence[Shard]) -> list[Descent]:
    """What is to be computed for these shards: each window that touches one, once for a swath.

    A pixel of a pending shard gets all of its windows, in the one order of the mosaic. Other pixels
    get some of theirs, and are not written.
    """
    return [_descent(tiling, swath, pending) for swath in swaths if any(map(swath.has, pending))]


def _descent(tiling: Tiling, swath: Swath, pending: Iterable[Shard]) -> Descent:
    columns: dict[int, set[int]] = {}
    finished: dict[int, list[Shard]] = {}
    after = (*tiling.rows[1:], tiling.height)
    for shard in pending:
        if swath.has(shard):
            for row in shard.rows:
                columns.setdefault(row, set()).update(shard.columns)
                if after[row] > shard.top:
                    finished.setdefault(row, []).append(shard)
    return Descent(
        swath,
        {
            row: Step(tuple(sorted(columns[row])), tuple(finished.get(row, ())))
            for row in sorted(columns)
        },
    )
