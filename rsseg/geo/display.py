"""How a scene is shown to people: which bands, and which values are black and fully bright."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsseg.errors import OptionError
from rsseg.geo.scene import Scene

Limits = tuple[float, float]
"""The values of a band that are black and fully bright."""

_OVERVIEW = 1024
_PERCENTILES = (2, 98)


def display_bands(path: str | Path, bands: Sequence[int | str] | None = None) -> tuple[int, ...]:
    """Numbers of the bands that show a scene: three as red, green and blue, or one in grey.

    Args:
        path: The scene.
        bands: Numbers from 1 or names; if None, those with the names of the colours, else the first
            three, else the first.

    Raises:
        SceneError: If it cannot be read.
        BandError: If a band is not there.
        OptionError: If neither one band nor three are asked for.
    """
    if bands is not None and len(bands) not in (1, 3):
        raise OptionError("a scene is drawn in colour or grey", expected="3 bands or 1", got=bands)
    if bands is None:
        with Scene(path) as scene:
            colours = ("red", "green", "blue")
            if set(colours) <= set(scene.band_names):
                bands = colours
            else:
                bands = scene.bands[:3] if len(scene.bands) >= 3 else scene.bands[:1]
    with Scene(path, bands) as scene:
        return scene.bands


def display_limits(path: str | Path, bands: Sequence[int]) -> tuple[Limits, ...]:
    """By band, its limits: of 8-bit values all there are, of others the 2nd and 98th percentile.

    Raises:
        SceneError: If it cannot be read.
    """
    with Scene(path, bands) as scene:
        if scene.dtype == np.uint8:
            return ((0, 255),) * len(bands)
        pixels, valid = scene.overview(_OVERVIEW)
    if not valid.any():
        return ((0, 1),) * len(bands)
    low, high = np.percentile(pixels[:, valid].astype(np.float64), _PERCENTILES, axis=1)
    ends = zip(low.tolist(), high.tolist(), strict=True)
    return tuple((a, b if b > a else a + 1) for a, b in ends)
