"""``vectorise``: a class raster in, layers of polygons out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rsseg.geo.remote import public_name
from rsseg.vectorise.formats import format_of, require_writable
from rsseg.vectorise.layers import write_layers
from rsseg.vectorise.measure import Measure
from rsseg.vectorise.options import VectoriseOptions
from rsseg.vectorise.outlines import outlines
from rsseg.vectorise.rows import Layer, Rows
from rsseg.vectorise.table import Table


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
    table = begin(raster, out, options)
    batches = outlines(
        raster,
        **asdict(table.shaping),
        confidence=options.confidence,
        memory=options.memory,
        on_progress=on_progress,
    )
    with closing(batches):
        return write(raster, out, options, table, map(table.rows, batches))


def begin(raster: str | Path, out: Path, options: VectoriseOptions) -> Table:
    """Check what can be checked before any work; what makes rows of outlines.

    Raises:
        SceneError: If the raster cannot be read or has no place.
        LegendError: If its legend contradicts itself.
        OptionError: If the format or a layer of this name cannot be written, or there is no such
            class.
        MissingExtra: If the library for the format is not installed.
        OutputError: If the output is there already or cannot be written.
    """
    inputs = [raster] if options.confidence is None else [raster, options.confidence]
    require_writable(
        out,
        inputs=inputs,
        overwrite=options.overwrite,
        by_class=options.by_class,
        layer=options.layer,
    )
    return Table(raster, options, lon_lat=format_of(out).lon_lat)


def write(
    raster: str | Path, out: Path, options: VectoriseOptions, table: Table, rows: Iterable[Rows]
) -> VectoriseResult:
    """Write rows as they come; what was written.

    Raises:
        OutputError: If the output cannot be written.
    """
    layer = Layer(
        options.layer or out.stem,
        table.measure.crs,
        multi=options.connectivity == 8,
        confidence=options.confidence is not None,
    )
    with closing(table.counted(rows)) as counted:
        names = write_layers(out, layer, counted, table.found, by_class=options.by_class)
    return VectoriseResult(
        out=str(out),
        layers=names,
        crs=table.crs.to_string(),
        polygons=int(table.counts.sum()),
        classes={str(table.names[code]): int(table.counts[code]) for code in table.codes},
        notes=_notes(public_name(raster), table.measure, options),
    )


def _notes(raster: str, measure: Measure, options: VectoriseOptions) -> tuple[str, ...]:
    if not measure.geographic or not (options.min_area or options.simplify):
        return ()
    return (
        f"{raster} is in degrees: metres were taken as pixels of {measure.pixel_area:.4g} m², "
        "their size in its middle",
    )
