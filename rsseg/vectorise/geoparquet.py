"""GeoParquet 1.1: https://geoparquet.org/releases/v1.1.0. Written with pyarrow, an extra."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyproj import CRS

from rsseg.vectorise.rows import Layer, Rows

if TYPE_CHECKING:
    import pyarrow

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def write_geoparquet(path: Path, layer: Layer, rows: Iterable[Rows]) -> None:
    """Write rows as GeoParquet with a bounding box for each.

    Args:
        path: File to write.
        layer: What the rows are; Parquet keeps no name of a layer.
        rows: Their batches, which become row groups: what a reader of a window skips or reads.
    """
    import pyarrow
    from pyarrow import parquet

    types = {np.int32: pyarrow.int32(), str: pyarrow.string(), float: pyarrow.float64()}
    box = pyarrow.struct([pyarrow.field(side, pyarrow.float64(), False) for side in _SIDES])
    fields = [(name, types[kind]) for name, kind in layer.fields.items()]
    schema = pyarrow.schema([*fields, ("geometry", pyarrow.binary()), ("bbox", box)])
    extent = np.array([np.inf, np.inf, -np.inf, -np.inf])
    with parquet.ParquetWriter(path, schema, compression="zstd") as target:
        for group in rows:
            np.minimum(extent[:2], group.boxes[:, :2].min(axis=0), out=extent[:2])
            np.maximum(extent[2:], group.boxes[:, 2:].max(axis=0), out=extent[2:])
            target.write_batch(_batch(group, schema))
        target.add_key_value_metadata({"geo": json.dumps(_metadata(layer, extent))})


def _batch(rows: Rows, schema: pyarrow.Schema) -> pyarrow.RecordBatch:
    import pyarrow

    columns = [
        pyarrow.array(values, field.type, from_pandas=True)
        for values, field in zip(rows.values, schema, strict=False)
    ]
    sides = [pyarrow.array(side) for side in np.ascontiguousarray(rows.boxes.T)]
    box = pyarrow.StructArray.from_arrays(sides, fields=list(schema.field("bbox").type))
    columns += [pyarrow.array(rows.wkb, pyarrow.binary()), box]
    return pyarrow.record_batch(columns, schema=schema)


def _metadata(layer: Layer, extent: npt.NDArray[np.float64]) -> dict[str, Any]:
    geometry = {
        "encoding": "WKB",
        "geometry_types": [layer.geometry_type],
        "crs": CRS.from_wkt(layer.crs.to_wkt()).to_json_dict(),
        "orientation": "counterclockwise",
        "covering": {"bbox": {side: ["bbox", side] for side in _SIDES}},
    }
    if np.isfinite(extent).all():
        geometry["bbox"] = extent.tolist()
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
