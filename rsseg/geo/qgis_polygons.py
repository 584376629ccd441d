"""Vector files as layers of a QGIS project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyogrio
import pyogrio.raw
from pyogrio.errors import DataSourceError
from rasterio.crs import CRS

from rsseg.errors import LegendError, SceneError
from rsseg.geo.qgis_layers import OPACITY, Bounds, MapLayer
from rsseg.geo.qgis_styles import polygon_renderer
from rsseg.legend import Legend

_CLASS = "class"


def polygon_layers(path: str | Path, legend: Legend) -> tuple[tuple[MapLayer, ...], list[str]]:
    """The layers of polygons of a vector file in the colours of a legend.

    Args:
        path: A file whose polygons have a field ``class``, such as `rsseg.vectorise` writes.
        legend: The classes of the map they belong to.

    Returns:
        The layers, and the classes that the legend does not know: QGIS leaves them out.

    Raises:
        SceneError: If it cannot be opened, has no such polygons or no place on the ground.
        LegendError: If none of its classes is in the legend.
    """
    if not Path(path).exists():
        raise SceneError(f"there is no file {path}")
    try:
        return _polygon_layers(Path(path), legend)
    except DataSourceError as error:
        raise SceneError(
            f"{path} cannot be opened as polygons", expected="a GeoPackage, FlatGeobuf or GeoJSON"
        ) from error


def _polygon_layers(path: Path, legend: Legend) -> tuple[tuple[MapLayer, ...], list[str]]:
    layers: list[MapLayer] = []
    found: set[str] = set()
    for name, kind in pyogrio.list_layers(path):
        if kind is None or not ("Polygon" in kind or kind == "Unknown"):
            continue
        info = pyogrio.read_info(path, layer=name, force_total_bounds=True)
        if _CLASS not in info["fields"]:
            continue
        if info["crs"] is None:
            raise SceneError(f"{path} has no place on the ground", expected="a CRS")
        there = _classes(path, name)
        found |= there
        known = tuple(each for each in legend if each.name in there)
        layers.append(
            MapLayer(
                key=f"polygons_{len(layers)}",
                name=f"polygons: {name}",
                source=str(path),
                layer=name,
                crs=CRS.from_user_input(info["crs"]),
                bounds=_bounds(info["total_bounds"]),
                renderer=polygon_renderer(Legend(known) if known else legend),
                opacity=OPACITY,
            )
        )
    if not layers:
        raise SceneError(f"{path} has no polygons with a field '{_CLASS}'")
    unknown = sorted(found - set(legend.names))
    if unknown and len(unknown) == len(found):
        raise LegendError(
            f"{path} is of another map",
            expected=f"classes {', '.join(legend.names)}",
            got=", ".join(unknown),
        )
    return tuple(layers), unknown


def _bounds(told: Sequence[float] | None) -> Bounds | None:
    if told is None or not np.isfinite(told).all():
        return None
    west, south, east, north = map(float, told)
    return west, south, east, north


def _classes(path: Path, layer: str) -> set[str]:
    quoted = layer.replace('"', '""')
    sql = f'SELECT DISTINCT "{_CLASS}" FROM "{quoted}"'
    _, _, _, columns = pyogrio.raw.read(path, sql=sql, read_geometry=False)
    return {str(value) for value in columns[0] if value is not None}
