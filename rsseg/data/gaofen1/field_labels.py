"""Field polygons as a class raster on a scene's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.windows import Window

from rsseg.data.datasets.class_tables import distinct
from rsseg.errors import SceneError
from rsseg.geo.features import PolygonRaster, read_features
from rsseg.geo.grid import Grid
from rsseg.geo.scene import Scene
from rsseg.geo.strips import Strip, assemble, write_strip
from rsseg.legend import NODATA, LandClass, Legend

_ROWS = 1024


@dataclass(frozen=True)
class FieldPolygons:
    """Polygons with a class.

    Args:
        path: A vector file.
        class_field: Name of the field that holds the class: names, or codes 0-254.
        background: Class of what lies in no polygon; unlabelled if None.
        areas: A vector file of what was annotated: outside of its polygons all is unlabelled.
        split: Split of the catalogue.
    """

    path: str | Path
    class_field: str
    background: str | None = None
    areas: str | Path | None = None
    split: str = "train"


@dataclass(frozen=True)
class FieldRaster:
    """Polygons on a grid, not yet written.

    Args:
        grid: Grid of the scene.
        legend: Classes of all polygons of the file, wherever they lie, and the background.
        fields: The polygons.
        areas: What was annotated; all if None.
        background: Code outside of polygons.
        notes: What the user should know of the files.
    """

    grid: Grid
    legend: Legend
    fields: PolygonRaster
    areas: PolygonRaster | None
    background: int
    notes: tuple[str, ...]

    @classmethod
    def read(cls, polygons: FieldPolygons, grid: Grid) -> FieldRaster | None:
        """Read polygons onto a grid; None if none, or no annotated area, lies there.

        Raises:
            SceneError: If a file cannot be read or holds other than polygons.
            OptionError: If there is no such field.
            LegendError: If codes are not 0-254.
        """
        found = read_features(polygons.path, grid, [polygons.class_field])
        _require_polygons(polygons.path, found.geometries)
        if not _touches(found.geometries, grid):
            return None
        legend, codes, background = _legend(found.values, polygons.background)
        notes, areas = found.notes, None
        if polygons.areas is not None:
            annotated = read_features(polygons.areas, grid, [])
            _require_polygons(polygons.areas, annotated.geometries)
            if not _touches(annotated.geometries, grid):
                return None
            everywhere = np.zeros(len(annotated.geometries), np.uint8)
            areas = PolygonRaster(annotated.geometries, everywhere, grid)
            notes += annotated.notes
        fields = PolygonRaster(found.geometries, codes, grid)
        return cls(grid, legend, fields, areas, background, notes)

    def codes(self, window: Window) -> npt.NDArray[np.uint8]:
        """Codes of a window ``(h, w)``, 255 where unlabelled."""
        codes = self.fields.read(window)
        codes[codes == NODATA] = self.background
        if self.areas is not None:
            codes[self.areas.read(window) == NODATA] = NODATA
        return codes

    def write(self, image: Path, out: Path, parts: Path) -> dict[str, int]:
        """Write the class raster of a scene, unlabelled where the scene is invalid.

        Args:
            image: The scene, on the grid.
            out: Target; its sidecars are written beside it.
            parts: An empty folder for strips.

        Returns:
            Pixels by class name.
        """
        strips, counts = [], np.zeros(256, np.int64)
        with Scene(image) as scene:
            for row in range(0, self.grid.height, _ROWS):
                rows = min(_ROWS, self.grid.height - row)
                window = Window(0, row, self.grid.width, rows)
                codes = self.codes(window)
                codes[~scene.valid(window)] = NODATA
                counts += np.bincount(codes.ravel(), minlength=256)
                strip = Strip(parts / f"label_{row}.tif", row, row + rows)
                write_strip(strip.path, codes[None])
                strips.append(strip)
        pixels = {c.code: int(counts[c.code]) for c in self.legend}
        assemble(strips, out, self.grid, self.legend, pixels, {})
        return {c.name: pixels[c.code] for c in self.legend}


def require_on_scenes(rasters: Sequence[FieldRaster | None], polygons: FieldPolygons) -> None:
    """Check that polygons lie on at least one scene.

    Raises:
        SceneError: If none does.
    """
    if not any(rasters):
        raise SceneError(
            f"no polygon of {polygons.path} lies on the ground of the scenes",
            remedy="check the CRS of the polygons",
        )


def _require_polygons(path: str | Path, geometries: npt.NDArray[np.object_]) -> None:
    kinds = set(shapely.get_type_id(geometries).tolist())
    if not kinds <= {shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON}:
        raise SceneError(f"{path} holds other geometries than polygons")


def _touches(geometries: npt.NDArray[np.object_], grid: Grid) -> bool:
    west, north = grid.transform @ (0, 0)
    east, south = grid.transform @ (grid.width, grid.height)
    frame = shapely.box(west, south, east, north)
    near = shapely.make_valid(geometries[shapely.STRtree(geometries).query(frame)])
    return bool(np.any(shapely.area(shapely.intersection(frame, near)) > 0))


def _legend(
    values: npt.NDArray[Any], background: str | None
) -> tuple[Legend, npt.NDArray[np.uint8], int]:
    """The classes, the code of each value, and the code of the background.

    Names get the codes 0, 1, ..., the background first; codes keep theirs.
    """
    kind = values.dtype.kind
    if kind in "iu" or (kind == "f" and (values % 1 == 0).all()):
        found = [int(value) for value in values]
        names = {code: f"class {code}" for code in sorted(set(found))}
        if background is not None and background not in names.values():
            names[next(code for code in range(len(names) + 1) if code not in names)] = background
    else:
        texts = [str(value).strip() for value in values]
        classes = sorted(set(texts))
        if background is not None and background not in classes:
            classes.insert(0, background)
        names = dict(enumerate(classes))
        table = {name: code for code, name in names.items()}
        found = [table[text] for text in texts]
    legend = Legend(
        tuple(LandClass(code, names[code], distinct(i)) for i, code in enumerate(sorted(names)))
    )
    outside = next((code for code, name in names.items() if name == background), NODATA)
    return legend, np.array(found, np.uint8), outside
