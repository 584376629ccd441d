"""Polygons as labels of scenes: looked through, never rasterised here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import shapely

from rsseg.data.catalogue import LabelledScene
from rsseg.data.datasets.class_tables import distinct, read_classes
from rsseg.data.datasets.mask_labels import MOST
from rsseg.data.datasets.matching import Found, Key
from rsseg.errors import LegendError, SceneError
from rsseg.geo.features import Features, read_features
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.legend import NODATA, LandClass, Legend

FIELDS = ("class", "class_id")
"""Fields that hold the class, unless one is named."""

_POLYGONS = (3, 6)


class PolygonLabels:
    """The polygons of images, looked through and found to fit.

    Images that no polygon labels are left out.

    Args:
        images: The images.
        polygons: Vector file by what an image goes by.
        areas: Vector file of what was annotated, likewise; empty if there is none.
        field: Field with the class; the first of `FIELDS` if None.
        background: Class of what lies in no polygon, or None.
        classes: The classes as text, see `read_classes`, or None.

    Raises:
        SceneError: If a file cannot be read, or holds others than polygons.
        OptionError: If it has no field with the class.
        GridMismatch: If it has a CRS and an image has none.
        LegendError: If a polygon or the background is no class.
    """

    def __init__(
        self,
        images: Sequence[Found],
        polygons: Mapping[Key, Path],
        areas: Mapping[Key, Path],
        *,
        field: str | None,
        background: str | None,
        classes: str | None,
    ) -> None:
        files = _PolygonFiles(field)
        self._polygons, self._areas, self._background = polygons, areas, background
        self.images: list[Found] = []
        self.left_out: list[str] = []
        found: dict[Path, Features] = {}
        bare = 0
        for image in images:
            path, within = polygons[image.key], areas.get(image.key)
            found[path], labelled = files.reaching(path, image.path, classified=True)
            what = "polygon"
            if background is not None:
                what = "annotated area"
                bare += within is None and not labelled
                labelled = within is None or files.reaching(within, image.path, classified=False)[1]
            if labelled:
                self.images.append(image)
            else:
                self.left_out.append(f"{image.path}: no {what} reaches it")
        self._field = {path: features.field for path, features in found.items()}
        self.notes = list(files.notes)
        if bare:
            self.notes.append(f"no polygon reaches {bare} of the images: all '{background}'")
        if classes is None:
            self.legend, note = _legend(list(found.values()), background)
            self.notes.append(note)
            return
        self.legend = read_classes(classes).legend
        for path, features in found.items():
            _check(path, features, self.legend)
        if background is not None and background not in self.legend.names:
            raise LegendError(
                f"the background '{background}' is no class", expected=", ".join(self.legend.names)
            )

    def scene(
        self, image: Found, taken: Path, split: str, group: str, label: Path
    ) -> LabelledScene:
        """The row of an image; ``label`` is not needed, as the polygons stay where they are."""
        path = self._polygons[image.key]
        areas = self._areas.get(image.key)
        return LabelledScene(taken, path, split, group, self._field[path], areas, self._background)


class _PolygonFiles:
    """Vector files of polygons, each read once for a coordinate system."""

    def __init__(self, field: str | None) -> None:
        self._fields = FIELDS if field is None else (field,)
        self._read: dict[tuple[Path, bool, str], tuple[Features, shapely.STRtree]] = {}
        self.notes: dict[str, None] = {}

    def reaching(self, path: Path, image: Path, *, classified: bool) -> tuple[Features, bool]:
        """Polygons in the CRS of an image, and whether one of them shares ground with it."""
        with open_raster(image) as dataset:
            grid = Grid.of(dataset)
        key = (path, classified, grid.crs.to_wkt() if grid.crs else "")
        if key not in self._read:
            features = self._features(path, grid, classified)
            self._read[key] = features, shapely.STRtree(features.geometries)
        features, tree = self._read[key]
        corners = [(0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height)]
        frame = shapely.Polygon([grid.transform @ corner for corner in corners])
        near = shapely.make_valid(features.geometries[tree.query(frame)])
        return features, bool(np.any(shapely.area(shapely.intersection(frame, near)) > 0))

    def _features(self, path: Path, grid: Grid, classified: bool) -> Features:
        fields = self._fields if classified else ()
        features = read_features(path, grid, fields, remedy="name it with --class-field")
        if not np.isin(shapely.get_type_id(features.geometries), _POLYGONS).all():
            raise SceneError(f"{path} holds points or lines", expected="polygons only")
        self.notes |= dict.fromkeys(features.notes)
        return features


def _legend(files: Sequence[Features], background: str | None) -> tuple[Legend, str]:
    """The classes of polygons that nobody listed, and a sentence on where they are from.

    Names get the codes 0, 1, ..., the background first; codes keep theirs.
    """
    values = sorted({_text(value) for features in files for value in features.values})
    if not 0 < len(values) <= MOST:
        raise LegendError(
            f"the polygons have {len(values):,} different classes",
            expected=f"1-{MOST}",
            remedy="name another field, --class-field, or list the classes, --classes",
        )
    if all(value.isdecimal() for value in values):
        codes = {int(value): f"class {int(value)}" for value in values}
        if background is not None:
            codes[next(code for code in range(NODATA) if code not in codes)] = background
    else:
        names = [background] if background is not None and background not in values else []
        codes = dict(enumerate([*names, *values]))
    classes = [LandClass(c, name, distinct(i)) for i, (c, name) in enumerate(sorted(codes.items()))]
    legend = Legend(tuple(classes))
    return legend, f"no classes were listed: the polygons have {', '.join(legend.names)}"


def _check(path: Path, features: Features, legend: Legend) -> None:
    """See that every polygon has a class of the legend, by name or by code."""
    codes = {str(int(code)) for code in legend.codes}
    for value in sorted({_text(value) for value in features.values}):
        if value not in legend.names and value not in codes:
            raise LegendError(
                f"{path} holds '{value}' in the field '{features.field}', which is no class",
                expected=", ".join(legend.names),
                remedy="list it with --classes",
            )


def _text(value: object) -> str:
    """A class as text; codes that a file holds as decimal numbers without their point."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()
