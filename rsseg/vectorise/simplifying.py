"""Corners that an arc can do without.

The corner with the smallest triangle goes first, as long as that is no larger than the tolerance
squared (Visvalingam and Whyatt 1993; so does ``shapely.coverage_simplify``), and only if no other
corner of the original map lies in the triangle: then no line can be crossed, since what enters a
triangle by one side has to end inside it. That includes corners which their own arcs have lost by
then, so that no arc has to wait for another.

Two arcs between the same nodes must not both become straight. Only that one may whose last corner
lies on the left of the way from the lesser node, and none between nodes in one row or column, where
an edge may run already: of two on the left the outer one's triangle holds the inner one's corner.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from rsseg.vectorise.heap import pop, push
from rsseg.vectorise.triangles import is_free, twice_area


@njit(nogil=True, cache=True)
def thin(
    xy: Any,
    n: int,
    cyclic: bool,
    marks: Any,
    top: int,
    limit: float,
    link: Any,
    area: Any,
    heap_area: Any,
    heap_corner: Any,
) -> int:
    """Unlink corners from an arc; returns the first that is left."""
    for k in range(n):
        link[k, 0], link[k, 1] = k - 1, k + 1
    if cyclic:
        link[0, 0], link[n - 1, 1] = n - 1, 0
    loop = not cyclic and xy[0, 0] == xy[n - 1, 0] and xy[0, 1] == xy[n - 1, 1]
    square = xy[0, 0] == xy[n - 1, 0] or xy[0, 1] == xy[n - 1, 1]
    left = n if cyclic else n - 2
    least = 3 if cyclic else 2 if loop else 1
    head, used = 0, 0
    if limit > 0:
        for k in range(0 if cyclic else 1, n if cyclic else n - 1):
            area[k] = abs(twice_area(xy, link[k, 0], k, link[k, 1]))
            if area[k] <= limit:
                used = push(heap_area, heap_corner, used, area[k], k)
    while used:
        smallest, corner = heap_area[0], heap_corner[0]
        used = pop(heap_area, heap_corner, used)
        if area[corner] != smallest:
            continue
        before, after = link[corner, 0], link[corner, 1]
        # at the least number of corners only an arc between two nodes can become straight
        if left <= least and (
            cyclic or loop or square or left < 1 or twice_area(xy, before, corner, after) < 0
        ):
            continue
        ends = (
            xy[before, 0],
            xy[before, 1],
            xy[corner, 0],
            xy[corner, 1],
            xy[after, 0],
            xy[after, 1],
        )
        if not is_free(xy, n, before, after, ends, 2, marks, top):
            continue
        link[before, 1], link[after, 0] = after, before
        area[corner] = -1.0
        left -= 1
        if corner == head:
            head = after
        for k in (before, after):
            if cyclic or 0 < k < n - 1:
                now = abs(twice_area(xy, link[k, 0], k, link[k, 1]))
                area[k] = now
                if now <= limit:
                    used = push(heap_area, heap_corner, used, now, k)
    return head
