"""Published labels as file codes, read by strips so that large ones take little memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from rsseg.data.datasets.reading import as_rgb, counted, open_strictly, palette, read_all, strips
from rsseg.errors import CatalogueError, LegendError
from rsseg.legend import NODATA, Colour, Legend

_UNKNOWN = 254
"""Marks values that mean nothing; no dataset has so many classes."""


def read_colours(
    path: Path,
    codes: Mapping[Colour, int],
    *,
    tolerance: int = 0,
    strays: float = 0.0,
    on_strays: Callable[[Path, int], None] = lambda path, pixels: None,
) -> npt.NDArray[np.uint8]:
    """File codes ``(h, w)`` of a label coded by colours.

    Args:
        path: 8-bit RGB, or bytes with a palette.
        codes: File code by colour; 255 for colours that mean unlabelled.
        tolerance: Difference in each channel up to which a colour still counts as a listed one.
        strays: Share of the pixels that may have other colours; these are left unlabelled.
        on_strays: Called with the path and the number of these, if there are any.

    Raises:
        LegendError: If more pixels have other colours.
        CatalogueError: If it has neither colours nor a palette.
        SceneError: If it cannot be read.
    """
    table = np.full((256, 256, 256), _UNKNOWN, dtype=np.uint8)
    for colour, code in codes.items():
        table[tuple(slice(max(c - tolerance, 0), c + tolerance + 1) for c in colour)] = code
    with open_strictly(path) as dataset:
        colours = palette(dataset, path)
        decoded = np.empty(dataset.shape, dtype=np.uint8)
        for window, pixels in strips(dataset, path):
            red, green, blue = as_rgb(pixels, colours)
            decoded[window.toslices()] = table[red, green, blue]
        unknown = decoded == _UNKNOWN
        count = int(np.count_nonzero(unknown))
        if count > strays * unknown.size:
            row, column = _first(unknown)
            here = read_all(dataset, path, Window(column, row, 1, 1))
            colour = as_rgb(here, colours)[:, 0, 0].tolist()
            raise LegendError(
                f"{path} has {counted(count)} of unknown colours",
                expected=", ".join(map(str, codes)),
                got=f"{tuple(colour)} at row {row}, column {column}",
            )
    if count:
        on_strays(path, count)
        decoded[unknown] = NODATA
    return decoded


def read_numbers(path: Path, codes: Mapping[int, int]) -> npt.NDArray[np.uint8]:
    """File codes ``(h, w)`` of a label coded by numbers in a single band.

    Args:
        path: Any raster of whole numbers.
        codes: File code by number; 255 for numbers that mean unlabelled.

    Raises:
        LegendError: If it holds another number.
        CatalogueError: If it has more than one band.
        SceneError: If it cannot be read.
    """
    table = np.full(256, _UNKNOWN, dtype=np.uint8)
    table[list(codes)] = list(codes.values())
    with open_strictly(path) as dataset:
        if dataset.count != 1:
            raise CatalogueError(
                f"{path} has {dataset.count} bands", expected="one band of numbers"
            )
        decoded = np.empty(dataset.shape, dtype=np.uint8)
        for window, pixels in strips(dataset, path):
            numbers = np.clip(pixels[0], 0, 255).astype(np.uint8)
            known = numbers == pixels[0]
            decoded[window.toslices()] = np.where(known, table[numbers], _UNKNOWN)
        unknown = decoded == _UNKNOWN
        if unknown.any():
            row, column = _first(unknown)
            number = read_all(dataset, path, Window(column, row, 1, 1))[0, 0, 0]
            raise LegendError(
                f"{path} has {counted(int(np.count_nonzero(unknown)))} of unknown numbers",
                expected=", ".join(map(str, codes)),
                got=f"{number} at row {row}, column {column}",
            )
    return decoded


def colour_codes(legend: Legend, colours: Mapping[str, Colour]) -> dict[Colour, int]:
    """File code by published colour, from published colours by class name."""
    names = {c.name: c.code for c in legend}
    return {colour: names[name] for name, colour in colours.items()}


def _first(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of the first True."""
    row, column = divmod(int(mask.argmax()), mask.shape[1])
    return row, column
