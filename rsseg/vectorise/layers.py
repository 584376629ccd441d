"""Layers of polygons written to vector files, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError
from pyogrio.raw import write_arrow

from rsseg.errors import OutputError
from rsseg.geo.gis_sidecars import polygon_style
from rsseg.legend import LandClass, Legend
from rsseg.replacing import replacing
from rsseg.vectorise.arrow import BINARY, FLOAT64, INT32, TEXT, ArrowStream, Column
from rsseg.vectorise.formats import Format, format_of
from rsseg.vectorise.geopackage import GEOMETRY, add_styles, copy_layers
from rsseg.vectorise.geoparquet import write_geoparquet
from rsseg.vectorise.rows import Layer, Rows, regrouped

_ARROW: dict[type, str] = {np.int32: INT32, float: FLOAT64, str: TEXT}
_SQLITE = ("-journal", "-wal", "-shm")
_ERRORS = (OSError, DataSourceError, DataLayerError)

_FULL = 64 << 20
"""Bytes below which a disk counts as full: SQLite gives back what it has not yet committed."""


def write_layers(
    out: Path,
    layer: Layer,
    rows: Iterable[Rows],
    classes: Callable[[], Legend | None],
    *,
    by_class: bool = False,
) -> tuple[str, ...]:
    """Write rows as they come; the file appears under its name when all went well.

    Only a batch is in memory, but for FlatGeobuf's index of the boxes of all polygons. A
    GeoPackage gets QGIS's style of its classes.

    Args:
        out: File to write or replace, of a format of `FORMATS`.
        layer: What the rows are.
        rows: Their batches; the same rows give the same bytes however they are cut.
        classes: The classes found, asked for when all rows are written; None if there is none.
        by_class: Write a layer for each of them, named after it.

    Returns:
        The names of the layers.

    Raises:
        OutputError: If the file cannot be written.
    """
    kind, rows = format_of(out), regrouped(rows)
    try:
        with _without_time(), replacing(out) as unfinished, _full_disk_told(out):
            if kind.name == "GPKG":
                names = _write_geopackage(unfinished, kind, layer, rows, classes, by_class)
                # What SQLite left beside the old file would be replayed into the new one.
                for suffix in _SQLITE:
                    out.with_name(out.name + suffix).unlink(missing_ok=True)
                return names
            if kind.name == "GeoParquet":
                write_geoparquet(unfinished, layer, rows)
            else:
                _write(unfinished, kind, layer, rows)
            return (layer.name,)
    except _ERRORS as error:
        raise OutputError(f"{out} cannot be written: {error}") from error


def _write_geopackage(
    path: Path,
    kind: Format,
    layer: Layer,
    rows: Iterable[Rows],
    classes: Callable[[], Legend | None],
    by_class: bool,
) -> tuple[str, ...]:
    if not by_class:
        _write(path, kind, layer, rows)
        legend = classes()
        if legend is not None:
            add_styles(path, {layer.name: polygon_style(legend)})
        return (layer.name,)
    together = path.with_name(path.name + ".together.gpkg")  # `replacing` takes it away
    _write(together, kind, layer, rows, SPATIAL_INDEX="NO")
    legend = classes()
    if legend is None:
        together.rename(path)
        return (layer.name,)
    names = {known.code: _layer_name(known, legend, kind) for known in legend}
    copy_layers(together, path, names, kind.dataset)
    add_styles(path, {names[known.code]: polygon_style(Legend((known,))) for known in legend})
    return tuple(names.values())


def _layer_name(known: LandClass, legend: Legend, kind: Format) -> str:
    """The name of a class, with its code if SQLite would take it for that of another."""
    if kind.is_reserved(known.name):
        return f"class {known.code}"
    alike = [other for other in legend if other.name.lower() == known.name.lower()]
    return known.name if len(alike) == 1 else f"{known.name} {known.code}"


def _write(path: Path, kind: Format, layer: Layer, rows: Iterable[Rows], **options: str) -> None:
    """Let GDAL write a layer; it pulls the rows batch by batch."""
    formats = {name: _ARROW[field] for name, field in layer.fields.items()}
    stream = ArrowStream(formats | {GEOMETRY: BINARY}, _columns(layer, rows))
    try:
        with stream.consumed():
            write_arrow(
                stream,
                path,
                layer=layer.name,
                driver=kind.name,
                geometry_name=GEOMETRY,
                geometry_type=layer.geometry_type,
                crs=layer.crs.to_wkt(),
                dataset_options=kind.dataset,
                layer_options=kind.layer | options,
            )
    except Exception:
        if stream.failure is None:
            raise
    if stream.failure is not None:
        raise stream.failure
    if not stream.ended:
        raise OSError("the polygons were not read to their end")


def _columns(layer: Layer, rows: Iterable[Rows]) -> Iterator[list[Column]]:
    for batch in rows:
        columns = [
            _texts(values) if field is str else Column.numbers(values)
            for field, values in zip(layer.fields.values(), batch.values, strict=True)
        ]
        yield [*columns, Column.pieces(batch.wkb.tolist())]


def _texts(values: npt.NDArray[np.object_]) -> Column:
    """A column of few different texts."""
    encoded = {text: text.encode() for text in set(values)}
    return Column.pieces([encoded[text] for text in values])


@contextmanager
def _full_disk_told(out: Path) -> Iterator[None]:
    """Say of a failure on a full disk that it is full: GDAL tells of SQLite's rollback instead."""
    try:
        yield
    except _ERRORS as error:
        free = shutil.disk_usage(out.parent).free
        if free >= _FULL:
            raise
        raise OSError(f"the disk is full, {free / 1e6:.3g} MB are left ({error})") from error


@contextmanager
def _without_time() -> Iterator[None]:
    """Let a GeoPackage not hold the time, so that equal runs give equal bytes."""
    name = "OGR_CURRENT_DATE"
    before = pyogrio.get_gdal_config_option(name)
    pyogrio.set_gdal_config_options({name: "1970-01-01T00:00:00.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({name: before})
