"""Triangles between corners of an arc, and what else lies in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Ends = tuple[float, float, float, float, float, float]
"""Three points: x, y, x, y, x, y."""


@njit(nogil=True, cache=True)
def twice_area(xy: Any, a: int, b: int, c: int) -> float:
    """Twice the area of a triangle; positive if b lies to the left of a-c as seen on the map."""
    ax, ay = xy[a, 0], xy[a, 1]
    twice: float = (xy[c, 0] - ax) * (ay - xy[b, 1]) + (xy[b, 0] - ax) * (xy[c, 1] - ay)
    return twice


@njit(nogil=True, cache=True)
def is_free(
    xy: Any,
    n: int,
    before: int,
    after: int,
    ends: Ends,
    known: int,
    marks: Any,
    top: int,
) -> bool:
    """Whether a triangle holds no marks but ``known`` ends and corners between two of the arc."""
    ax, ay, bx, by, cx, cy = ends
    found = -known
    y_low, y_high = min(ay, by, cy), max(ay, by, cy)
    for y in range(int(np.ceil(y_low)), int(np.floor(y_high)) + 1):
        x_low, x_high = np.inf, -np.inf
        for x0, y0, x1, y1 in ((ax, ay, bx, by), (bx, by, cx, cy), (cx, cy, ax, ay)):
            if min(y0, y1) <= y <= max(y0, y1):
                if y0 == y1:
                    u, v = min(x0, x1), max(x0, x1)
                else:
                    u = v = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
                x_low, x_high = min(x_low, u), max(x_high, v)
        x = int(np.ceil(x_low - 1e-6))
        row = marks[y - top]
        while x <= x_high + 1e-6:
            byte = row[x >> 3]
            if byte == 0:
                x = (x | 7) + 1
                continue
            if byte >> (x & 7) & 1 and _is_inside(x, y, ends):
                found += 1
            x += 1
    k = before
    while True:
        k = k + 1 if k + 1 < n else 0
        if k == after:
            break
        found -= int(_is_inside(xy[k, 0], xy[k, 1], ends))
    return found == 0


@njit(nogil=True, cache=True)
def _is_inside(x: float, y: float, ends: Ends) -> bool:
    """Whether a point lies in a closed triangle, which may be flat."""
    ax, ay, bx, by, cx, cy = ends
    if x < min(ax, bx, cx) or x > max(ax, bx, cx) or y < min(ay, by, cy) or y > max(ay, by, cy):
        return False
    first = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    second = (cx - bx) * (y - by) - (cy - by) * (x - bx)
    third = (ax - cx) * (y - cy) - (ay - cy) * (x - cx)
    low, high = min(first, second, third), max(first, second, third)
    return bool(low >= -1e-9 or high <= 1e-9)
