"""Vector files that polygons can be written to, and the reasons against others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rasterio.crs import CRS

from rsseg import writable
from rsseg.errors import MissingExtra, OptionError

LON_LAT = CRS.from_epsg(4326)


@dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        name: What it is called; where GDAL writes it, the name of GDAL's driver.
        dataset: GDAL's options of the file.
        layer: GDAL's options of a layer.
        layers: Whether a file can hold several.
        lon_lat: Whether it knows no other coordinates than longitude and latitude.
        reserved: What the names of layers must not begin with, in lower case.
        requires: Looks for what is needed to write it.
    """

    name: str
    dataset: dict[str, str] = field(default_factory=dict)
    layer: dict[str, str] = field(default_factory=dict)
    layers: bool = False
    lon_lat: bool = False
    reserved: tuple[str, ...] = ()
    requires: Callable[[], None] = lambda: None

    def is_reserved(self, layer: str) -> bool:
        """Whether a layer cannot bear a name, since the format keeps it for its own tables."""
        return layer.lower().startswith(self.reserved)


def _require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise MissingExtra("pyarrow", "parquet") from None


FORMATS = {
    # GDAL before 3.7, as in QGIS 3.28, warns of the version that is now its default
    ".gpkg": Format(
        "GPKG",
        dataset={"VERSION": "1.3"},
        layers=True,
        reserved=("gpkg", "sqlite_", "layer_styles"),
    ),
    ".fgb": Format("FlatGeobuf"),
    ".parquet": Format("GeoParquet", requires=_require_pyarrow),
    # RFC 7946: GDAL reprojects and cuts at the 180th meridian; nine decimals are 0.1 mm.
    ".geojson": Format(
        "GeoJSON", layer={"RFC7946": "YES", "COORDINATE_PRECISION": "9"}, lon_lat=True
    ),
}
_REFUSED = {
    ".shp": "a Shapefile cuts the name perimeter_m and ends at 2 GB",
    ".json": "polygons as JSON are GeoJSON",
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


def require_writable(
    out: str | Path,
    *,
    inputs: Iterable[str | Path] = (),
    overwrite: bool = False,
    by_class: bool = False,
    layer: str | None = None,
) -> None:
    """Check that polygons can be written to a file, before any work.

    Args:
        out: The file.
        inputs: Files that must stay.
        overwrite: Whether it may be there already.
        by_class: Whether it must hold a layer for each class.
        layer: Name of its layer; that of the file without suffix if None.

    Raises:
        OptionError: If its suffix is of no format that can be written, or one of a single layer,
            the layer cannot be named so, or an input would be replaced.
        MissingExtra: If the library for its format is not installed.
        OutputError: If it is there already, or its folder is not there or takes no file.
    """
    out = Path(out)
    kind = format_of(out)
    if by_class and not kind.layers:
        several = " or ".join(suffix for suffix, each in FORMATS.items() if each.layers)
        raise OptionError(
            f"{out} cannot have a layer for each class: {kind.name} has one layer",
            expected=f"a name ending in {several}",
        )
    if kind.is_reserved(layer or out.stem):
        raise OptionError(
            f"a layer of a {kind.name} file cannot be named '{layer or out.stem}'",
            expected=f"a name that does not begin with {', '.join(kind.reserved)}",
            remedy=f"choose another {'layer' if layer else 'file'} name",
        )
    kind.requires()
    writable.require_writable(out, inputs=inputs, overwrite=overwrite)
