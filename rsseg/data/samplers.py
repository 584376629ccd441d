"""Which windows of which scene are read, in which order. Samplers yield places, not pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rasterio.windows import Window

from rsseg.errors import OptionError
from rsseg.geo.tiling import Tiling

Place = tuple[int, Window]
"""Index of the scene, and a window of whole pixels inside it."""


@dataclass(frozen=True)
class RandomWindows:
    """Square windows at random places, larger scenes more often, in proportion to their area.

    Args:
        size: Side of the samples in pixels, after resizing.
        count: Windows in one epoch.
        seed: The same seed and epoch give the same windows.
        scale: Smallest and largest magnification: a window of ``size / magnification`` scene
            pixels is read for a sample (drawn log-uniformly), no larger than its scene.

    Raises:
        OptionError: If a number is not positive.
    """

    size: int
    count: int
    seed: int = 0
    scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        low, high = self.scale
        if min(self.size, self.count) < 1 or not 0 < low <= high:
            raise OptionError(
                "random windows need a positive size and count, and 0 < smallest <= largest scale",
                got=self,
            )

    def __len__(self) -> int:
        return self.count

    def places(self, shapes: Sequence[tuple[int, int]], epoch: int = 0) -> Iterator[Place]:
        """Windows of one epoch; ``shapes`` are rows and columns of the scenes."""
        generator = np.random.default_rng((self.seed, epoch))
        areas = np.array([rows * columns for rows, columns in shapes], dtype=np.float64)
        share = areas / areas.sum()
        low, high = np.log(self.scale)
        for _ in range(self.count):
            scene = int(generator.choice(len(shapes), p=share))
            rows, columns = shapes[scene]
            side = round(self.size / float(np.exp(generator.uniform(low, high))))
            side = max(1, min(side, rows, columns))
            row = int(generator.integers(rows - side + 1))
            column = int(generator.integers(columns - side + 1))
            yield scene, Window(column, row, side, side)


@dataclass(frozen=True)
class GridWindows:
    """Every window of every scene on a regular grid, the last ones flush with the edges.

    Args:
        size: Side of the windows, pixels; scenes smaller than that give a window beyond them.
        stride: Distance between windows, pixels.
    """

    size: int
    stride: int

    def places(self, shapes: Sequence[tuple[int, int]], epoch: int = 0) -> Iterator[Place]:
        """All windows, the same in every epoch."""
        for scene, (rows, columns) in enumerate(shapes):
            tiling = Tiling(rows, columns, self.size, self.stride)
            for row in tiling.rows:
                for column in tiling.columns:
                    yield scene, tiling.window(row, column)
