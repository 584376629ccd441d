"""What a GeoPackage has beyond a layer: QGIS styles of its layers, and a layer for each class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pyogrio.raw import open_arrow, write, write_arrow

GEOMETRY = "geom"
"""The column of geometries."""


def copy_layers(
    source: Path, target: Path, names: Mapping[int, str], options: Mapping[str, str]
) -> None:
    """Copy the polygons of each class of a GeoPackage into a layer of their own.

    GDAL hands them from file to file in batches.

    Args:
        source: A file with one layer.
        target: File to write.
        names: Names of the layers to make, by class code.
        options: GDAL's options of the file.
    """
    for code, name in names.items():
        with open_arrow(source, where=f"class_id = {code}", use_pyarrow=False) as (meta, stream):
            write_arrow(
                stream,
                target,
                layer=name,
                driver="GPKG",
                geometry_name=meta["geometry_name"],
                geometry_type=meta["geometry_type"],
                crs=meta["crs"],
                dataset_options=dict(options),
            )


def add_styles(path: Path, styles: Mapping[str, str]) -> None:
    """Put QGIS styles into a GeoPackage, which QGIS applies when it opens a layer.

    They lie in the table ``layer_styles`` that QGIS makes when a user saves a style in the file.

    Args:
        path: The file.
        styles: QML by the name of the layer.
    """
    count = len(styles)
    nothing = np.full(count, "", dtype=object)
    names = np.array(list(styles), dtype=object)
    columns = {
        "f_table_catalog": nothing,
        "f_table_schema": nothing,
        "f_table_name": names,
        "f_geometry_column": np.full(count, GEOMETRY, dtype=object),
        "styleName": names,
        "styleQML": np.array(list(styles.values()), dtype=object),
        "styleSLD": nothing,
        "useAsDefault": np.ones(count, dtype=bool),
        "description": nothing,
        "owner": nothing,
        "ui": nothing,
        "update_time": np.zeros(count, dtype="datetime64[ms]"),
    }
    write(
        path,
        None,
        list(columns.values()),
        list(columns),
        layer="layer_styles",
        driver="GPKG",
        geometry_type=None,
        layer_options={"FID": "id"},
    )
