"""``vectorise``: a class raster in, layers of polygons out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from rsseg.errors import OptionError
from rsseg.geo.class_raster import read_legend
from rsseg.geo.features import did_you_mean
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.geo.remote import public_name
from rsseg.legend import LandClass, Legend
from rsseg.vectorise.formats import LON_LAT, format_of, require_writable
from rsseg.vectorise.layers import write_layers
from rsseg.vectorise.measure import Measure
from rsseg.vectorise.options import VectoriseOptions
from rsseg.vectorise.outlines import Batch, outlines
from rsseg.vectorise.rows import Layer, Rows, on_ground

_LONGEST_EDGE = 16
"""Pixels; a longer straight edge would leave its place when only its ends are reprojected."""

_EXACT = 1 - 1e-9
"""Keeps a region of just the least area: the size of a pixel is rounded, the quotient as well."""


@dataclass(frozen=True)
class VectoriseResult:
    """What was written.

    Args:
        out: The file.
        layers: Names of its layers.
        crs: Its coordinate reference system.
        polygons: How many there are.
        classes: Polygons by class name, in the order of codes, of the classes found.
        notes: What the user should know.
    """

    out: str
    layers: tuple[str, ...]
    crs: str
    polygons: int
    classes: dict[str, int]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts."""
        return asdict(self)


def vectorise(
    raster: str | Path,
    out: str | Path,
    *,
    options: VectoriseOptions | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> VectoriseResult:
    """Write the polygons of a class raster, with their classes, areas and perimeters.

    The polygons have no seams and leave nodata free. Areas (m²) and perimeters (m) are those of
    the polygons as written, on the ellipsoid where the CRS is geographic. There, the metres of
    the options are pixels of the size in the middle of the raster.

    Args:
        raster: One band of 8-bit codes; 255 and the file's own nodata get no polygon.
        out: ``.gpkg``, ``.fgb``, ``.parquet`` or ``.geojson`` (in longitude and latitude).
        options: Choices; the defaults if None.
        on_progress: Called with pixels done and pixels in all.

    Raises:
        SceneError: If a raster cannot be read, is of another kind or has no place.
        GridMismatch: If the confidence lies on another grid.
        LegendError: If the legend contradicts itself.
        OptionError: If the format or a layer of this name cannot be written, there is no such
            class, or memory is too little for a row.
        MissingExtra: If the library for the format is not installed.
        OutputError: If the output is there already or cannot be written.
    """
    out, options = Path(out), options or VectoriseOptions()
    inputs = [raster] if options.confidence is None else [raster, options.confidence]
    require_writable(
        out,
        inputs=inputs,
        overwrite=options.overwrite,
        by_class=options.by_class,
        layer=options.layer,
    )
    with open_raster(raster) as dataset:
        measure = Measure.of(dataset)
        legend = read_legend(dataset)
        transform = Grid.of(dataset).transform
    reprojected = format_of(out).lon_lat and measure.crs != LON_LAT
    table = _Table(measure, legend, _wanted(legend, options.classes, public_name(raster)))
    layer = Layer(
        options.layer or out.stem,
        measure.crs,
        multi=options.connectivity == 8,
        confidence=options.confidence is not None,
    )
    side = measure.pixel_area**0.5
    batches = outlines(
        raster,
        connectivity=options.connectivity,
        sieve=options.sieve,
        min_area=options.min_area / measure.pixel_area * _EXACT,
        simplify=options.simplify / side,
        smooth=options.smooth,
        confidence=options.confidence,
        memory=options.memory,
        on_progress=on_progress,
    )
    longest_edge = _LONGEST_EDGE if reprojected else None
    with closing(batches), closing(table.rows(batches, transform, longest_edge)) as rows:
        names = write_layers(out, layer, rows, table.found, by_class=options.by_class)
    return VectoriseResult(
        out=str(out),
        layers=names,
        crs=(LON_LAT if reprojected else measure.crs).to_string(),
        polygons=int(table.counts.sum()),
        classes={str(table.names[code]): int(table.counts[code]) for code in table.codes},
        notes=_notes(public_name(raster), measure, options),
    )


class _Table:
    """Makes rows of outlines and counts them.

    Args:
        measure: Measures them.
        legend: Names and colours of the classes; codes that it does not know have a name as well.
        wanted: Whether polygons of a code are written, ``(256,)``.
    """

    def __init__(self, measure: Measure, legend: Legend, wanted: npt.NDArray[np.bool_]) -> None:
        self._measure = measure
        self._known = {known.code: known for known in legend}
        self._wanted = wanted
        self.names = np.array([self._class(code).name for code in range(255)], dtype=object)
        self.counts = np.zeros(255, dtype=np.int64)

    def rows(
        self, batches: Iterable[Batch], transform: Any, longest_edge: int | None
    ) -> Generator[Rows, None, None]:
        """Rows of the wanted polygons, whose edges get points every so many pixels."""
        for batch in batches:
            wanted = self._wanted[batch.codes]
            shapes, codes = batch.outlines[wanted], batch.codes[wanted]
            if not len(codes):
                continue
            polygons = on_ground(shapes, transform)
            areas, perimeters = self._measure(shapes, polygons)
            if longest_edge is not None:
                polygons = on_ground(shapely.segmentize(shapes, longest_edge), transform)
            confidence = None if batch.confidence is None else batch.confidence[wanted]
            self.counts += np.bincount(codes, minlength=255)
            yield Rows(
                polygons,
                codes.astype(np.int32),
                self.names[codes],
                areas,
                perimeters,
                confidence,
            )

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """Those found so far."""
        return np.flatnonzero(self.counts)

    def found(self) -> Legend | None:
        """The classes found so far; None if there is none."""
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


def _notes(raster: str, measure: Measure, options: VectoriseOptions) -> tuple[str, ...]:
    if not measure.geographic or not (options.min_area or options.simplify):
        return ()
    return (
        f"{raster} is in degrees: metres were taken as pixels of {measure.pixel_area:.4g} m², "
        "their size in its middle",
    )
