"""Files that are pieces of one pixel grid: what must agree between them, and where each lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags

from rsseg.errors import GridMismatch, SceneError
from rsseg.geo.bands import band_names
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.geo.quiet import quietly
from rsseg.geo.remote import gdal_name, public_name

_LARGEST = 2**31 - 1
"""Rows or columns of a VRT."""

_MOST_CUTS = 16
"""Overlaps of a piece beyond which it is not cut into cells but is one that overlaps."""

_OFF = 0.01
"""Pixels by which grids may miss each other."""


@dataclass(frozen=True)
class Piece:
    """One file of several.

    Args:
        path: As GDAL opens it.
        name: For messages.
        grid: Its grid.
        bands: Numbers of the bands that are not alpha.
        names: Their names.
        colours: Their colour interpretations.
        dtype: Their common type.
        block: Rows and columns that GDAL decodes at once.
        kind: How it marks invalid pixels: ``none``, ``nodata`` (by value) or ``mask`` (alpha too).
        nodata: That value, where all its bands have the same.
    """

    path: str
    name: str
    grid: Grid
    bands: tuple[int, ...]
    names: tuple[str, ...]
    colours: tuple[ColorInterp, ...]
    dtype: str
    block: tuple[int, int]
    kind: str
    nodata: float | None

    @classmethod
    def of(cls, path: str | Path) -> Piece:
        """Read all that from a file.

        Raises:
            SceneError: If it cannot be opened, has no place on the ground or mixes types.
        """
        name = public_name(path)
        with open_raster(path) as dataset, quietly():
            grid = Grid.of(dataset)
            colours = dataset.colorinterp
            bands = tuple(i for i, c in enumerate(colours, 1) if c != ColorInterp.alpha)
            types = sorted({dataset.dtypes[i - 1] for i in bands})
            flags = {flag for i in bands for flag in dataset.mask_flag_enums[i - 1]}
            values = {repr(dataset.nodatavals[i - 1]): dataset.nodatavals[i - 1] for i in bands}
            names, blocks = band_names(dataset), dataset.block_shapes
        if not grid.georeferenced:
            raise SceneError(f"{name} has no place on the ground, so nothing can be laid beside it")
        if len(types) != 1:
            raise SceneError(f"{name} has bands of several types", got=", ".join(types) or "none")
        marked = "mask" if MaskFlags.per_dataset in flags else "nodata"
        return cls(
            path=gdal_name(path),
            name=name,
            grid=grid,
            bands=bands,
            names=tuple(names[i - 1] for i in bands),
            colours=tuple(colours[i - 1] for i in bands),
            dtype=types[0],
            block=(max(rows for rows, _ in blocks), max(columns for _, columns in blocks)),
            kind="none" if flags == {MaskFlags.all_valid} else marked,
            nodata=values.popitem()[1] if len(values) == 1 else None,
        )


@dataclass(frozen=True)
class Cell:
    """A rectangle of a piece, in its own pixels, and whether a later piece lies below it."""

    column: int
    row: int
    width: int
    height: int
    overlaps: bool


@dataclass(frozen=True)
class Layout:
    """Pieces on the grid of their whole.

    Args:
        grid: The smallest that holds them all.
        pieces: The files, in the order of their list.
        places: Column and row of the corner of each.
        cells: Rectangles that make up each piece, in its own pixels; those that overlap a piece
            that comes later in the list lie apart.
    """

    grid: Grid
    pieces: tuple[Piece, ...]
    places: tuple[tuple[int, int], ...]
    cells: tuple[tuple[Cell, ...], ...]

    @property
    def gapless(self) -> bool:
        """Whether the pieces cover the whole."""
        area = sum(piece.grid.width * piece.grid.height for piece in self.pieces)
        overlap = any(cell.overlaps for cells in self.cells for cell in cells)
        return not overlap and area == self.grid.width * self.grid.height


def laid_out(pieces: Sequence[Piece]) -> Layout:
    """Where pieces lie on the grid of their whole.

    Raises:
        SceneError: If one differs from the first in its bands or type, or lies too far away.
        GridMismatch: If its pixels are not on the first one's grid.
    """
    first = pieces[0]
    for piece in pieces:
        _require_alike(first, piece)
    places = np.array([_place_on(first.grid, piece) for piece in pieces])
    sizes = np.array([(piece.grid.width, piece.grid.height) for piece in pieces])
    corner = places.min(axis=0)
    width, height = ((places + sizes).max(axis=0) - corner).tolist()
    if max(width, height) > _LARGEST:
        raise SceneError("the files lie too far apart", got=f"{width} x {height} pixels in all")
    transform = first.grid.transform @ Affine.translation(*corner.tolist())
    return Layout(
        grid=Grid(height, width, transform, first.grid.crs),
        pieces=tuple(pieces),
        places=tuple((int(x), int(y)) for x, y in places - corner),
        cells=_cells(places, sizes),
    )


def _require_alike(first: Piece, piece: Piece) -> None:
    for what, mine, theirs in (
        ("bands", f"{len(first.bands)} bands", f"{len(piece.bands)} bands"),
        ("type", first.dtype, piece.dtype),
        ("bands", ", ".join(first.names), ", ".join(piece.names)),
    ):
        if mine != theirs:
            raise SceneError(
                f"{piece.name} cannot be one scene with {first.name}: its {what} differ"
                f"{'s' if what == 'type' else ''}",
                expected=mine,
                got=theirs,
            )


def _place_on(grid: Grid, piece: Piece) -> tuple[int, int]:
    """Column and row of a piece's corner in pixels of a grid."""
    wrong, remedy = f"{piece.name} cannot be one scene with the others", "warp it to their pixels"
    here = replace(piece.grid, transform=Affine(*piece.grid.transform[:6]))
    to_pixels = ~grid.transform @ here.transform
    corners = [(0, 0), (here.width, 0), (0, here.height)]
    column, row = (round(value) for value in to_pixels @ (0, 0))
    if here.crs != grid.crs:
        raise GridMismatch(wrong, expected=_crs(grid), got=_crs(here), remedy=remedy)
    stretch = np.array(to_pixels)[[0, 1, 3, 4]] - (1, 0, 0, 1)
    if np.abs(stretch).max() * max(here.width, here.height) > _OFF:
        a, b = f"{grid.transform.a:.10g}", f"{here.transform.a:.10g}"
        raise GridMismatch(
            wrong,
            expected=f"pixels of {a}",
            got=b if a != b else "turned ones or others of another height",
            remedy=remedy,
        )
    off = max(
        max(abs(x - column - x0), abs(y - row - y0))
        for x0, y0 in corners
        for x, y in [to_pixels @ (x0, y0)]
    )
    if off > _OFF:
        raise GridMismatch(f"{wrong}: it lies {off:.2f} pixels beside their grid", remedy=remedy)
    return column, row


def _cells(
    places: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> tuple[tuple[Cell, ...], ...]:
    inner, outer = places + 0.25, places + sizes - 0.25  # so that neighbours do not touch
    boxes = shapely.box(inner[:, 0], inner[:, 1], outer[:, 0], outer[:, 1])
    below: list[list[int]] = [[] for _ in boxes]
    for one, other in shapely.STRtree(boxes).query(boxes, predicate="intersects").T.tolist():
        if one < other:
            below[one].append(other)
    made = []
    for number, others in enumerate(below):
        size = sizes[number]
        first = (places[others] - places[number]).clip(0, size)
        last = (places[others] + sizes[others] - places[number]).clip(0, size)
        if len(others) > _MOST_CUTS:
            first, last = np.zeros((1, 2), np.int64), size[None]
        made.append(tuple(_cut(size, first, last)))
    return tuple(made)


def _cut(
    size: npt.NDArray[np.int64], first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> Iterator[Cell]:
    """Cut a piece along the edges of overlaps ``(n, 2)``; neighbours in a row are one cell."""
    columns, rows = (
        np.unique([0, size[axis], *first[:, axis], *last[:, axis]]).tolist() for axis in (0, 1)
    )
    for top, bottom in pairwise(rows):
        left = 0
        flags = [
            bool(((first <= (x, top)) & (last > (x, top))).all(axis=1).any()) for x in columns[:-1]
        ]
        for index, flag in enumerate(flags):
            if index + 1 == len(flags) or flags[index + 1] != flag:
                yield Cell(left, top, columns[index + 1] - left, bottom - top, flag)
                left = columns[index + 1]


def _crs(grid: Grid) -> str:
    return grid.crs.to_string()[:60] if grid.crs else "no CRS"
