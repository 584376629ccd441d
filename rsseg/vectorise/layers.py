"""Vector files of polygons: which there are, and how they are written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyogrio.raw import write
from rasterio.crs import CRS

from rsseg.errors import OptionError, OutputError
from rsseg.replacing import replacing
from rsseg.vectorise.polygons import Polygons

FIELDS = {"class_id": np.int32, "class": object, "area_m2": np.float64, "perimeter_m": np.float64}
"""Name and type of each column."""

LON_LAT = CRS.from_epsg(4326)
_BATCH = 200_000
_SQLITE = ("-journal", "-wal", "-shm")


@dataclass(frozen=True)
class Format:
    """A file format: GDAL's driver and layer options.

    ``grows`` if batches can be added to a file; ``lon_lat`` if it knows no other coordinates.
    """

    driver: str
    options: dict[str, str] = field(default_factory=dict)
    grows: bool = False
    lon_lat: bool = False


FORMATS = {
    ".gpkg": Format("GPKG", grows=True),
    ".fgb": Format("FlatGeobuf"),
    # RFC 7946: GDAL reprojects and cuts at the 180th meridian; nine decimals are 0.1 mm.
    ".geojson": Format("GeoJSON", {"RFC7946": "YES", "COORDINATE_PRECISION": "9"}, lon_lat=True),
}
_REFUSED = {
    ".shp": "a Shapefile cuts the name perimeter_m and ends at 2 GB",
    ".parquet": "GeoParquet cannot be written yet",
}


def format_of(out: str | Path) -> Format:
    """The format of a file name, by its suffix.

    Raises:
        OptionError: If polygons cannot be written so.
    """
    suffix = Path(out).suffix.lower()
    if suffix not in FORMATS:
        reason = _REFUSED.get(suffix)
        *others, last = FORMATS
        raise OptionError(
            f"polygons cannot be written to {out}" + (f": {reason}" if reason else ""),
            expected=f"a name ending in {', '.join(others)} or {last}",
        )
    return FORMATS[suffix]


def require_writable(out: str | Path, *, overwrite: bool = False) -> None:
    """Check that polygons can be written to a file, before any work.

    Raises:
        OptionError: If its suffix is of no format that can be written.
        OutputError: If its folder is not there, or it is already.
    """
    out = Path(out)
    format_of(out)
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}", remedy="make it first")
    if out.is_dir():
        raise OutputError(f"{out} is a folder", expected="the name of a file")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} is already there", remedy="add --overwrite to replace it")


class Layer:
    """A vector layer that takes polygons by batches; `close` writes the last.

    A file that cannot grow is written by `close` alone, from memory.
    """

    def __init__(self, path: Path, name: str, kind: Format, crs: CRS, *, multi: bool) -> None:
        self._path = path
        self._kind = kind
        self._fixed = {
            "fields": list(FIELDS),
            "layer": name,
            "driver": kind.driver,
            "geometry_type": "MultiPolygon" if multi else "Polygon",
            "promote_to_multi": multi,
            "crs": crs.to_wkt(),
            "layer_options": kind.options,
        }
        self._begun = False
        self._held: list[tuple[npt.NDArray[Any], ...]] = []

    def add(self, polygons: Polygons, *columns: npt.NDArray[Any]) -> None:
        """Add polygons with their columns in the order of `FIELDS`."""
        self._held.append((shapely.to_wkb(polygons), *columns))
        if self._kind.grows and sum(len(batch[0]) for batch in self._held) >= _BATCH:
            self._write()

    def close(self) -> None:
        """Write what is held; a layer without polygons is written too."""
        if self._held or not self._begun:
            self._write()

    def _write(self) -> None:
        types = (object, *FIELDS.values())
        batches = [*self._held, tuple(np.empty(0, dtype=kind) for kind in types)]
        geometries, *columns = (
            np.concatenate(parts).astype(kind)
            for parts, kind in zip(zip(*batches, strict=True), types, strict=True)
        )
        write(str(self._path), geometries, columns, append=self._begun, **self._fixed)
        self._begun = True
        self._held.clear()


@contextmanager
def writing(out: Path, name: str, crs: CRS, *, multi: bool) -> Iterator[Layer]:
    """A layer to add polygons to; the file appears under its name when all went well.

    Args:
        out: File to write or replace.
        name: Name of the layer.
        crs: Coordinate reference system of the polygons.
        multi: Whether there may be MultiPolygons: then all are written as such.

    Raises:
        OutputError: If the file cannot be written.
    """
    try:
        with _without_time(), replacing(out) as unfinished:
            layer = Layer(unfinished, name, format_of(out), crs, multi=multi)
            yield layer
            layer.close()
            # What SQLite left beside the old file would be replayed into the new one.
            for suffix in _SQLITE:
                out.with_name(out.name + suffix).unlink(missing_ok=True)
    except (OSError, DataSourceError, DataLayerError) as error:
        raise OutputError(f"{out} cannot be written: {error}") from error


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
