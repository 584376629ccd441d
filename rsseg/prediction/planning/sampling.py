"""Windows of a scene that stand for all of it: to calibrate on, and to measure networks with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.errors import SceneError
from rsseg.geo.scene import Scene
from rsseg.geo.tiling import Tiling

_TRIES = 20
"""Places looked at for each window wanted, where much of a scene is invalid."""


def sample_windows(
    scene: Scene, size: int, side: int, count: int, fill: npt.NDArray[np.float64]
) -> npt.NDArray[Any]:
    """Raw windows ``(N, B, side, side)`` spread over a scene, always the same ones.

    Args:
        scene: What is read.
        size: Side of a window in pixels of the scene.
        side: Side it is resampled to.
        count: Windows wanted; a small scene has fewer different ones.
        fill: Value of each band that takes the place of invalid pixels, ``(B,)``.

    Raises:
        SceneError: If no window has a valid pixel.
    """
    found: list[npt.NDArray[Any]] = []
    spare: list[npt.NDArray[Any]] = []
    height, width = scene.grid.height, scene.grid.width
    tiling = Tiling(height, width, size, size)
    for row, column in spread(height, width, size, count * _TRIES):
        pixels, valid = scene.read(tiling.window(row, column), (side, side), fill)
        if 2 * valid.sum() >= valid.size:
            found.append(pixels)
        elif valid.any() and len(spare) < count:
            spare.append(pixels)
        if len(found) == count:
            break
    if not found and not spare:
        raise SceneError(f"no valid pixel was found in {scene.path}")
    return np.stack(found or spare)


def spread(height: int, width: int, size: int, count: int) -> Iterator[tuple[int, int]]:
    """Row and column of different windows of ``size`` pixels that fill a grid evenly.

    At most ``count`` of them. They follow Halton's sequence (Halton 1960), so that the first ones
    cover the grid whatever their number.
    """
    seen = set()
    for number in range(1, count + 1):
        row = round(_halton(number, 2) * max(0, height - size))
        column = round(_halton(number, 3) * max(0, width - size))
        if (row, column) not in seen:
            seen.add((row, column))
            yield row, column


def _halton(number: int, base: int) -> float:
    """The digits of a number mirrored at the point: 6 is 110, hence 0.011 or 3/8."""
    value, share = 0.0, 1.0
    while number:
        share /= base
        value += share * (number % base)
        number //= base
    return value
