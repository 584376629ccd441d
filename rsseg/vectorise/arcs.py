"""Simpler and smoother rings that still share their edges.

A ring is a chain of arcs from node to node (where three or more cells meet), or one closed arc. An
arc is worked on in one canonical direction and with nothing but itself and fixed marks in view, so
both of its polygons get the same points, in whatever strip, batch or thread they come.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from rsseg.vectorise.runs import Flags, Longs
from rsseg.vectorise.simplifying import thin
from rsseg.vectorise.smoothing import CURVE, ROUNDED, draw


def refine(
    points: npt.NDArray[np.float64],
    nodes: Flags,
    offsets: Longs,
    marks: npt.NDArray[np.uint8],
    top: int,
    *,
    tolerance: float,
    smooth: bool,
) -> tuple[npt.NDArray[np.float64], Longs]:
    """Rings simplified and, if asked for, smoothed.

    Args:
        points: Corners of all rings, none repeated at its end, ``(P, 2)``.
        nodes: Which of them are nodes; they stay, ``(P,)``.
        offsets: Where each ring starts, and the end, ``(R + 1,)``.
        marks: Bits of all corners of the map in the rows that the rings span,
            ``(n, (W + 8) // 8)``.
        top: Row of the first marks.
        tolerance: Side of a square as large as the largest triangle to remove, pixels.
        smooth: Whether to round corners.

    Returns:
        Points ``(Q, 2)`` of rings that end where they start, and their offsets ``(R + 1,)``.
    """
    room = CURVE + 1 if smooth else 1
    out = np.empty((room * len(points), 2))
    counts = np.empty(len(offsets) - 1, np.int64)
    limit, radius = 2.0 * tolerance**2, ROUNDED if smooth else 0.0
    threads = os.cpu_count() or 1
    cuts = np.searchsorted(offsets, np.linspace(0, len(points), threads + 1))
    cuts[0], cuts[-1] = 0, len(counts)

    def work(first: int, last: int) -> None:
        _refine(
            points,
            nodes,
            offsets,
            first,
            last,
            marks,
            top,
            limit,
            radius,
            room,
            out,
            counts,
        )

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, cuts[:-1].tolist(), cuts[1:].tolist()))
    closed = np.concatenate([[0], np.cumsum(counts + 1)])
    refined = np.empty((int(closed[-1]), 2))
    _gather(out, room, offsets, counts, closed, refined)
    return refined, closed


@njit(nogil=True, cache=True)
def _refine(
    points: Any,
    nodes: Any,
    offsets: Any,
    first: int,
    last: int,
    marks: Any,
    top: int,
    limit: float,
    radius: float,
    room: int,
    out: Any,
    counts: Any,
) -> None:
    longest = 1
    for ring in range(first, last):
        longest = max(longest, offsets[ring + 1] - offsets[ring])
    xy = np.empty((longest + 1, 2))
    link = np.empty((longest + 1, 2), np.int64)
    heap_area, heap_corner = np.empty(3 * longest + 3), np.empty(3 * longest + 3, np.int64)
    area = np.empty(longest + 1)
    drawn = np.empty((room * (longest + 1), 2))
    for ring in range(first, last):
        low, size = offsets[ring], offsets[ring + 1] - offsets[ring]
        start, cyclic = _start(points, nodes, low, size)
        written, at = room * low, 0
        while at < size:
            n = 0
            for step in range(at, size + 1 - int(cyclic)):
                place = low + (start + step) % size
                xy[n, 0], xy[n, 1] = points[place, 0], points[place, 1]
                n += 1
                if step > at and nodes[place]:
                    break
            backward = _is_backward(xy, n, cyclic)
            if backward:
                _reverse(xy, n, int(cyclic))
            head = thin(xy, n, cyclic, marks, top, limit, link, area, heap_area, heap_corner)
            many = draw(xy, n, cyclic, head, marks, top, radius, link, drawn)
            if backward:
                _reverse(drawn, many, 0)
            for k in range(many - int(not cyclic)):  # the last is the first of the next arc
                out[written, 0], out[written, 1] = drawn[k, 0], drawn[k, 1]
                written += 1
            at += n - int(not cyclic)
        counts[ring] = written - room * low


@njit(nogil=True, cache=True)
def _start(points: Any, nodes: Any, low: int, size: int) -> tuple[int, bool]:
    """Where to start on a ring: a node, or its least corner if it has none."""
    least = 0
    for k in range(size):
        if nodes[low + k]:
            return k, False
        x = points[low + k, 0] - points[low + least, 0]
        y = points[low + k, 1] - points[low + least, 1]
        if x < 0 or (x == 0 and y < 0):
            least = k
    return least, True


@njit(nogil=True, cache=True)
def _is_backward(xy: Any, n: int, cyclic: bool) -> bool:
    """Whether the arc runs against its canonical direction: from the lesser end."""
    first, last = 0, n - 1
    if cyclic:
        first = 1
    elif xy[0, 0] == xy[n - 1, 0] and xy[0, 1] == xy[n - 1, 1]:
        first, last = 1, n - 2
    x, y = xy[last, 0] - xy[first, 0], xy[last, 1] - xy[first, 1]
    return bool(x < 0 or (x == 0 and y < 0))


@njit(nogil=True, cache=True)
def _reverse(xy: Any, n: int, first: int) -> None:
    last = n - 1
    while first < last:
        for axis in range(2):
            xy[first, axis], xy[last, axis] = xy[last, axis], xy[first, axis]
        first += 1
        last -= 1


@njit(nogil=True, cache=True)
def _gather(out: Any, room: int, offsets: Any, counts: Any, closed: Any, points: Any) -> None:
    """Rings one after the other, the first point again at the end."""
    for ring in range(len(counts)):
        start, place = room * offsets[ring], closed[ring]
        for k in range(counts[ring]):
            points[place + k] = out[start + k]
        points[place + counts[ring]] = out[start]
