"""Masks as people draw them, codes or colours: looked through first, then decoded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rsseg.data.datasets.class_tables import ClassTable
from rsseg.data.datasets.decoding import ColourTable, first_place
from rsseg.data.datasets.reading import open_strictly, read_valid, strips
from rsseg.errors import LegendError
from rsseg.geo.class_raster import LEGEND_TAG, is_class_raster, read_legend
from rsseg.geo.grid import Grid
from rsseg.legend import NODATA, Colour, Legend


@dataclass(frozen=True)
class Mask:
    """What stands in a mask.

    Args:
        path: The file.
        grid: Its grid.
        coloured: Whether its colours count, not its values.
        values: Values of its valid pixels, if not coloured.
        colours: Colours of its valid pixels, if coloured.
        legend: The classes it names itself, or None.
        tagged: Whether it is a class raster of rsseg with that very legend.
    """

    path: Path
    grid: Grid
    coloured: bool
    values: frozenset[int]
    colours: frozenset[Colour]
    legend: Legend | None
    tagged: bool


def look_through(path: Path, colours: Collection[Colour] | None) -> Mask:
    """Collect the values or colours of a mask.

    Masks of three or more bands are coloured; those with a palette are, if one of the colours they
    use is one of ``colours``, or ``colours`` is None.

    Raises:
        SceneError: If it cannot be read.
        LegendError: If it holds neither whole numbers nor RGB bytes.
    """
    with open_strictly(path) as dataset:
        grid = Grid.of(dataset)
        if dataset.count >= 3:
            return Mask(path, grid, True, frozenset(), _colours(dataset, path), None, False)
        values = _values(dataset, path)
        palette = _palette(dataset)
        used = frozenset(palette[value] for value in values if value in palette)
        if used and (colours is None or not used.isdisjoint(colours)):
            return Mask(path, grid, True, frozenset(), used, None, False)
        legend = read_legend(dataset) if is_class_raster(dataset) else None
        tagged = LEGEND_TAG in dataset.tags()
    if legend is not None and not tagged:
        legend = _described(legend, values)
    return Mask(path, grid, False, values, frozenset(), legend, tagged)


def decode(
    mask: Mask, table: ClassTable, unlabelled: Collection[int | Colour]
) -> npt.NDArray[np.uint8]:
    """Codes ``(h, w)`` of a mask that was checked, 255 where unlabelled or invalid.

    Raises:
        LegendError: If it has another colour by now.
        SceneError: If it cannot be read.
    """
    codes = np.empty((mask.grid.height, mask.grid.width), np.uint8)
    colours = {**table.colours, **{c: NODATA for c in unlabelled if isinstance(c, tuple)}}
    values = {**table.values, **{v: NODATA for v in unlabelled if isinstance(v, int)}}
    with open_strictly(mask.path) as dataset:
        palette = _palette(dataset) if mask.coloured else {}
        if palette:
            values = {value: colours[rgb] for value, rgb in palette.items() if rgb in colours}
        by_colour = ColourTable(colours) if mask.coloured and not palette else None
        for window, pixels, valid in _strips(dataset, mask.path):
            if by_colour is not None:
                part, unknown = by_colour.decode(pixels)
                unknown &= valid
                if unknown.any():
                    row, column = first_place(unknown)
                    red, green, blue = pixels[:, row, column].tolist()
                    place = int(window.row_off) + row, column
                    count = int(np.count_nonzero(unknown))
                    raise by_colour.refusal(mask.path, count, place, (red, green, blue))
            else:
                part = _mapped(pixels[0], values)
            part[~valid] = NODATA
            codes[window.toslices()] = part
    return codes


def _strips(
    dataset: DatasetReader, path: Path
) -> Iterator[tuple[Window, npt.NDArray[Any], npt.NDArray[np.bool_]]]:
    """Full-width windows, their RGB or values ``(B, h, w)``, and where they are valid."""
    for window, pixels in strips(dataset, path, [1, 2, 3] if dataset.count >= 3 else [1]):
        yield window, pixels, read_valid(dataset, path, window)


def _values(dataset: DatasetReader, path: Path) -> frozenset[int]:
    found: set[int] = set()
    for _, pixels, valid in _strips(dataset, path):
        values = np.unique(pixels[0][valid])
        odd = values[~(np.isfinite(values) & (values >= 0) & (values % 1 == 0))]
        if odd.size:
            raise LegendError(f"{path} holds {odd[0]}", expected="class codes, whole numbers")
        found.update(values.astype(np.int64).tolist())
    return frozenset(found)


def _colours(dataset: DatasetReader, path: Path) -> frozenset[Colour]:
    if any(dtype != "uint8" for dtype in dataset.dtypes[:3]):
        raise LegendError(
            f"{path} has {dataset.count} bands of {dataset.dtypes[0]}",
            expected="one band of codes, or RGB bytes",
        )
    found: set[int] = set()
    for _, pixels, valid in _strips(dataset, path):
        red, green, blue = pixels.astype(np.uint32)
        found.update(np.unique(((red << 16) | (green << 8) | blue)[valid]).tolist())
    return frozenset((rgb >> 16, rgb >> 8 & 255, rgb & 255) for rgb in found)


def _palette(dataset: DatasetReader) -> dict[int, Colour]:
    if dataset.count > 2 or dataset.colorinterp[0] != ColorInterp.palette:
        return {}
    return {value: (r, g, b) for value, (r, g, b, _) in dataset.colormap(1).items()}


def _described(legend: Legend, values: Collection[int]) -> Legend | None:
    """A legend without classes that have neither a name nor a pixel; None if nothing is named."""
    if all(c.name == f"class {c.code}" for c in legend):
        return None
    kept = [c for c in legend if c.name != f"class {c.code}" or c.code in values]
    return Legend(tuple(kept))


def _mapped(values: npt.NDArray[Any], codes: Mapping[int, int]) -> npt.NDArray[np.uint8]:
    part = np.full(values.shape, NODATA, np.uint8)
    for value, code in codes.items():
        part[values == value] = code
    return part
