"""Arcs with round corners.

A corner is replaced by a quadratic Bézier curve, the limit of Chaikin's corner cutting, if no other
corner of the original map lies in the triangle of its control points. Then no line passes through
the triangle, two such triangles cannot overlap, and the curves inside them cannot cross.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from rsseg.vectorise.triangles import is_free

ROUNDED = 3.0
"""Pixels from a corner at which its curve starts, or half the edge if that is less."""

CURVE = 3
"""Pieces of a rounded corner."""


@njit(nogil=True, cache=True)
def draw(
    xy: Any,
    n: int,
    cyclic: bool,
    head: int,
    marks: Any,
    top: int,
    radius: float,
    link: Any,
    drawn: Any,
) -> int:
    """Write the points of an arc, rounded where that is safe; returns how many."""
    many, k = 0, head
    while True:
        x, y = xy[k, 0], xy[k, 1]
        before, after = link[k, 0], link[k, 1]
        sharp = radius == 0 or not (cyclic or 0 < k < n - 1)
        if not sharp:
            x0, y0 = _toward(xy, k, before, radius)
            x1, y1 = _toward(xy, k, after, radius)
            sharp = not is_free(xy, n, before, after, (x0, y0, x, y, x1, y1), 0, marks, top)
        if sharp:
            drawn[many, 0], drawn[many, 1] = x, y
            many += 1
        else:
            for piece in range(CURVE + 1):
                t = piece / CURVE
                a, b, c = (1 - t) * (1 - t), 2 * t * (1 - t), t * t
                px, py = a * x0 + b * x + c * x1, a * y0 + b * y + c * y1
                # two curves may meet in the middle of an edge
                if piece or many == 0 or px != drawn[many - 1, 0] or py != drawn[many - 1, 1]:
                    drawn[many, 0], drawn[many, 1] = px, py
                    many += 1
        if after in (head, n):
            break
        k = after
    if (
        cyclic
        and many > 1
        and drawn[0, 0] == drawn[many - 1, 0]
        and drawn[0, 1] == drawn[many - 1, 1]
    ):
        many -= 1
    return many


@njit(nogil=True, cache=True)
def _toward(xy: Any, corner: int, other: int, radius: float) -> tuple[float, float]:
    """Where the curve around a corner leaves the edge to its neighbour.

    In the middle both ends of an edge give the same point, to the last bit.
    """
    x, y, u, v = xy[corner, 0], xy[corner, 1], xy[other, 0], xy[other, 1]
    length = np.hypot(u - x, v - y)
    if length <= 2 * radius:
        return (x + u) / 2, (y + v) / 2
    share = radius / length
    return x + share * (u - x), y + share * (v - y)
