"""Rows of outlines: their places on the ground, classes, areas and perimeters."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.crs import CRS

from rsseg.errors import OptionError
from rsseg.geo.class_raster import read_legend
from rsseg.geo.features import did_you_mean
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.geo.remote import public_name
from rsseg.legend import LandClass, Legend
from rsseg.vectorise.formats import LON_LAT
from rsseg.vectorise.measure import Measure
from rsseg.vectorise.options import VectoriseOptions
from rsseg.vectorise.outlines import Batch
from rsseg.vectorise.rows import Rows, on_ground

_LONGEST_EDGE = 16
"""Pixels; a longer straight edge would leave its place when only its ends are reprojected."""

_EXACT = 1 - 1e-9
"""Keeps a region of just the least area: the size of a pixel is rounded, the quotient as well."""


@dataclass(frozen=True)
class Shaping:
    """How outlines differ from those of the pixels, in pixels; see `outlines`.

    Args:
        connectivity: 4 or 8.
        sieve: Regions of fewer pixels take the class of their largest neighbour.
        min_area: Regions of fewer pixels join a neighbour.
        simplify: Tolerance.
        smooth: Whether corners are rounded.
    """

    connectivity: int
    sieve: int
    min_area: float
    simplify: float
    smooth: bool


class Table:
    """Makes rows of the outlines of a raster, and counts them.

    Args:
        raster: One band of codes.
        options: The user's choices.
        lon_lat: Whether rows are written in longitude and latitude alone.

    Raises:
        SceneError: If the raster cannot be read or has no place.
        LegendError: If its legend contradicts itself.
        OptionError: If there is no such class.
    """

    def __init__(self, raster: str | Path, options: VectoriseOptions, *, lon_lat: bool) -> None:
        with open_raster(raster) as dataset:
            self.measure = Measure.of(dataset)
            self._legend = read_legend(dataset)
            self._transform = Grid.of(dataset).transform
        self._reprojected = lon_lat and self.measure.crs != LON_LAT
        self._wanted = _wanted(self._legend, options.classes, public_name(raster))
        self._known = {known.code: known for known in self._legend}
        self.names = np.array([self._class(code).name for code in range(255)], dtype=object)
        """Of the classes, also of codes that the legend does not know, ``(255,)``."""
        self.counts = np.zeros(255, dtype=np.int64)
        """Rows that were counted, by code."""
        side = self.measure.pixel_area**0.5
        self.shaping = Shaping(
            options.connectivity,
            options.sieve,
            options.min_area / self.measure.pixel_area * _EXACT,
            options.simplify / side,
            options.smooth,
        )
        """The choices in pixels."""

    @property
    def crs(self) -> CRS:
        """That in which rows are written."""
        return LON_LAT if self._reprojected else self.measure.crs

    def wanted(self, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which codes are written, ``(N,)``."""
        return np.asarray(self._wanted[codes])

    def rows(self, batch: Batch) -> Rows:
        """Rows of the wanted polygons of a batch."""
        wanted = self.wanted(batch.codes)
        shapes, codes = batch.outlines[wanted], batch.codes[wanted]
        polygons = on_ground(shapes, self._transform)
        areas, perimeters = self.measure(shapes, polygons)
        if self._reprojected:
            polygons = on_ground(shapely.segmentize(shapes, _LONGEST_EDGE), self._transform)
        confidence = None if batch.confidence is None else batch.confidence[wanted]
        numbers, names = codes.astype(np.int32), self.names[codes]
        sums = areas, perimeters, confidence
        return Rows.of(polygons, numbers, names, *sums, multi=self.shaping.connectivity == 8)

    def counted(self, batches: Iterable[Rows]) -> Generator[Rows, None, None]:
        """The same rows, counted, without empty batches."""
        for rows in batches:
            if len(rows):
                self.counts += np.bincount(rows.codes, minlength=255)
                yield rows

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """Those counted so far."""
        return np.flatnonzero(self.counts)

    def found(self) -> Legend | None:
        """The classes counted so far; None if there is none."""
        return Legend(tuple(map(self._class, self.codes.tolist()))) if len(self.codes) else None

    def _class(self, code: int) -> LandClass:
        known = self._known.get(code)
        if known is not None:
            return known
        name = f"class {code}"
        if name in {other.name for other in self._known.values()}:
            name = f"class of code {code}"
        return LandClass(code, name, (code, code, code))


def _wanted(legend: Legend, classes: tuple[str, ...], raster: str) -> npt.NDArray[np.bool_]:
    """Whether polygons of a code are written, ``(256,)``.

    Raises:
        OptionError: If a name is none of the legend's, nor a code.
    """
    wanted = np.full(256, not classes)
    codes = {known.name: known.code for known in legend}
    for name in classes:
        if name not in codes and not (name.isdecimal() and int(name) < 255):
            raise OptionError(
                f"{raster} has no class '{name}'",
                expected=f"one of {', '.join(codes)}, or a code" if len(codes) < 50 else "a code",
                remedy=did_you_mean(name, codes),
            )
        wanted[codes[name] if name in codes else int(name)] = True
    return wanted
