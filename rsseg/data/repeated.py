"""Scenes that are drawn more often than others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsseg.data.samplers import Place, Places, Sampler, Shape
from rsseg.errors import OptionError


@dataclass(frozen=True)
class RepeatedScenes:
    """Windows as if some scenes were listed several times.

    Args:
        sampler: What places the windows.
        times: How often each scene is listed, 1 or more.

    Raises:
        OptionError: If a scene is listed less than once.
    """

    sampler: Sampler
    times: tuple[int, ...]

    def __post_init__(self) -> None:
        if min(self.times, default=1) < 1:
            raise OptionError("scenes are listed once or more", got=min(self.times))

    @property
    def size(self) -> int:
        """Side of the samples in pixels, after resizing."""
        return self.sampler.size

    def over(self, shapes: Sequence[Shape], zooms: Sequence[float] | None = None) -> Places:
        """The windows over as many scenes as were counted.

        Raises:
            OptionError: If there are more or fewer.
        """
        if len(shapes) != len(self.times):
            raise OptionError(
                "other scenes are repeated", expected=len(self.times), got=len(shapes)
            )
        scenes = np.repeat(np.arange(len(shapes)), self.times).tolist()
        places = self.sampler.over(
            [shapes[scene] for scene in scenes],
            None if zooms is None else [zooms[scene] for scene in scenes],
        )
        return _RepeatedPlaces(places, scenes)


class _RepeatedPlaces(Places):
    def __init__(self, places: Places, scenes: list[int]) -> None:
        self._places, self._scenes = places, scenes

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> Place:
        listed, window = self._places[number]
        return self._scenes[listed], window
