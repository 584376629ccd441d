"""Outlines of polygons by tile, and the polygons at a point."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyogrio
import pyogrio.raw
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from rasterio.crs import CRS

from rsseg.errors import GridMismatch, OutputError, SceneError
from rsseg.legend import Legend
from rsseg.view.plane import TILE, Bounds, Plane, border

MOST = 4000
"""Polygons of a tile that are drawn; where there are more, they wait until one looks closer."""

FINENESS = 8
"""Steps of an outline's coordinates to a pixel of a tile."""

_MARGIN = 2 / TILE
_CLASS = "class"
_LEGIBLE = 20_000  # points of an outline that is shown as chosen


@dataclass(frozen=True)
class _Layer:
    source: str
    name: str
    crs: CRS | None
    classed: bool


class Polygons:
    """The layers of polygons of a vector file, seen in a plane.

    Args:
        path: A GeoPackage, FlatGeobuf, GeoJSON or another file that GDAL's vector drivers read.
        plane: Where tiles lie.
        legend: The classes of the map; polygons whose field ``class`` names one belong to it.
        folder: Where a copy is kept of a layer that cannot be searched by place.

    Raises:
        SceneError: If it cannot be opened, or has no polygons.
        GridMismatch: If it lies somewhere else than the map.
        OutputError: If there is no room for a copy.
    """

    def __init__(self, path: str | Path, plane: Plane, legend: Legend, folder: Path) -> None:
        if not Path(path).is_file():
            raise SceneError(f"there is no file {path}")
        self._plane, self._legend = plane, legend
        self._path = Path(path)
        try:
            self._layers = self._readable(folder)
        except (DataSourceError, DataLayerError) as error:
            raise SceneError(
                f"{path} cannot be opened as polygons",
                expected="a GeoPackage, FlatGeobuf or GeoJSON",
            ) from error

    def tile(self, bounds: Bounds) -> dict[str, Any]:
        """What is drawn in a tile.

        Args:
            bounds: Of the tile, in the plane.

        Returns:
            ``crowded``, whether there are too many; and ``lines``, each the index of its class in
            the legend (-1 for others) and its points, ``x`` and ``y`` in turn, counted from the
            upper left corner in `FINENESS` steps to a pixel.

        Raises:
            SceneError: If the file is damaged or no longer there.
        """
        lines: list[list[Any]] = []
        room = MOST
        for layer in self._layers:
            shapes, classes = self._read(layer, self._area(layer, bounds), room + 1)
            room -= len(shapes)
            if room < 0:
                return {"crowded": True, "lines": []}
            lines += self._lines(layer, shapes, classes, bounds)
        return {"crowded": False, "lines": lines}

    def at(self, u: float, v: float) -> list[dict[str, Any]]:
        """The polygons that hold a point of the plane.

        Returns:
            For each its ``layer``, its ``fields`` by name, and its ``outline``, rings of points of
            the plane; the outline is None if it has too many points to be shown.

        Raises:
            SceneError: If the file is damaged or no longer there.
        """
        found = []
        for layer in self._layers:
            x, y = (float(values[0]) for values in self._plane.to_ground(layer.crs, [u], [v]))
            if not (math.isfinite(x) and math.isfinite(y)):
                continue
            names, shapes, columns = self._fields(layer, (x, y, x, y))
            for index in np.flatnonzero(shapely.intersects(shapes, shapely.Point(x, y))):
                fields = {
                    name: _plain(column[index]) for name, column in zip(names, columns, strict=True)
                }
                outline = self._outline(layer, shapes[index])
                found.append({"layer": layer.name, "fields": fields, "outline": outline})
        return found

    def _readable(self, folder: Path) -> tuple[_Layer, ...]:
        layers, elsewhere = [], 0
        for name, kind in pyogrio.list_layers(self._path):
            if kind is None or not ("Polygon" in kind or kind == "Unknown"):
                continue
            info = pyogrio.read_info(self._path, layer=name, force_total_bounds=True)
            crs = None if info["crs"] is None else CRS.from_user_input(info["crs"])
            layer = _Layer(str(self._path), name, crs, _CLASS in info["fields"])
            if not self._meets(layer, info["total_bounds"]):
                elsewhere += 1
                continue
            if not info["capabilities"]["fast_spatial_filter"]:
                layer = _searchable(layer, folder / f"{len(list(folder.iterdir()))}.fgb")
            layers.append(layer)
        if elsewhere and not layers:
            raise GridMismatch(f"{self._path} and the map lie in different places")
        if not layers:
            raise SceneError(f"{self._path} has no polygons")
        return tuple(layers)

    def _meets(self, layer: _Layer, bounds: Any) -> bool:
        """Whether a layer lies, at least in part, where the map does; an empty one does."""
        if bounds is None or not np.isfinite(bounds).all():
            return True
        if (layer.crs is None) != (self._plane.grid.crs is None):
            raise GridMismatch(
                f"one of {self._path} and the map has a place on the ground, the other has none"
            )
        west, south, east, north = map(float, bounds)
        u, v = self._plane.from_ground(layer.crs, *border((west, south, east, north)))
        seen = np.isfinite(u) & np.isfinite(v)
        left, bottom, right, top = self._plane.extent
        if not seen.any() or v[seen].max() < bottom or v[seen].min() > top:
            return False
        beside = u[seen].max() < left or u[seen].min() > right
        return not beside or (self._plane.mercator and right > math.pi * 6_378_137)

    def _area(self, layer: _Layer, bounds: Bounds) -> Bounds:
        """The rectangle of a layer's CRS around a tile, with a margin for thick lines."""
        left, bottom, right, top = bounds
        margin = _MARGIN * (right - left)
        wider = left - margin, bottom - margin, right + margin, top + margin
        x, y = self._plane.to_ground(layer.crs, *border(wider))
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())

    def _read(
        self, layer: _Layer, area: Bounds, most: int
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Polygons in an area, at most so many, and the index of the class of each."""
        if not all(map(math.isfinite, area)):
            return np.empty(0, object), np.empty(0, np.int64)
        columns = [_CLASS] if layer.classed else []
        try:
            _, _, shapes, values = pyogrio.raw.read(
                layer.source, layer=layer.name, columns=columns, bbox=area, max_features=most
            )
        except (DataSourceError, DataLayerError) as error:
            raise self._cannot_read() from error
        known = {name: index for index, name in enumerate(self._legend.names)}
        classes = np.full(len(shapes), -1)
        if columns:
            classes = np.array([known.get(str(value), -1) for value in values[0]], np.int64)
        return shapes, classes

    def _fields(
        self, layer: _Layer, area: Bounds
    ) -> tuple[list[str], npt.NDArray[Any], list[npt.NDArray[Any]]]:
        try:
            meta, _, shapes, columns = pyogrio.raw.read(layer.source, layer=layer.name, bbox=area)
        except (DataSourceError, DataLayerError) as error:
            raise self._cannot_read() from error
        return list(meta["fields"]), shapely.from_wkb(shapes), columns

    def _lines(
        self,
        layer: _Layer,
        shapes: npt.NDArray[Any],
        classes: npt.NDArray[Any],
        bounds: Bounds,
    ) -> list[list[Any]]:
        """Outlines clipped to a tile, as runs of whole numbers."""
        # clipped before they are brought to the plane: one polygon may reach across the whole map
        outlines = shapely.clip_by_rect(
            shapely.boundary(shapely.from_wkb(shapes)), *self._area(layer, bounds)
        )
        parts, owners = shapely.get_parts(outlines, return_index=True)
        points, owner = shapely.get_coordinates(parts, return_index=True)
        if not len(points):
            return []
        left, bottom, right, top = bounds
        u, v = self._plane.from_ground(layer.crs, points[:, 0], points[:, 1])
        if self._plane.mercator:
            world = 2 * math.pi * 6_378_137
            middle = (left + right) / 2
            u = u - world * np.round((u - middle) / world)
        steps = TILE * FINENESS
        scaled = np.stack([(u - left) / (right - left), (top - v) / (top - bottom)], axis=1) * steps
        pieces = shapely.linestrings(scaled, indices=owner)
        pieces = shapely.simplify(pieces, FINENESS / 4, preserve_topology=False)
        return [
            [int(known), np.round(shapely.get_coordinates(piece)).astype(int).ravel().tolist()]
            for piece, known in zip(pieces, classes[owners], strict=True)
        ]

    def _outline(self, layer: _Layer, shape: shapely.Geometry) -> list[Any] | None:
        if shapely.get_num_coordinates(shape) > _LEGIBLE:
            return None
        rings = []
        for ring in shapely.get_parts(shapely.boundary(shape)):
            x, y = shapely.get_coordinates(ring).T
            u, v = self._plane.from_ground(layer.crs, x, y)
            rings.append(np.stack([u, v], axis=1).tolist())
        return rings

    def _cannot_read(self) -> SceneError:
        return SceneError(f"{self._path} cannot be read", remedy="is it damaged, or gone?")


def _searchable(layer: _Layer, copy: Path) -> _Layer:
    """The same polygons in a temporary file with a spatial index.

    Raises:
        OutputError: If there is no room for it.
    """
    meta, _, shapes, columns = pyogrio.raw.read(layer.source, layer=layer.name)
    there = np.array([shape is not None for shape in shapes], np.bool_)
    try:
        with warnings.catch_warnings(action="ignore"):  # that it has no CRS, where it has none
            pyogrio.raw.write(
                copy,
                shapes[there],
                [column[there] for column in columns],
                meta["fields"],
                geometry_type="Unknown",
                crs=meta["crs"],
                driver="FlatGeobuf",
                layer=layer.name,
            )
    except (DataSourceError, DataLayerError, FeatureError) as error:
        raise OutputError(
            f"{layer.source} cannot be copied to {copy.parent} to be searched by place",
            remedy="is the disk full? A GeoPackage needs no copy",
        ) from error
    return _Layer(str(copy), layer.name, layer.crs, layer.classed)


def _plain(value: Any) -> Any:
    """A value of a field as JSON has it."""
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return None
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()
    return value if isinstance(value, bool | int | float | str) else str(value)
