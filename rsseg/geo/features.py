"""Geometries with one attribute, read from a vector file into the CRS of a grid, and burnt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.features import rasterize
from rasterio.windows import Window

from rsseg.errors import GridMismatch, OptionError, SceneError
from rsseg.geo.grid import Grid
from rsseg.geo.tiling import inner_part
from rsseg.legend import NODATA

SUFFIXES = (".gpkg", ".fgb", ".geojson", ".json", ".shp")
"""Names of vector files end so."""

_TABLES = (".csv", ".tsv", ".xlsx", ".xls", ".ods")
_OTHERS = (
    *(".kml", ".kmz", ".gml", ".gpx", ".dxf", ".tab", ".mif", ".gdb", ".dbf", ".shx"),
    *(".parquet", ".geoparquet", ".geojsonl", ".geojsons", ".ndjson", ".topojson"),
)
_MANY = 1000


@dataclass(frozen=True)
class Features:
    """Geometries that have a place and a value, in file order.

    Args:
        geometries: In the CRS of the grid they were read for.
        values: Value of the field by geometry, as the file has them; empty without a field.
        field: The field the values are of, or None.
        layer: The layer they are from.
        notes: What the user should know: layers not taken, features left out, a reprojection.
    """

    geometries: npt.NDArray[np.object_]
    values: npt.NDArray[Any]
    field: str | None
    layer: str
    notes: tuple[str, ...]


class PolygonRaster:
    """Polygons as a raster of codes on a grid; where they overlap, the later one wins.

    A pixel belongs to the polygon that its centre lies in; 255 is outside of all. The polygons are
    held in memory, their pixels are not.

    Args:
        polygons: In the CRS of the grid.
        codes: Code by polygon, uint8.
        grid: Grid whose windows are read.
    """

    def __init__(
        self, polygons: npt.NDArray[np.object_], codes: npt.NDArray[np.uint8], grid: Grid
    ) -> None:
        self._polygons, self._codes, self._grid = polygons, codes, grid
        self._tree = shapely.STRtree(polygons)
        large = shapely.get_num_coordinates(polygons) > _MANY
        large[large] = shapely.is_valid(polygons[large])
        self._large = large

    def read(self, window: Window, shape: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
        """Codes ``(h, w)`` of a window, on a finer or coarser grid if ``shape`` asks for it.

        Beyond the grid it is 255.

        Raises:
            OptionError: If the window lies wholly outside the grid.
        """
        size = (int(window.height), int(window.width))
        part = inner_part(window, (self._grid.height, self._grid.width), shape or size)
        grid = self._grid.crop(part.inside).resized(part.shape)
        codes = self._burn(grid)
        return np.pad(codes, part.pads, constant_values=NODATA) if part.padded else codes

    def _burn(self, grid: Grid) -> npt.NDArray[np.uint8]:
        corners = [(-1, -1), (grid.width + 1, -1), (grid.width + 1, grid.height + 1)]
        frame = shapely.Polygon([grid.transform @ xy for xy in (*corners, (-1, grid.height + 1))])
        near = np.sort(self._tree.query(frame))
        geometries = self._polygons[near]
        large = self._large[near]  # of a polygon as long as the map only this part is converted
        geometries[large] = shapely.clip_by_rect(geometries[large], *frame.bounds)
        there = ~shapely.is_empty(geometries)
        shapes = list(zip(geometries[there], self._codes[near][there].tolist(), strict=True))
        size = (grid.height, grid.width)
        if not shapes:
            return np.full(size, NODATA, dtype=np.uint8)
        burnt = rasterize(
            shapes, out_shape=size, transform=grid.transform, fill=NODATA, dtype="uint8"
        )
        return np.asarray(burnt, dtype=np.uint8)


def is_vector(path: str | Path) -> bool:
    """Whether a file name is that of a vector file that can be read.

    Raises:
        SceneError: If it is that of a table, or of a vector file of another kind.
    """
    suffix = Path(path).suffix.lower()
    table = suffix in _TABLES
    if table or suffix in _OTHERS:
        remedy = f"ogr2ogr {Path(path).with_suffix('.gpkg')} "
        remedy += f"{Path(path).with_suffix('.csv') if table else path}"
        if table:
            remedy += " -oo X_POSSIBLE_NAMES=x -oo Y_POSSIBLE_NAMES=y -a_srs EPSG:CODE"
        raise SceneError(
            f"{path} is {'a table' if table else 'a vector file of a kind that is not read'}",
            expected=f"a raster, or a name ending in {', '.join(SUFFIXES)}",
            remedy=f"{'save it as .csv and ' if suffix in _TABLES[1:] else ''}convert it: {remedy}",
        )
    return suffix in SUFFIXES


def looks_like_vector(path: str | Path) -> bool:
    """Whether a file name is that of any vector file or table, read or not."""
    return Path(path).suffix.lower() in (*SUFFIXES, *_TABLES, *_OTHERS)


def did_you_mean(name: str, names: Iterable[str]) -> str | None:
    """The remedy for a mistaken name, whatever its case; None if no other is like it."""
    folded = {known.casefold(): known for known in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"did you mean '{folded[near[0]]}'?" if near else None


def read_features(
    path: str | Path,
    grid: Grid,
    fields: Sequence[str],
    *,
    layer: str | None = None,
    remedy: str = "name the field that holds the class",
) -> Features:
    """Read geometries and one field, reprojected to the CRS of a grid.

    Features without geometry or value are left out and counted in the notes.

    Args:
        path: A vector file.
        grid: Grid to reproject to.
        fields: The first of these that the file has is read; none for geometries alone.
        layer: Name of the layer; the first one with geometries if None.
        remedy: What a user can do if there is none of the fields, for the message.

    Raises:
        SceneError: If the file cannot be read, or has no such layer.
        OptionError: If it has none of the fields.
        GridMismatch: If it has a CRS and the grid has none.
    """
    import pyogrio.raw  # it loads pandas where that is installed, so only for vector files
    from pyogrio.errors import DataLayerError, DataSourceError

    name = str(path)
    try:
        layer, notes = _choose_layer(name, layer)
        there = pyogrio.read_info(path, layer=layer)["fields"].tolist()
        field = _choose_field(name, there, fields, remedy) if fields else None
        columns = [field] if field else []
        meta, _, wkb, data = pyogrio.raw.read(path, layer=layer, columns=columns)
    except (DataSourceError, DataLayerError) as error:
        if not Path(path).exists():
            raise SceneError(f"there is no file {path}") from error
        raise SceneError(f"{path} cannot be read as a vector file: {error}") from error
    geometries = shapely.from_wkb(wkb, on_invalid="ignore")
    tall = shapely.get_coordinate_dimension(geometries) > 2
    geometries[tall] = shapely.force_2d(geometries[tall])
    placed = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    known = ~_null(data[0]) if field else np.ones(len(geometries), np.bool_)
    notes += [
        f"{name}: {count:,} feature{'' if count == 1 else 's'} without {what} left out"
        for count, what in (
            (np.count_nonzero(~placed), "geometry"),
            (np.count_nonzero(placed & ~known), f"a value in the field '{field}'"),
        )
        if count
    ]
    kept = placed & known
    values = data[0][kept] if field else np.empty(0)
    moved, note = _reprojected(name, geometries[kept], meta["crs"], grid)
    here = np.isfinite(shapely.bounds(moved)).all(axis=1)
    return Features(moved[here], values[here] if field else values, field, layer, (*notes, *note))


def _choose_layer(name: str, wanted: str | None) -> tuple[str, list[str]]:
    """The layer to read, and a note on the others."""
    import pyogrio

    layers = [layer for layer, geometry in pyogrio.list_layers(name) if geometry is not None]
    if not layers:
        raise SceneError(f"{name} has no layer with geometries", expected="points or polygons")
    if wanted is not None:
        if wanted not in layers:
            raise SceneError(
                f"{name} has no layer '{wanted}'",
                got=", ".join(layers),
                remedy=did_you_mean(wanted, layers),
            )
        return wanted, []
    more = f"{name} has {len(layers)} layers with geometries, '{layers[0]}' was taken"
    return layers[0], [more] if len(layers) > 1 else []


def _choose_field(name: str, there: Sequence[str], wanted: Sequence[str], remedy: str) -> str:
    for field in wanted:
        if field in there:
            return field
    hints = [hint for field in wanted if (hint := did_you_mean(field, there))]
    raise OptionError(
        f"{name} has no field {' or '.join(repr(field) for field in wanted)}",
        got=", ".join(there) or "none",
        remedy=f"{remedy}; {hints[0]}" if hints else remedy,
    )


def _null(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if values.dtype == object:
        return np.array([value is None or not str(value).strip() for value in values], np.bool_)
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), np.bool_)


def _reprojected(
    name: str, geometries: npt.NDArray[np.object_], crs: str | None, grid: Grid
) -> tuple[npt.NDArray[np.object_], list[str]]:
    """The geometries in the CRS of the grid (not finite where they have no place), and notes."""
    import pyproj

    if crs is None:
        return geometries, [f"{name} has no CRS: that of the raster was taken"]
    if grid.crs is None:
        raise GridMismatch(
            f"{name} is in {pyproj.CRS.from_user_input(crs).name}, the raster has no CRS",
            remedy="give the raster its place, e.g. rio edit-info RASTER.tif --crs EPSG:CODE",
        )
    source, target = pyproj.CRS.from_user_input(crs), pyproj.CRS.from_wkt(grid.crs.to_wkt())
    if source.equals(target, ignore_axis_order=True):
        return geometries, []
    way = pyproj.Transformer.from_crs(source, target, always_xy=True)
    moved = shapely.transform(geometries, way.transform, interleaved=False)
    lost = np.count_nonzero(~np.isfinite(shapely.bounds(moved)).all(axis=1))
    note = f"{name} was reprojected from {source.name} to {target.name}"
    if lost:
        which = "feature that has" if lost == 1 else "features that have"
        note += f", {lost:,} {which} no place there left out"
    return moved, [note]
