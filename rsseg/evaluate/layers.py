"""Truth in vector files: polygons as strips of codes, and sample points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.windows import Window

from rsseg.errors import LegendError, SceneError
from rsseg.evaluate.matching import Labels
from rsseg.geo.features import Features, PolygonRaster, read_features
from rsseg.geo.grid import Grid
from rsseg.legend import NODATA

FIELDS = ("class", "class_id")
"""Fields that hold the class, unless one is named."""

_TYPES = {0: "points", 4: "points", 3: "polygons", 6: "polygons"}
_ROWS = 256


@dataclass(frozen=True)
class Layer:
    """Geometries with a class, in the CRS of a grid.

    Args:
        name: Name of the layer in its file.
        field: The field that holds the class.
        kind: ``points`` or ``polygons``.
        geometries: Points, or (multi)polygons.
        codes: Class codes of the geometries, uint8.
        labels: What the codes mean.
        notes: What the user should know of it.
    """

    name: str
    field: str
    kind: str
    geometries: npt.NDArray[np.object_]
    codes: npt.NDArray[np.uint8]
    labels: Labels
    notes: tuple[str, ...]


class PolygonStrips:
    """Polygons read as full-width strips of codes, as `CodeRaster` reads a class raster."""

    block_height = _ROWS

    def __init__(self, layer: Layer, grid: Grid) -> None:
        self._raster = PolygonRaster(layer.geometries, layer.codes, grid)
        self._width = grid.width

    def read(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """Codes of the rows ``start`` to ``stop``, ``(stop - start, W)``."""
        return self._raster.read(Window(0, start, self._width, stop - start))


def read_layer(
    path: str | Path, grid: Grid, *, field: str | None, named: bool, layer: str | None = None
) -> Layer:
    """Read polygons or points with their classes, reprojected to a grid's CRS.

    Features without geometry or class are left out and counted in the notes.

    Args:
        path: A vector file.
        grid: Grid of the map.
        field: Name of the field with the class: names (text) or codes (whole numbers). If None,
            ``class`` or ``class_id``.
        named: Whether the map's classes have names; without, codes are looked for first.
        layer: Name of the layer; the first one with geometries if None.

    Raises:
        SceneError: If the file cannot be read, lacks the layer, or holds neither points nor
            polygons.
        OptionError: If the field is not there.
        LegendError: If a value is neither text nor a code 0-254, there are too many classes, or
            they have names and those of the map do not.
        GridMismatch: If the map has no CRS to reproject to.
    """
    name = str(path)
    wanted = (field,) if field is not None else FIELDS if named else FIELDS[::-1]
    remedy = "name the field of the classes with --field"
    features = read_features(path, grid, wanted, layer=layer, remedy=remedy)
    kind = _kind(name, features.geometries)
    codes, names = _codes(name, features)
    if names and not named:
        raise LegendError(
            f"{name} has class names in the field '{features.field}', the map carries none",
            remedy="name a field of codes with --field",
        )
    used = codes != NODATA
    geometries, codes = features.geometries[used], codes[used]
    if kind == "points":
        geometries, index = shapely.get_parts(geometries, return_index=True)
        codes = codes[index]
    return Layer(
        name=features.layer,
        field=str(features.field),
        kind=kind,
        geometries=geometries,
        codes=codes,
        labels=Labels(name, names),
        notes=features.notes,
    )


def _kind(name: str, geometries: npt.NDArray[np.object_]) -> str:
    kinds = {_TYPES.get(int(kind), "lines or others") for kind in shapely.get_type_id(geometries)}
    if len(kinds) != 1 or not kinds <= set(_TYPES.values()):
        raise SceneError(
            f"{name} cannot serve as truth",
            expected="points or polygons with a class",
            got=" and ".join(sorted(kinds)) or "no feature with geometry and class",
        )
    return kinds.pop()


def _codes(name: str, features: Features) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    """Code by feature, and names by code if the values are text."""
    values: npt.NDArray[Any] = features.values
    if values.dtype == object and not all(str(value).strip().isdecimal() for value in values):
        texts = np.array([str(value).strip() for value in values])
        names, codes = np.unique(texts, return_inverse=True)
        if len(names) > NODATA:
            raise LegendError(
                f"{name} has {len(names)} classes in the field '{features.field}'",
                expected=f"at most {NODATA}",
            )
        return codes.astype(np.uint8), dict(enumerate(names.tolist()))
    numbers = values.astype(np.float64)
    unusable = ~((numbers >= 0) & (numbers <= NODATA) & (numbers % 1 == 0))
    if unusable.any():
        raise LegendError(
            f"{name} holds {values[unusable][0]} in the field '{features.field}'",
            expected=f"class names or codes 0-{NODATA - 1}",
        )
    return numbers.astype(np.uint8), {}
