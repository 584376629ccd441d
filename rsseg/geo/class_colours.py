"""The classes of a map as they are shown to people, also of one that tells no colours."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rsseg.geo.class_raster import is_named, pixels_by_code
from rsseg.geo.code_raster import CodeRaster
from rsseg.legend import NODATA, Colour, LandClass, Legend

_SPARE: tuple[Colour, ...] = (
    (68, 119, 170),
    (238, 102, 119),
    (34, 136, 51),
    (204, 187, 68),
    (102, 204, 238),
    (170, 51, 119),
    (187, 187, 187),
)
"""Paul Tol's bright colours, which people with colour vision deficiencies tell apart."""
_TURN = 0.618034
_ALL = 40
"""A legend of so many classes is listed whole, a longer one without those that are nowhere."""
_MANY = 30
_PIXELS = 1 << 22
"""Of a strip."""


def coloured_legend(raster: CodeRaster) -> Legend:
    """A map's legend; if the file tells no colours, the classes it holds in colours that differ.

    All of such a map is read.

    Raises:
        SceneError: If the file is damaged.
        LegendError: If a value is no code.
    """
    if raster.coloured:
        return raster.legend
    counts = np.zeros(256, np.int64)
    height, blocks = raster.grid.height, raster.block_height
    rows = -(-max(1, _PIXELS // raster.grid.width) // blocks) * blocks
    for start in range(0, height, rows):
        counts += pixels_by_code(raster.read(start, min(start + rows, height)))
    shown = shown_classes(raster.legend, counts, coloured=False)
    return Legend(shown) if shown else raster.legend


def shown_classes(
    legend: Legend, counts: npt.NDArray[np.int64], *, coloured: bool
) -> tuple[LandClass, ...]:
    """The classes to show, in the legend's order; codes it does not have follow.

    Args:
        legend: Of the file.
        counts: Pixels by code, ``(256,)``.
        coloured: Whether the file tells colours; if not, classes get some that differ.
    """
    rows = [
        known for known in legend if counts[known.code] or (is_named(known) and len(legend) <= _ALL)
    ]
    codes = {known.code for known in rows}
    others = [int(code) for code in np.flatnonzero(counts[:NODATA]) if int(code) not in codes]
    unknown = [LandClass(code, f"class {code}", (0, 0, 0)) for code in others]
    spare = spare_colours()
    if not coloured:
        return tuple(replace(known, colour=next(spare)) for known in (*rows, *unknown))
    return (*rows, *(replace(known, colour=next(spare)) for known in unknown))


def spare_colours() -> Iterator[Colour]:
    """Colours without end that are told apart: seven fixed ones, then hues far from each other."""
    yield from _SPARE
    hue = 0.1
    while True:
        hue = (hue + _TURN) % 1
        red, green, blue = colorsys.hls_to_rgb(hue, 0.45 + 0.25 * (hue * 10 % 1), 0.5)
        yield round(255 * red), round(255 * green), round(255 * blue)


def doubts(raster: CodeRaster, classes: Sequence[LandClass]) -> tuple[str, ...]:
    """What the user should know of a map that may be none, as one sentence or nothing.

    Args:
        raster: The map.
        classes: Those that are shown of it.
    """
    if raster.coloured or raster.named or len(classes) <= _MANY:
        return ()
    values = f"{len(classes)} values without names or colours"
    return (f"{raster.name} holds {values}: is it a map of classes?",)
