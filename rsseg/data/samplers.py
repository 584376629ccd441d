"""Which windows of which scene are read, in which order. Samplers give places, not pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from rsseg.errors import OptionError
from rsseg.geo.tiling import Tiling

Place = tuple[int, Window]
"""Index of the scene, and a window of whole pixels in it."""

Shape = tuple[int, int]
"""Rows and columns of a scene."""


class Places(ABC):
    """The windows of a sampler over some scenes, by number; an epoch is the next ``len`` of them.

    A window depends on the seed and its number alone, so nothing has to be drawn before it.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Windows in an epoch."""

    @abstractmethod
    def __getitem__(self, number: int) -> Place:
        """The window of this number, 0 or more."""

    def __iter__(self) -> Iterator[Place]:
        return self.epoch(0)

    def epoch(self, epoch: int) -> Iterator[Place]:
        """The windows of one epoch, counted from 0."""
        return (self[epoch * len(self) + number] for number in range(len(self)))


class Sampler(Protocol):
    """What places windows of ``size`` pixels."""

    @property
    def size(self) -> int:
        """Side of the samples in pixels, after resizing."""

    def over(self, shapes: Sequence[Shape], zooms: Sequence[float] | None = None) -> Places:
        """The windows over scenes of these shapes, magnified so much before all else."""


@dataclass(frozen=True)
class DrawnWindows:
    """What random and balanced windows share; the arguments are told there."""

    size: int
    count: int
    seed: int = 0
    scale: tuple[float, float] = (1.0, 1.0)
    aspect: float = 1.0
    step: int = 1

    def __post_init__(self) -> None:
        low, high = self.scale
        if min(self.size, self.count, self.step) < 1 or not 0 < low <= high or self.aspect < 1:
            raise OptionError(
                "windows need a positive size, count and step, 0 < smallest <= largest scale, and "
                "an aspect of 1 or more",
                got=self,
            )

    def sides(self, generator: np.random.Generator, shape: Shape, zoom: float) -> Shape:
        """Rows and columns of a window, within the scene unless the scene is too small for any.

        Args:
            generator: Source of the magnification and the aspect.
            shape: Rows and columns of the scene.
            zoom: Magnification of the scene at scale 1.
        """
        stretch = float(np.exp(generator.uniform(-1, 1) * np.log(self.aspect) / 2))
        wanted = self.size * stretch / zoom, self.size / stretch / zoom
        low, high = self.scale
        least = max(w / s for w, s in zip(wanted, shape, strict=True))
        low = min(max(low, least), high)
        scale = float(np.exp(generator.uniform(np.log(low), np.log(high))))
        rows, columns = (max(1, round(side / scale)) for side in wanted)
        if least <= high:  # it fits, but for rounding
            rows, columns = min(rows, shape[0]), min(columns, shape[1])
        return self._stepped(rows), self._stepped(columns)

    def offset(self, generator: np.random.Generator, low: int, high: int) -> int:
        """A first row or column from ``low`` to ``high``."""
        first, last = -(-low // self.step), high // self.step
        return self.step * int(generator.integers(min(first, last), last + 1))

    def _stepped(self, side: int) -> int:
        return max(side // self.step, 1) * self.step


@dataclass(frozen=True)
class RandomWindows(DrawnWindows):
    """Windows at random places, larger scenes more often, in proportion to their area.

    Args:
        size: Side of the samples in pixels, after resizing.
        count: Windows in one epoch.
        seed: The same seed gives the same windows.
        scale: Smallest and largest magnification: a window of ``size / magnification`` scene
            pixels is read for a sample (drawn log-uniformly, from what fits into the scene). A
            scene too small for any of them gives windows beyond it.
        aspect: Largest ratio of magnification down to that across, and the reverse; 1 keeps
            shapes.
        step: Windows begin at, and their sides are, multiples of this many pixels.

    Raises:
        OptionError: If a number is not positive.
    """

    def over(self, shapes: Sequence[Shape], zooms: Sequence[float] | None = None) -> Places:
        """The windows over scenes of these shapes, magnified so much before all else."""
        return _RandomPlaces(self, shapes, zooms)


class _RandomPlaces(Places):
    def __init__(
        self, sampler: RandomWindows, shapes: Sequence[Shape], zooms: Sequence[float] | None
    ) -> None:
        self._sampler, self._shapes = sampler, tuple(shapes)
        self._zooms = (1.0,) * len(shapes) if zooms is None else tuple(zooms)
        areas = [
            rows * columns * zoom**2
            for (rows, columns), zoom in zip(self._shapes, self._zooms, strict=True)
        ]
        self._areas = np.cumsum(areas)

    def __len__(self) -> int:
        return self._sampler.count

    def __getitem__(self, number: int) -> Place:
        generator = np.random.default_rng((self._sampler.seed, number))
        scene = drawn(generator, self._areas)
        shape = self._shapes[scene]
        rows, columns = self._sampler.sides(generator, shape, self._zooms[scene])
        row = self._sampler.offset(generator, 0, max(shape[0] - rows, 0))
        column = self._sampler.offset(generator, 0, max(shape[1] - columns, 0))
        return scene, Window(column, row, columns, rows)


@dataclass(frozen=True)
class GridWindows:
    """Every window of every scene on a regular grid, the last ones flush with the edges.

    Args:
        size: Side of the windows, pixels; scenes smaller than that give a window beyond them.
        stride: Distance between windows, pixels.

    Raises:
        OptionError: If a number is not positive.
    """

    size: int
    stride: int

    def __post_init__(self) -> None:
        if min(self.size, self.stride) < 1:
            raise OptionError("windows need a positive size and stride", got=self)

    def over(self, shapes: Sequence[Shape], zooms: Sequence[float] | None = None) -> Places:
        """All windows over scenes of these shapes, the same in every epoch.

        Raises:
            OptionError: If the stride leaves gaps.
        """
        return _GridPlaces(self, shapes, zooms)


class _GridPlaces(Places):
    def __init__(
        self, sampler: GridWindows, shapes: Sequence[Shape], zooms: Sequence[float] | None
    ) -> None:
        zooms = (1.0,) * len(shapes) if zooms is None else zooms
        self._tilings: list[Tiling] = []
        for (rows, columns), zoom in zip(shapes, zooms, strict=True):
            size = max(1, round(sampler.size / zoom))
            stride = min(size, max(1, round(sampler.stride / zoom)))
            stride = sampler.stride if zoom == 1 else stride
            self._tilings.append(Tiling(rows, columns, size, stride))
        self._offsets = [(tiling.rows, tiling.columns) for tiling in self._tilings]
        self._ends = np.cumsum([len(rows) * len(columns) for rows, columns in self._offsets])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, number: int) -> Place:
        number %= len(self)
        scene = int(np.searchsorted(self._ends, number, side="right"))
        rows, columns = self._offsets[scene]
        number -= int(self._ends[scene]) - len(rows) * len(columns)
        row, column = divmod(number, len(columns))
        return scene, self._tilings[scene].window(rows[row], columns[column])


def drawn(generator: np.random.Generator, cumulated: npt.NDArray[np.float64]) -> int:
    """An index drawn by weights that were summed up; never one of weight 0."""
    return int(np.searchsorted(cumulated, generator.random() * cumulated[-1], side="right"))
