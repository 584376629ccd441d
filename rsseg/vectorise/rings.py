"""Whole rings, followed from record to record."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from rsseg.vectorise.runs import Flags, Ints, Longs


@njit(nogil=True, cache=True)
def find_rings(
    xs: Any, ys: Any, following: Any, regions: Any, parent: Any, closed: Any
) -> tuple[Longs, Longs, Ints, Flags]:
    """The rings of closed regions.

    Args:
        xs: Columns of the records, ``(N,)``.
        ys: Their rows.
        following: The record after each.
        regions: Their labels.
        parent: The root of each label, ``(L,)``.
        closed: Whether a root is of a region that is complete, ``(L,)``.

    Returns:
        Per ring its first record, its number of records, the root of its region, and whether it is
        a hole.
    """
    seen = np.zeros(len(xs), np.bool_)
    count = 0
    for record in range(len(xs)):
        if not seen[record] and closed[parent[regions[record]]]:
            count += 1
            at = record
            while not seen[at]:
                seen[at] = True
                at = following[at]
    first, size = np.empty(count, np.int64), np.empty(count, np.int64)
    owner, hole = np.empty(count, np.int32), np.empty(count, np.bool_)
    ring = 0
    for record in range(len(xs)):
        if seen[record]:
            at, length, twice = record, 0, 0
            while seen[at]:
                seen[at] = False
                after = following[at]
                twice += np.int64(xs[at]) * ys[after] - np.int64(xs[after]) * ys[at]
                length += 1
                at = after
            first[ring], size[ring] = record, length
            owner[ring], hole[ring] = parent[regions[record]], twice > 0
            ring += 1
    return first, size, owner, hole


@njit(nogil=True, cache=True)
def write_rings(
    first: Any, offsets: Any, xs: Any, ys: Any, following: Any, nodes: Any, points: Any, flags: Any
) -> None:
    """Write rings one after the other.

    Args:
        first: First record of each ring, ``(R,)``.
        offsets: Where each starts in ``points``, and the end, ``(R + 1,)``: one place more than a
            ring has records repeats its first point.
        xs: Columns of the records.
        ys: Their rows.
        following: The record after each.
        nodes: Whether each is a node.
        points: Written: columns and rows, float64 ``(P, 2)``.
        flags: Written: whether each point is a node, ``(P,)``; may be empty.
    """
    for ring in range(len(first)):
        at = first[ring]
        for place in range(offsets[ring], offsets[ring + 1]):
            points[place, 0], points[place, 1] = xs[at], ys[at]
            if len(flags):
                flags[place] = nodes[at]
            at = following[at]
