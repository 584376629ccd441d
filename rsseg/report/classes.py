"""The classes of a map as they are shown, and windows of its codes for pictures."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from rsseg.errors import SceneError
from rsseg.geo.class_raster import LEGEND_TAG, read_legend
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster, reading
from rsseg.geo.remote import public_name
from rsseg.legend import NODATA, Colour, LandClass, Legend

Codes = npt.NDArray[np.uint8]

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


class ClassMap:
    """An open class raster, read here and there; one thread at a time.

    Args:
        path: One band of whole numbers.

    Raises:
        SceneError: If it cannot be opened.
        LegendError: If its legend contradicts itself.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = public_name(path)
        self._dataset = open_raster(path)
        try:
            self.grid = Grid.of(self._dataset)
            self.legend = read_legend(self._dataset)
            self.tags: dict[str, str] = dict(self._dataset.tags())
            self._masked = MaskFlags.per_dataset in self._dataset.mask_flag_enums[0]
            coloured = self._dataset.colorinterp[0] == ColorInterp.palette
            self.coloured = coloured or LEGEND_TAG in self.tags
            self.bare = not self.coloured and not any(map(_is_named, self.legend))
        except BaseException:
            self._dataset.close()
            raise

    def __enter__(self) -> ClassMap:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._dataset.close()

    def read(self, window: Window, shape: tuple[int, int] | None = None) -> Codes:
        """Codes of a window inside of the raster, ``(h, w)``; 255 where invalid or no code.

        Args:
            window: Whole pixels.
            shape: Rows and columns to make it smaller to: each pixel is then the class most of
                it has, through overviews where the file has them.

        Raises:
            SceneError: If the file is damaged.
        """
        size = shape or (int(window.height), int(window.width))
        try:
            with reading(self._dataset):
                values = self._dataset.read(
                    1, window=window, out_shape=size, resampling=Resampling.mode
                )
                hidden = np.zeros(size, np.bool_)
                if self._masked:
                    hidden = self._dataset.read_masks(1, window=window, out_shape=size) == 0
        except RasterioError as error:
            raise SceneError(
                f"{self.name} cannot be read near row {int(window.row_off)}",
                remedy="the file is damaged or incomplete, copy or download it again",
            ) from error
        if self._dataset.nodata is not None:
            hidden |= values == self._dataset.nodata
        hidden |= (values < 0) | (values > NODATA)
        return np.where(hidden, NODATA, values).astype(np.uint8)


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
        known
        for known in legend
        if counts[known.code] or (_is_named(known) and len(legend) <= _ALL)
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


def _is_named(known: LandClass) -> bool:
    return known.name != f"class {known.code}"
