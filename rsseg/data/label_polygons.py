"""Labels that are polygons with a class, burnt window by window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from rsseg.data.catalogue import LabelledScene
from rsseg.data.labels import Labels
from rsseg.errors import LegendError, SceneError
from rsseg.geo.features import Features, PolygonRaster, read_features
from rsseg.geo.grid import Grid
from rsseg.geo.tiling import inner_part
from rsseg.legend import NODATA, Legend

FILES = 8
"""Vector files whose polygons are remembered, for all scenes of one CRS."""


class LabelPolygons(Labels):
    """Polygons with a class, burnt window by window; where they overlap, the later one wins.

    Of a file that several scenes or parts of scenes share, the last `FILES` are remembered.

    Args:
        scene: The row that names the file, its field, its areas and its background.
        legend: The classes; names or codes are matched.
        grid: Grid of the scene, or of the part that the row is about.

    Raises:
        SceneError: If a file cannot be read or holds other geometries.
        OptionError: If the field is not there.
        LegendError: If a class is none of the legend's.
        GridMismatch: If the scene has no CRS to take the polygons to.
    """

    def __init__(self, scene: LabelledScene, legend: Legend, grid: Grid) -> None:
        fields = (scene.field,) if scene.field else ("class", "class_id")
        layer = _layer(scene.label, grid, fields, legend)
        outline, notes = grid.outline(), layer.notes
        near = layer.near(outline)
        polygons, codes = layer.polygons[near], layer.codes[near]
        files = [(scene.label, near)]
        if scene.background is not None:  # below all polygons, those of code 255 too
            index = _index(scene.background, legend, f"the background of {scene.label}")
            polygons = np.array([outline, *polygons], dtype=object)
            codes = np.array([index, *codes], dtype=np.uint8)
        self._polygons = PolygonRaster(polygons, codes, grid)
        self._areas = None
        if scene.areas is not None:
            areas = _layer(scene.areas, grid, (), legend)
            near = areas.near(outline)
            self._areas = PolygonRaster(areas.polygons[near], areas.codes[near], grid)
            notes += areas.notes
            files.append((scene.areas, near))
        if scene.window is None:  # a part may well lie beside them all
            notes += tuple(
                f"{path} has no polygon in {scene.image}" for path, found in files if not len(found)
            )
        super().__init__((grid.height, grid.width), notes)

    def read(self, window: Window, shape: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
        """Class indices ``(h, w)`` of a window, 255 where unlabelled or beyond the scene."""
        size = shape or (int(window.height), int(window.width))
        part = inner_part(window, self.shape, size)
        indices = self._polygons.read(part.inside, part.shape)
        if self._areas is not None:
            indices[self._areas.read(part.inside, part.shape) == NODATA] = NODATA
        return np.pad(indices, part.pads, constant_values=NODATA)


@dataclass(frozen=True)
class _Layer:
    """Polygons of a whole file, the code of each, and what to know of the file."""

    polygons: npt.NDArray[np.object_]
    codes: npt.NDArray[np.uint8]
    notes: tuple[str, ...]
    tree: shapely.STRtree

    def near(self, outline: shapely.Polygon) -> npt.NDArray[np.int64]:
        """Numbers of the polygons that have a part of the outline, ascending."""
        return np.sort(self.tree.query(outline, predicate="intersects"))


def _layer(path: Path, grid: Grid, fields: tuple[str, ...], legend: Legend) -> _Layer:
    """The polygons of a file in the CRS of a grid, with class indices, or 0 without fields."""
    try:
        stats = path.stat()
        stamp = stats.st_size, stats.st_mtime_ns
    except OSError:  # reading it says what is wrong
        stamp = 0, 0
    return _read(path.absolute(), path, stamp, grid.crs, fields, legend)


@lru_cache(maxsize=FILES)
def _read(
    place: Path, path: Path, stamp: tuple[int, int], crs: CRS | None, fields: tuple[str, ...],
    legend: Legend,
) -> _Layer:  # fmt: skip
    features = read_features(path, Grid(1, 1, Affine.identity(), crs), fields)
    _require_polygons(path, features)
    if fields:
        codes = _indices(path, features, legend)
    else:
        codes = np.zeros(len(features.geometries), np.uint8)
    tree = shapely.STRtree(features.geometries)
    return _Layer(features.geometries, codes, features.notes, tree)


def _require_polygons(path: Path, features: Features) -> None:
    kinds = set(shapely.get_type_id(features.geometries).tolist())
    if not kinds <= {3, 6}:
        raise SceneError(f"{path} holds other geometries than polygons", expected="polygons")


def _indices(path: Path, features: Features, legend: Legend) -> npt.NDArray[np.uint8]:
    """Class index by polygon, from names or codes."""
    values, place = np.unique(features.values.astype(str), return_inverse=True)
    said = f"the field '{features.field}' of {path}"
    found = [_index(value, legend, said) for value in values.tolist()]
    return np.array(found, np.uint8)[place] if found else np.empty(0, np.uint8)


def _index(value: str, legend: Legend, place: str) -> int:
    """Class index of a name or a code; 255 for the code of nodata."""
    name = value.strip()
    if name in legend.names:
        return legend.names.index(name)
    code = name.removesuffix(".0")
    if code.isdecimal() and int(code) <= NODATA:
        index = int(legend.indices[int(code)])
        if index != NODATA or int(code) == NODATA:
            return index
    classes = ", ".join(f"{c.code} {c.name}" for c in legend)
    raise LegendError(f"{place} holds the class '{name}'", expected=classes)
