"""Tables of footprints: where scenes or maps lie, and the files that hold them.

GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0) is read and written with pyarrow, an extra;
GeoPackage, FlatGeobuf and GeoJSON with GDAL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from rsseg.errors import MissingExtra, OptionError, OutputError, SceneError
from rsseg.geo.features import did_you_mean
from rsseg.geo.lon_lat import CRS84
from rsseg.geo.objects import is_address, is_object
from rsseg.replacing import replacing

COLUMNS = ("path", "href", "file", "filename", "image", "location", "url", "map")
"""Where the files of footprints are looked for, unless a column is named."""

_PARQUET = (".parquet", ".geoparquet")
_VECTORS = (".gpkg", ".fgb", ".geojson", ".json")


def is_table(path: str | Path) -> bool:
    """Whether a file is a table of footprints by its name; a GeoPackage of rasters is none."""
    suffix = Path(path).suffix.lower()
    if suffix != ".gpkg":
        return suffix in (*_PARQUET, *_VECTORS)
    import pyogrio
    from pyogrio.errors import DataSourceError

    try:
        return any(kind is not None for _, kind in pyogrio.list_layers(path))
    except DataSourceError:
        return False  # whoever opens it as a raster says what is wrong


def read_footprints(path: str | Path, column: str | None = None) -> list[str]:
    """The files of a table of footprints, in its order; relative ones lie beside the table.

    Args:
        path: GeoParquet, GeoPackage, FlatGeobuf or GeoJSON.
        column: The column that names them; the first of `COLUMNS` that is there if None.

    Raises:
        SceneError: If the table cannot be read, is empty, or a row names no file.
        OptionError: If there is no such column.
        MissingExtra: If it is GeoParquet and pyarrow is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise SceneError(f"there is no file {path}")
    read = _read_parquet if path.suffix.lower() in _PARQUET else _read_vectors
    named = read(path, column)
    if not named:
        raise SceneError(f"the table {path} has no row")
    empty = sum(not (isinstance(name, str) and name.strip()) for name in named)
    if empty:
        raise SceneError(f"{empty} of {len(named)} rows of {path} name no file")
    return [name if _is_placed(name) else str(path.parent / name) for name in named]


def write_footprints(
    path: Path, outlines: Sequence[Any], columns: Mapping[str, Sequence[Any]]
) -> None:
    """Write a table of footprints, whole or not at all.

    Args:
        path: ``.parquet`` or ``.gpkg``; replaced if there.
        outlines: Of `rsseg.geo.lon_lat`; None where there is none.
        columns: Texts, ints or floats by name, N each.

    Raises:
        OutputError: If it cannot be written.
        MissingExtra: If it is GeoParquet and pyarrow is missing.
    """
    from pyogrio.errors import DataLayerError, DataSourceError

    geometries = np.array([*outlines, None], dtype=object)[:-1]
    write = _write_parquet if path.suffix.lower() in _PARQUET else _write_vectors
    try:
        with replacing(path) as unfinished:
            write(unfinished, path.stem, geometries, columns)
    except (OSError, DataSourceError, DataLayerError) as error:
        raise OutputError(f"{path} cannot be written: {error}") from error


def _is_placed(name: str) -> bool:
    return is_address(name) or is_object(name) or name.startswith("/vsi")


def _choose(path: Path, there: Sequence[str], column: str | None) -> str:
    for name in COLUMNS if column is None else (column,):
        if name in there:
            return name
    if column is None:
        raise OptionError(
            f"{path} has no column that is known to name files",
            expected=", ".join(COLUMNS),
            got=", ".join(there),
            remedy="name the column by --asset",
        )
    raise OptionError(
        f"{path} has no column '{column}'",
        got=", ".join(there),
        remedy=did_you_mean(column, there),
    )


def _read_parquet(path: Path, column: str | None) -> list[Any]:
    parquet = _parquet()
    import pyarrow

    try:
        there = parquet.read_schema(path).names
        return list(parquet.read_table(path, columns=[_choose(path, there, column)])[0].to_pylist())
    except (OSError, pyarrow.ArrowException) as error:
        raise SceneError(f"{path} cannot be read as GeoParquet: {error}") from error


def _read_vectors(path: Path, column: str | None) -> list[Any]:
    import pyogrio.raw
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        there = pyogrio.read_info(path)["fields"].tolist()
        name = _choose(path, there, column)
        _, _, _, data = pyogrio.raw.read(path, columns=[name], read_geometry=False)
    except (DataSourceError, DataLayerError) as error:
        raise SceneError(f"{path} cannot be read as a table of footprints: {error}") from error
    return list(data[0])


def _write_parquet(
    path: Path, _: str, geometries: npt.NDArray[np.object_], columns: Mapping[str, Sequence[Any]]
) -> None:
    parquet = _parquet()
    import pyarrow
    import pyproj

    there = shapely.get_type_id(geometries[~shapely.is_missing(geometries)])
    kinds = {shapely.GeometryType.POLYGON: "Polygon", shapely.GeometryType.MULTIPOLYGON: "Multi"}
    names = sorted({kinds[kind].replace("Multi", "MultiPolygon") for kind in there.tolist()})
    told: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": names,
        "crs": pyproj.CRS.from_user_input(CRS84).to_json_dict(),
    }
    if len(there):
        told["bbox"] = shapely.total_bounds(geometries).tolist()
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": told}}
    table = pyarrow.table(
        {name: pyarrow.array(values) for name, values in columns.items()}
        | {"geometry": pyarrow.array(shapely.to_wkb(geometries).tolist(), pyarrow.binary())}
    )
    table = table.replace_schema_metadata({"geo": json.dumps(geo)})
    parquet.write_table(table, path, compression="zstd")


def _write_vectors(
    path: Path,
    layer: str,
    geometries: npt.NDArray[np.object_],
    columns: Mapping[str, Sequence[Any]],
) -> None:
    import pyogrio.raw

    made = shapely.to_wkb(geometries)
    pyogrio.raw.write(
        path,
        geometry=made,
        field_data=[_column(values) for values in columns.values()],
        fields=list(columns),
        geometry_type="Unknown",
        crs=CRS84,
        driver="GPKG",
        layer=layer,
        dataset_options={"VERSION": "1.3"},
    )


def _column(values: Sequence[Any]) -> npt.NDArray[Any]:
    """Texts as objects, numbers as they are."""
    texts = any(isinstance(value, str) for value in values)
    return np.array(values, dtype=object if texts else None)


def _parquet() -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("pyarrow", "parquet") from None
    return parquet
