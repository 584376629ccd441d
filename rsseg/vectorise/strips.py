"""Polygons of a class raster strip by strip, each strip by itself: what may be spread.

A strip is worked on with nothing but its own rows in view; `joined_rows` makes of the results those
of one reading of the whole raster. Strips depend on the raster alone, not on who works on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import shapely

import rsseg
from rsseg.geo.opening import open_raster
from rsseg.legend import NODATA
from rsseg.vectorise.adjacency import (
    Bytes,
    Decision,
    Recoded,
    StripNeighbours,
    Strips,
    neighbours,
)
from rsseg.vectorise.assembling import Assembler, Rings
from rsseg.vectorise.dissolving import dissolved_codes
from rsseg.vectorise.joining import OpenRings, StripAssembler
from rsseg.vectorise.options import VectoriseOptions
from rsseg.vectorise.outlines import Batch
from rsseg.vectorise.reading import ClassStrips
from rsseg.vectorise.rows import Rows, joined
from rsseg.vectorise.sieve import sieved_codes
from rsseg.vectorise.table import Shaping, Table

Rowspan = tuple[int, int]
"""First row of a strip and the end of its last."""

Keys = npt.NDArray[np.int32]
Made = TypeVar("Made", bound=Assembler)

_PIXELS = 1 << 22
"""Of a strip at least, if the raster has as many."""


@dataclass(frozen=True)
class Work:
    """What is to be made, in plain values.

    Args:
        raster: One band of codes.
        options: The user's choices.
        lon_lat: Whether rows are written in longitude and latitude alone.
    """

    raster: str
    options: VectoriseOptions
    lon_lat: bool

    def source(self, shaping: Shaping, rows: Rowspan, changes: Sequence[Bytes]) -> Strips:
        """Codes of a strip, changed so many times."""
        options = self.options
        source: Strips = ClassStrips(self.raster, options.confidence, options.memory, rows)
        for codes in changes:
            source = Recoded(source, shaping.connectivity, codes)
        return source


@dataclass(frozen=True)
class StripPolygons:
    """What comes of a strip.

    Args:
        pieces: Its complete polygons as well-known binary, one after the other, ``(B,)``.
        lengths: Bytes of each, ``(N,)``.
        corners: Points of each.
        boxes: Their bounds, ``(N, 4)``.
        codes: Class codes.
        areas: m².
        perimeters: m.
        confidence: Mean confidence 0-1; None without such a raster.
        keys: What they are sorted by, see `assembling.Rings`, ``(N, 3)``.
        open: What the strip leaves open.
    """

    pieces: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int64]
    corners: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]
    codes: npt.NDArray[np.int32]
    areas: npt.NDArray[np.float64]
    perimeters: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64] | None
    keys: Keys
    open: OpenRings

    def rows(self, names: npt.NDArray[np.object_]) -> Rows:
        """The complete polygons, given the name of each class."""
        data, ends = self.pieces.tobytes(), np.cumsum(self.lengths)
        places = zip((ends - self.lengths).tolist(), ends.tolist(), strict=True)
        wkb = np.array([data[start:end] for start, end in places], dtype=object)
        sums = self.areas, self.perimeters, self.confidence
        return Rows(wkb, self.corners, self.boxes, self.codes, names[self.codes], *sums)


def strips_of(raster: str, pixels: int = _PIXELS) -> list[Rowspan]:
    """Strips of a raster: as few rows of blocks as have so many pixels.

    Raises:
        SceneError: If it cannot be opened.
    """
    with open_raster(raster) as dataset:
        height, width, block = dataset.height, dataset.width, int(dataset.block_shapes[0][0])
    rows = block * -(-pixels // (width * block))
    return [(row, min(row + rows, height)) for row in range(0, height, rows)]


def libraries() -> dict[str, str]:
    """Versions of what decides about the last digit of a polygon or a sum, by name."""
    geos = ".".join(map(str, shapely.geos_version))
    return {"rsseg": rsseg.__version__, "GEOS": geos, "numpy": np.__version__}


def neighbours_in(
    work: Work,
    rows: Rowspan,
    changes: Sequence[Bytes],
    on_pixels: Callable[[int], None] = lambda pixels: None,
) -> StripNeighbours:
    """Which regions adjoin in a strip, after the changes so far.

    Args:
        work: What is to be made.
        rows: The strip.
        changes: The code of each label of it, for each change.
        on_pixels: Called with the pixels of each reading.
    """
    shaping = _table(work).shaping
    small, _ = decisions(shaping)[len(changes)]
    source = work.source(shaping, rows, changes)
    return neighbours(source, shaping.connectivity, small, on_pixels)


def polygons_in(
    work: Work,
    rows: Rowspan,
    changes: Sequence[Bytes],
    on_pixels: Callable[[int], None] = lambda pixels: None,
) -> StripPolygons:
    """The polygons of a strip, after all changes.

    Args:
        work: What is to be made.
        rows: The strip.
        changes: The code of each label of it, for each change.
        on_pixels: Called with the pixels of each reading.
    """
    table = _table(work)
    shaping, known = table.shaping, work.options.confidence is not None
    assembler = begin(StripAssembler, work, shaping, top=rows[0])
    found: list[tuple[Rows, Keys]] = []

    def keep(batches: Iterable[Rings]) -> None:
        for rings in batches:
            found.append(rows_of(table, Batch.of(rings, known=known)))

    source = work.source(shaping, rows, changes)
    with closing(source(on_pixels, confidence=known)) as strips:
        for codes, shares in strips:
            keep(assembler.add(codes, shares))
    keep(assembler.finish())
    found.append(rows_of(table, Batch.nothing(known=known)))
    every = joined([rows for rows, _ in found])
    return StripPolygons(
        pieces=np.frombuffer(b"".join(every.wkb), np.uint8),
        lengths=np.fromiter(map(len, every.wkb), np.int64, len(every)),
        corners=every.corners,
        boxes=every.boxes,
        codes=every.codes,
        areas=every.areas,
        perimeters=every.perimeters,
        confidence=every.confidence,
        keys=np.concatenate([keys for _, keys in found]),
        open=assembler.open,
    )


def decisions(shaping: Shaping) -> list[tuple[float, Decision]]:
    """What is small, and what becomes of it, once for each change."""
    ways: list[tuple[float, Decision]] = [
        (shaping.sieve, sieved_codes),
        (shaping.min_area, dissolved_codes),
    ]
    return [(small, decide) for small, decide in ways if small > 1]


def begin(kind: type[Made], work: Work, shaping: Shaping, top: int = 0) -> Made:
    """An assembler of the raster, or of a strip of it."""
    return kind(
        *ClassStrips(work.raster).shape,
        void=NODATA,
        connectivity=shaping.connectivity,
        simplify=shaping.simplify,
        smooth=shaping.smooth,
        top=top,
    )


def rows_of(table: Table, batch: Batch) -> tuple[Rows, Keys]:
    """Rows of the wanted polygons of a batch, and their keys."""
    return table.rows(batch), batch.keys[table.wanted(batch.codes)]


def _table(work: Work) -> Table:
    return Table(work.raster, work.options, lon_lat=work.lon_lat)
