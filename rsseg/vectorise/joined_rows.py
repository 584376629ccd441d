"""Rows of a raster from its strips, each worked on by itself: as of one reading, in its order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from rsseg.vectorise.adjacency import Bytes, recoded_in_strips
from rsseg.vectorise.assembling import Rings
from rsseg.vectorise.joining import Joiner
from rsseg.vectorise.outlines import Batch
from rsseg.vectorise.reading import ClassStrips
from rsseg.vectorise.rows import Rows, joined
from rsseg.vectorise.strips import (
    Keys,
    Rowspan,
    StripPolygons,
    Work,
    begin,
    decisions,
    neighbours_in,
    polygons_in,
    rows_of,
)
from rsseg.vectorise.table import Table

Spread = Callable[[Callable[..., Any], Iterable[tuple[Any, ...]]], Iterator[Any]]
"""Results of calls of a function, in the order of their arguments."""

_NO_KEYS: Keys = np.empty((0, 3), np.int32)


def rows_in_strips(
    work: Work,
    table: Table,
    strips: Sequence[Rowspan],
    spread: Spread,
    on_pixels: Callable[[int], None],
) -> Generator[Rows, None, None]:
    """Rows of the whole raster, in the order of one reading.

    Args:
        work: What is to be made.
        table: Makes rows of it.
        strips: All strips, from top to bottom.
        spread: Has strips worked on.
        on_pixels: Called with the pixels of each strip, each time one is done.
    """
    shaping = table.shaping
    (_, width), known = ClassStrips(work.raster).shape, work.options.confidence is not None

    def results(function: Callable[..., Any]) -> Iterator[Any]:
        calls = ((work, rows, tuple(c[k] for c in changes)) for k, rows in enumerate(strips))
        for (top, end), found in zip(strips, spread(function, calls), strict=True):
            yield found
            on_pixels((end - top) * width)

    changes: list[list[Bytes]] = []
    for small, decide in decisions(shaping):
        found = results(neighbours_in)
        changes.append(recoded_in_strips(found, shaping.connectivity, small, decide))
    joiner = StripJoiner(table, begin(Joiner, work, shaping), known=known)
    for strip in results(polygons_in):
        yield from joiner.add(strip)
    yield from joiner.finish()


class StripJoiner:
    """Rows of all strips, top to bottom, sorted as if they were of one.

    Args:
        table: Makes rows of polygons that several strips have parts of.
        joiner: Joins those.
        known: Whether there is a confidence raster.
    """

    def __init__(self, table: Table, joiner: Joiner, *, known: bool) -> None:
        self._table, self._joiner, self._known = table, joiner, known
        self._held: list[StripPolygons] = []
        self._corners = 0

    def add(self, strip: StripPolygons) -> Iterator[Rows]:
        """Take the next strip; gives batches of rows."""
        self._held.append(strip)
        self._corners += int(strip.corners.sum())
        batches = self._joiner.join(strip.open, self._corners)
        if batches is not None:
            yield from self._sorted(batches)

    def finish(self) -> Iterator[Rows]:
        """Give the remaining batches."""
        yield from self._sorted(self._joiner.finish())

    def _sorted(self, batches: Iterator[Rings]) -> Iterator[Rows]:
        """Rows of joined polygons, and those that wait, each where it belongs."""
        names = self._table.names
        waiting, keys = [each.rows(names) for each in self._held], [e.keys for e in self._held]
        self._held, self._corners = [], 0
        held = _Sorted(waiting, keys)
        for rings in batches:
            rows, own = rows_of(self._table, Batch.of(rings, known=self._known))
            if len(rows):
                yield held.up_to(rows, own)
        yield from held.rest()


class _Sorted:
    """Rows that wait until their turn comes, in order.

    Args:
        batches: Batches of them.
        keys: Those of each batch, ``(N, 3)``.
    """

    def __init__(self, batches: list[Rows], keys: list[Keys]) -> None:
        self._rows = joined(batches) if batches else None
        self._keys = np.concatenate([_NO_KEYS, *keys])

    def up_to(self, rows: Rows, keys: Keys) -> Rows:
        """Rows with all that come before the last of them, sorted."""
        (first, second, third), last = self._keys.T, keys[-1]
        before = (second < last[1]) | ((second == last[1]) & (third < last[2]))
        count = int(((first < last[0]) | ((first == last[0]) & before)).sum())
        if self._rows is None or not count:
            return rows
        every = np.concatenate([self._keys[:count], keys])
        both = joined([self._rows[:count], rows])
        self._rows, self._keys = self._rows[count:], self._keys[count:]
        return both[np.lexsort(every.T[::-1])]

    def rest(self) -> Iterator[Rows]:
        """Those that are left."""
        if self._rows is not None and len(self._rows):
            yield self._rows
