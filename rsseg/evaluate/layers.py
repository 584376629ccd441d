"""Truth in vector files: polygons read as strips of codes, and sample points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyogrio
import pyogrio.raw
import pyproj
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.features import rasterize
from rasterio.windows import Window

from rsseg.errors import GridMismatch, LegendError, OptionError, SceneError
from rsseg.evaluate.matching import Labels
from rsseg.geo.grid import Grid
from rsseg.legend import NODATA

SUFFIXES = (".gpkg", ".fgb", ".geojson", ".json", ".shp")
"""Names of vector files end so."""

FIELDS = ("class", "class_id")
"""Fields that hold the class, unless one is named."""

_MANY = 1000
_TYPES = {0: "points", 4: "points", 3: "polygons", 6: "polygons"}
_ROWS = 256


@dataclass(frozen=True)
class Layer:
    """Geometries with a class, in the CRS of a grid.

    Args:
        kind: ``points`` or ``polygons``.
        geometries: Points, or (multi)polygons.
        codes: Class codes of the geometries, uint8.
        labels: What the codes mean.
        notes: What the user should know of it.
    """

    kind: str
    geometries: npt.NDArray[np.object_]
    codes: npt.NDArray[np.uint8]
    labels: Labels
    notes: tuple[str, ...]


class PolygonRaster:
    """Polygons as a raster of codes on a grid; where they overlap, the later in the file wins.

    A pixel belongs to the polygon that its centre lies in; 255 is outside of all. The polygons are
    held in memory, their pixels are not.
    """

    block_height = _ROWS

    def __init__(self, layer: Layer, grid: Grid) -> None:
        self._layer = layer
        self._grid = grid
        self._tree = shapely.STRtree(layer.geometries)
        large = shapely.get_num_coordinates(layer.geometries) > _MANY
        large[large] = shapely.is_valid(layer.geometries[large])
        self._large = large

    def read(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """Codes of the rows ``start`` to ``stop``, ``(stop - start, W)``."""
        grid = self._grid.crop(Window(0, start, self._grid.width, stop - start))
        corners = [(-1, -1), (grid.width + 1, -1), (grid.width + 1, grid.height + 1)]
        frame = shapely.Polygon([grid.transform @ xy for xy in (*corners, (-1, grid.height + 1))])
        near = np.sort(self._tree.query(frame))
        geometries = self._layer.geometries[near]
        large = self._large[near]  # of a polygon as long as the map only a strip is converted
        geometries[large] = shapely.clip_by_rect(geometries[large], *frame.bounds)
        there = ~shapely.is_empty(geometries)
        shapes = list(zip(geometries[there], self._layer.codes[near][there].tolist(), strict=True))
        size = (grid.height, grid.width)
        if not shapes:
            return np.full(size, NODATA, dtype=np.uint8)
        burnt = rasterize(
            shapes, out_shape=size, transform=grid.transform, fill=NODATA, dtype="uint8"
        )
        return np.asarray(burnt, dtype=np.uint8)


def is_layer(path: str | Path) -> bool:
    """Whether a file name is that of a vector file."""
    return Path(path).suffix.lower() in SUFFIXES


def read_layer(path: str | Path, grid: Grid, *, field: str | None, named: bool) -> Layer:
    """Read polygons or points with their classes, reprojected to a grid's CRS.

    Features without geometry or class are left out and counted in the notes.

    Args:
        path: A vector file; its first layer with geometries counts.
        grid: Grid of the map.
        field: Name of the field with the class: names (text) or codes (whole numbers). If None,
            ``class`` or ``class_id``.
        named: Whether the map's classes have names; without, codes are looked for first.

    Raises:
        SceneError: If the file cannot be read, or holds neither points nor polygons.
        OptionError: If the field is not there.
        LegendError: If a value is neither text nor a code 0-254, there are too many classes, or
            they have names and those of the map do not.
        GridMismatch: If the map has no CRS to reproject to.
    """
    name = str(path)
    try:
        layer, others = _first_layer(path)
        fields = pyogrio.read_info(path, layer=layer)["fields"].tolist()
        column = _field(name, fields, field, named)
        meta, _, wkb, (values,) = pyogrio.raw.read(path, layer=layer, columns=[column])
    except (DataSourceError, DataLayerError) as error:
        if not Path(path).exists():
            raise SceneError(f"there is no file {path}") from error
        raise SceneError(f"{path} cannot be read as a vector file: {error}") from error
    geometries = shapely.force_2d(shapely.from_wkb(wkb, on_invalid="ignore"))
    placed = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    known = ~_null(values)
    notes = [f"{name} has {others + 1} layers, '{layer}' was taken"] if others else []
    notes += [
        f"{name}: {count:,} feature{'' if count == 1 else 's'} without {what} left out"
        for count, what in (
            (np.count_nonzero(~placed), "geometry"),
            (np.count_nonzero(placed & ~known), f"a value in the field '{column}'"),
        )
        if count
    ]
    geometries, values = geometries[placed & known], values[placed & known]
    kind = _kind(name, geometries)
    geometries, note = _reprojected(name, geometries, meta["crs"], grid)
    notes += note
    codes, names = _codes(name, column, values)
    if names and not named:
        raise LegendError(
            f"{name} has class names in the field '{column}', the map carries none",
            remedy="name a field of codes with --field",
        )
    used = (codes != NODATA) & np.isfinite(shapely.bounds(geometries)).all(axis=1)
    geometries, codes = geometries[used], codes[used]
    if kind == "points":
        geometries, index = shapely.get_parts(geometries, return_index=True)
        codes = codes[index]
    return Layer(kind, geometries, codes, Labels(name, names), tuple(notes))


def _first_layer(path: str | Path) -> tuple[str, int]:
    """The first layer with geometries, and how many others there are."""
    layers = [name for name, geometry in pyogrio.list_layers(path) if geometry is not None]
    if not layers:
        raise SceneError(f"{path} has no layer with geometries", expected="points or polygons")
    return layers[0], len(layers) - 1


def _field(name: str, fields: Sequence[str], wanted: str | None, named: bool) -> str:
    if wanted is not None:
        if wanted not in fields:
            raise OptionError(f"{name} has no field '{wanted}'", got=", ".join(fields) or "none")
        return wanted
    for candidate in FIELDS if named else reversed(FIELDS):
        if candidate in fields:
            return candidate
    raise OptionError(
        f"{name} has no field {' or '.join(FIELDS)}",
        got=", ".join(fields) or "none",
        remedy="name the field of the classes with --field",
    )


def _null(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if values.dtype == object:
        return np.array([value is None or not str(value).strip() for value in values], np.bool_)
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), np.bool_)


def _kind(name: str, geometries: npt.NDArray[np.object_]) -> str:
    kinds = {_TYPES.get(int(kind), "lines or others") for kind in shapely.get_type_id(geometries)}
    if len(kinds) != 1 or not kinds <= set(_TYPES.values()):
        raise SceneError(
            f"{name} cannot serve as truth",
            expected="points or polygons with a class",
            got=" and ".join(sorted(kinds)) or "no feature with geometry and class",
        )
    return kinds.pop()


def _reprojected(
    name: str, geometries: npt.NDArray[np.object_], crs: str | None, grid: Grid
) -> tuple[npt.NDArray[np.object_], list[str]]:
    """The geometries in the CRS of the grid (not finite where they have no place), and notes."""
    if crs is None:
        return geometries, [f"{name} has no CRS: that of the map was taken"]
    if grid.crs is None:
        raise GridMismatch(
            f"{name} is in {pyproj.CRS.from_user_input(crs).name}, the map has no CRS",
            remedy="give the map its place, e.g. rio edit-info MAP.tif --crs EPSG:CODE",
        )
    source, target = pyproj.CRS.from_user_input(crs), pyproj.CRS.from_wkt(grid.crs.to_wkt())
    if source.equals(target, ignore_axis_order=True):
        return geometries, []
    way = pyproj.Transformer.from_crs(source, target, always_xy=True)
    moved = shapely.transform(geometries, way.transform, interleaved=False)
    placed = np.isfinite(shapely.bounds(moved)).all(axis=1)
    note = f"{name} was reprojected from {source.name} to {target.name}"
    if not placed.all():
        note += f", {np.count_nonzero(~placed)} features that have no place there were left out"
    return moved, [note]


def _codes(
    name: str, column: str, values: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    """Code by feature, and names by code if the values are text."""
    if values.dtype == object and not all(str(value).strip().isdecimal() for value in values):
        texts = np.array([str(value).strip() for value in values])
        names, codes = np.unique(texts, return_inverse=True)
        if len(names) > NODATA:
            raise LegendError(
                f"{name} has {len(names)} classes in the field '{column}'",
                expected=f"at most {NODATA}",
            )
        return codes.astype(np.uint8), dict(enumerate(names.tolist()))
    numbers = values.astype(np.float64)
    unusable = ~((numbers >= 0) & (numbers <= NODATA) & (numbers % 1 == 0))
    if unusable.any():
        raise LegendError(
            f"{name} holds {values[unusable][0]} in the field '{column}'",
            expected=f"class names or codes 0-{NODATA - 1}",
        )
    return numbers.astype(np.uint8), {}
