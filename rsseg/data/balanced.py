"""Windows by class: rare classes as often as asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from rsseg.data.label_index import LabelIndex
from rsseg.data.samplers import DrawnWindows, Place, Places, Shape, drawn
from rsseg.errors import OptionError

_BELOW_1 = float(np.nextafter(1, 0))


@dataclass(frozen=True)
class BalancedWindows(DrawnWindows):
    """Windows for one class each, so that rare classes are seen as often as asked.

    Each window holds, within its middle half where the edge of the scene allows, a pixel drawn
    evenly from all those of its class. Each epoch keeps the shares to less than two windows.

    Args:
        size: Side of the samples in pixels, after resizing.
        count: Windows in one epoch.
        seed: The same seed gives the same windows.
        scale: As of `RandomWindows`.
        aspect: As of `RandomWindows`.
        step: As of `RandomWindows`.
        index: Where the pixels of each class are, in the scenes to be sampled.
        shares: Share of the windows by class name, to be divided by their sum; the same for every
            class that there is if None.

    Raises:
        OptionError: If a number is not positive, or a share is of no class or of one that no scene
            has.
    """

    index: LabelIndex = field(kw_only=True)
    shares: Mapping[str, float] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        names = self.index.legend.names
        for name, share in (self.shares or {}).items():
            if name not in names:
                raise OptionError(f"there is no class '{name}'", expected=", ".join(names))
            if share < 0 or (share and not self.index.counts[:, names.index(name)].any()):
                raise OptionError(
                    f"the share of '{name}' cannot be {share:g}",
                    expected="0 or more, and 0 for a class that no scene has",
                )
        if self.shares is not None and not any(self.shares.values()):
            raise OptionError("all shares of classes are 0", expected="a positive one")

    def over(self, shapes: Sequence[Shape], zooms: Sequence[float] | None = None) -> Places:
        """The windows over the scenes of the index, which have these shapes.

        Raises:
            OptionError: If the index has other scenes.
        """
        return _BalancedPlaces(self, shapes, zooms)


class _BalancedPlaces(Places):
    def __init__(
        self, sampler: BalancedWindows, shapes: Sequence[Shape], zooms: Sequence[float] | None
    ) -> None:
        self._sampler, self._index, self._shapes = sampler, sampler.index, tuple(shapes)
        if self._index.shapes != self._shapes:
            raise OptionError(
                "the index is of other scenes", expected=self._shapes, got=self._index.shapes
            )
        self._zooms = (1.0,) * len(shapes) if zooms is None else tuple(zooms)
        counts = self._index.counts
        if sampler.shares is None:
            shares = counts.any(axis=0).astype(np.float64)
        else:
            shares = np.array([sampler.shares.get(n, 0.0) for n in self._index.legend.names])
        self._classes = np.cumsum(shares)
        self._scenes = np.cumsum(counts, axis=0, dtype=np.float64)

    def __len__(self) -> int:
        return self._sampler.count

    def __getitem__(self, number: int) -> Place:
        generator = np.random.default_rng((self._sampler.seed, number))
        wanted = self._class(number, generator.random())
        scene = drawn(generator, self._scenes[:, wanted])
        pixels = self._index.pixels[scene][wanted]
        pixel = divmod(int(pixels[generator.integers(len(pixels))]), self._shapes[scene][1])
        sides = self._sampler.sides(generator, self._shapes[scene], self._zooms[scene])
        row, column = (
            self._around(generator, *each)
            for each in zip(pixel, sides, self._shapes[scene], strict=True)
        )
        return scene, Window(column, row, sides[1], sides[0])

    def _class(self, number: int, within: float) -> int:
        """The class of a window; an epoch cuts the shares evenly, and takes the pieces at random.

        Args:
            number: Of the window.
            within: Place in its piece, 0-1.
        """
        epoch, place = divmod(number, len(self))
        piece = _order(self._sampler.seed, epoch, len(self))[place]
        at = min((piece + within) / len(self), _BELOW_1) * self._classes[-1]
        return int(np.searchsorted(self._classes, at, side="right"))

    def _around(self, generator: np.random.Generator, pixel: int, side: int, length: int) -> int:
        """A first row or column that has the pixel in the middle half, if the edge allows."""
        last = max(length - side, 0)
        low, high = pixel - (3 * side) // 4, pixel - side // 4
        low, high = (min(max(bound, 0), last) for bound in (low, high))
        offset = self._sampler.offset(generator, low, high)
        if offset <= pixel < offset + side:
            return offset
        return min(pixel, last) // self._sampler.step * self._sampler.step


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    """The numbers below ``count`` in an order that is an epoch's own."""
    return np.random.default_rng((seed, epoch, count)).permutation(count)
