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

_UNKNOWN = 256
"""Marks what means nothing, beside the codes of bytes."""


class ColourTable:
    """The file codes of colours.

    Args:
        codes: File code by colour; 255 for colours that mean unlabelled.
        tolerance: Difference in each channel up to which a colour still counts as a listed one;
            the later one where two are as near.
    """

    def __init__(self, codes: Mapping[Colour, int], tolerance: int = 0) -> None:
        self._listed = ", ".join(map(str, codes))
        self._codes = np.full((256, 256, 256), _UNKNOWN, dtype=np.uint16)
        for colour, code in codes.items():
            near = tuple(slice(max(c - tolerance, 0), c + tolerance + 1) for c in colour)
            self._codes[near] = code

    def decode(
        self, pixels: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Codes ``(h, w)`` of RGB bytes ``(3, h, w)``, and where the colour is none of the listed.

        Codes are 255 there.
        """
        red, green, blue = pixels
        found = self._codes[red, green, blue]
        unknown = found == _UNKNOWN
        found[unknown] = NODATA
        return found.astype(np.uint8), unknown

    def refusal(
        self, path: Path, count: int, place: tuple[int, int], colour: Colour
    ) -> LegendError:
        """The error of a label with so many unknown pixels, the first at this row and column."""
        return LegendError(
            f"{path} has {counted(count)} of unknown colours",
            expected=self._listed,
            got=f"{colour} at row {place[0]}, column {place[1]}",
        )


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
        codes: As of `ColourTable`.
        tolerance: As of `ColourTable`.
        strays: Share of the pixels that may have other colours; these are left unlabelled.
        on_strays: Called with the path and the number of these, if there are any.

    Raises:
        LegendError: If more pixels have other colours.
        CatalogueError: If it has neither colours nor a palette.
        SceneError: If it cannot be read.
    """
    table = ColourTable(codes, tolerance)
    with open_strictly(path) as dataset:
        colours = palette(dataset, path)
        decoded = np.empty(dataset.shape, dtype=np.uint8)
        unknown = np.empty(dataset.shape, dtype=np.bool_)
        for window, pixels in strips(dataset, path):
            here = window.toslices()
            decoded[here], unknown[here] = table.decode(as_rgb(pixels, colours))
        count = int(np.count_nonzero(unknown))
        if count > strays * unknown.size:
            row, column = first_place(unknown)
            pixel = as_rgb(read_all(dataset, path, Window(column, row, 1, 1)), colours)
            red, green, blue = pixel[:, 0, 0].tolist()
            raise table.refusal(path, count, (row, column), (red, green, blue))
    if count:
        on_strays(path, count)
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
    table = np.full(256, _UNKNOWN, dtype=np.uint16)
    table[list(codes)] = list(codes.values())
    with open_strictly(path) as dataset:
        if dataset.count != 1:
            raise CatalogueError(
                f"{path} has {dataset.count} bands", expected="one band of numbers"
            )
        decoded = np.empty(dataset.shape, dtype=np.uint8)
        unknown = np.empty(dataset.shape, dtype=np.bool_)
        for window, pixels in strips(dataset, path):
            numbers = np.clip(pixels[0], 0, 255).astype(np.uint8)
            found, here = table[numbers], window.toslices()
            unknown[here] = (found == _UNKNOWN) | (numbers != pixels[0])
            decoded[here] = found
        if unknown.any():
            row, column = first_place(unknown)
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


def first_place(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of the first True."""
    row, column = divmod(int(mask.argmax()), mask.shape[1])
    return row, column
