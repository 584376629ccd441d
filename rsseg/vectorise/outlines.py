"""Outlines of a class raster of any size, in batches: what `vectorise` measures and writes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rsseg.geo.strips import ONE
from rsseg.legend import NODATA
from rsseg.vectorise.adjacency import Strips
from rsseg.vectorise.assembling import Assembler, Rings
from rsseg.vectorise.dissolving import dissolved
from rsseg.vectorise.polygons import Polygons, build, require_amount, require_connectivity
from rsseg.vectorise.reading import ClassStrips
from rsseg.vectorise.sieve import sieved

Made = TypeVar("Made")


@dataclass(frozen=True)
class Batch:
    """Polygons in pixel coordinates with what is known of them, ``(N,)`` each.

    Args:
        outlines: Valid geometries; x counts columns from the left edge, y rows from the top.
        codes: File codes of their classes, int64.
        confidence: Mean confidence of their pixels, 0-1, NaN where no pixel has one; None if
            there is no confidence raster.
        keys: What they are sorted by over the whole raster, see `assembling.Rings`, ``(N, 3)``.
    """

    outlines: Polygons
    codes: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64] | None
    keys: npt.NDArray[np.int32]

    @classmethod
    def of(cls, rings: Rings, *, known: bool) -> Batch:
        """That of bare coordinates, and whether their confidence is known."""
        confidence = rings.confidence / ONE if known else None
        return cls(build(rings), rings.codes, confidence, rings.keys)

    @classmethod
    def nothing(cls, *, known: bool) -> Batch:
        """An empty one, and whether there is a confidence raster."""
        polygons, confidence = np.empty(0, object), np.empty(0) if known else None
        return cls(polygons, np.empty(0, np.int64), confidence, np.empty((0, 3), np.int32))


def outlines(
    raster: str | Path,
    *,
    connectivity: int = 4,
    sieve: int = 0,
    min_area: float = 0,
    simplify: float = 0,
    smooth: bool = False,
    confidence: str | Path | None = None,
    memory: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Generator[Batch, None, None]:
    """Polygons of equal codes, as soon as they are complete; they have no seams.

    The raster is read strip by strip; only rings of polygons that reach the last row read are
    held, so memory grows with the outlines of large polygons, not with pixels. ``sieve`` and
    ``min_area`` each read it once before, and hold some 150 bytes for each polygon;
    ``simplify`` and ``smooth`` hold a bit for each pixel in the rows that open polygons span.

    Polygons, their order and their corners depend neither on memory nor on the number of cores.
    Neighbours share their corners, those left after ``simplify`` and ``smooth`` as well: with
    connectivity 4 the polygons are a valid coverage. Between valid pixels there is no gap.

    Args:
        raster: One band of 8-bit codes; 255, the file's nodata and what its mask hides get no
            polygon.
        connectivity: 4 joins pixels by edges; 8 also by corners, into MultiPolygons.
        sieve: Regions of fewer pixels take the class of their largest neighbour, like GDAL's.
        min_area: After that, regions of fewer pixels join the neighbour of the longest shared
            border, the smallest first. Those with no neighbour stay.
        simplify: Tolerance in pixels: the side of a square as large as the largest triangle that
            is cut off. Nodes, where three or more polygons meet, stay in place.
        smooth: Whether to round corners.
        confidence: A byte raster on the same grid, 0-254 for 0-1 and 255 for none.
        memory: Bytes that working on a strip may take; None for at most about 1 GB.
        on_progress: Called with pixels done and pixels in all, over all readings, in a thread.

    Yields:
        Polygons in the order of the rows where they end.

    Raises:
        OptionError: If an option is out of range, or memory is too little for a row.
        SceneError: If a raster cannot be read or has other pixels.
        GridMismatch: If the confidence lies on another grid.
    """
    require_connectivity(connectivity)
    for name, value in (("sieve", sieve), ("min_area", min_area), ("simplify", simplify)):
        require_amount(name, value, "pixels")
    strips = ClassStrips(raster, confidence, memory)
    height, width = strips.shape
    total = height * width * (1 + (sieve > 1) + (min_area > 1))
    done, stopped = 0, Event()

    def on_pixels(pixels: int) -> None:
        nonlocal done
        if stopped.is_set():
            raise CancelledError
        done += pixels
        on_progress(done, total)

    def batches() -> Generator[Batch, None, None]:
        source: Strips = strips
        if sieve > 1:
            source = sieved(source, sieve, connectivity, on_pixels)
        if min_area > 1:
            source = dissolved(source, min_area, connectivity, on_pixels)
        assembler = Assembler(
            height,
            width,
            void=NODATA,
            connectivity=connectivity,
            simplify=simplify,
            smooth=smooth,
        )
        known = confidence is not None
        with closing(source(on_pixels, confidence=known)) as read:
            for codes, shares in read:
                for rings in assembler.add(codes, shares):
                    yield Batch.of(rings, known=known)
        for rings in assembler.finish():
            yield Batch.of(rings, known=known)

    yield from ahead(batches(), stopped)


def ahead(batches: Generator[Made, None, None], stopped: Event) -> Generator[Made, None, None]:
    """Batches, the next of which is made while one is in use.

    Whoever leaves early sets ``stopped``: else the maker would read on to the end of a batch.
    """
    with closing(batches), ThreadPoolExecutor(1, "outlines") as maker:
        try:
            waiting = maker.submit(next, batches, None)
            while (batch := waiting.result()) is not None:
                waiting = maker.submit(next, batches, None)
                yield batch
        finally:
            stopped.set()
