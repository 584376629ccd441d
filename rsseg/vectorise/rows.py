"""What a vector layer of polygons holds: its properties, and its rows batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.crs import CRS

from rsseg.vectorise.polygons import Polygons

_BATCH = 65_536
"""Polygons in a batch, at most."""
_POINTS = 4_000_000
"""Points in a batch, 64 MB, unless one polygon has more."""


@dataclass(frozen=True)
class Layer:
    """A layer to write.

    Args:
        name: Its name in the file.
        crs: Coordinate reference system of its polygons.
        multi: Whether all geometries are MultiPolygons, or all are Polygons.
        confidence: Whether there is a column ``mean_conf``.
    """

    name: str
    crs: CRS
    multi: bool = False
    confidence: bool = False

    @property
    def fields(self) -> dict[str, type]:
        """Name and type of each column beside the geometry."""
        fields = {"class_id": np.int32, "class": str, "area_m2": float, "perimeter_m": float}
        return fields | ({"mean_conf": float} if self.confidence else {})

    @property
    def geometry_type(self) -> str:
        """The one type of its geometries."""
        return "MultiPolygon" if self.multi else "Polygon"


@dataclass(frozen=True)
class Rows:
    """Polygons on the ground with their fields, ``(N,)`` each.

    Args:
        wkb: Geometries in the CRS of the layer, all of its type, as well-known binary.
        corners: Points of each, int64.
        boxes: Their bounds, ``(N, 4)``.
        codes: Class codes, int32.
        names: Class names.
        areas: m², float64.
        perimeters: m, float64.
        confidence: Mean confidence 0-1, float64, NaN where there is none; None without a raster.
    """

    wkb: npt.NDArray[np.object_]
    corners: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]
    codes: npt.NDArray[np.int32]
    names: npt.NDArray[np.object_]
    areas: npt.NDArray[np.float64]
    perimeters: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        polygons: Polygons,
        codes: npt.NDArray[np.int32],
        names: npt.NDArray[np.object_],
        areas: npt.NDArray[np.float64],
        perimeters: npt.NDArray[np.float64],
        confidence: npt.NDArray[np.float64] | None = None,
        *,
        multi: bool = False,
    ) -> Rows:
        """Those of geometries.

        Args:
            polygons: Polygons and MultiPolygons.
            codes: See above, as all that follow.
            names: See above.
            areas: See above.
            perimeters: See above.
            confidence: See above.
            multi: Whether all become MultiPolygons.
        """
        if multi:
            parts, owners = shapely.get_parts(polygons, return_index=True)
            polygons = np.asarray(shapely.multipolygons(parts, indices=owners), dtype=object)
        corners, boxes = shapely.get_num_coordinates(polygons), shapely.bounds(polygons)
        wkb = np.asarray(shapely.to_wkb(polygons), dtype=object)
        return cls(wkb, corners, boxes, codes, names, areas, perimeters, confidence)

    @property
    def polygons(self) -> Polygons:
        """The geometries."""
        return np.asarray(shapely.from_wkb(self.wkb), dtype=object)

    def __len__(self) -> int:
        return len(self.wkb)

    def __getitem__(self, part: slice | npt.NDArray[np.int64]) -> Rows:
        confidence = None if self.confidence is None else self.confidence[part]
        return Rows(
            self.wkb[part],
            self.corners[part],
            self.boxes[part],
            self.codes[part],
            self.names[part],
            self.areas[part],
            self.perimeters[part],
            confidence,
        )

    @property
    def values(self) -> tuple[npt.NDArray[Any], ...]:
        """The columns in the order of `Layer.fields`."""
        values = self.codes, self.names, self.areas, self.perimeters
        return values if self.confidence is None else (*values, self.confidence)


def on_ground(outlines: Polygons, transform: Affine) -> Polygons:
    """Geometries from pixel coordinates to the ground.

    Outer rings that run counter-clockwise as seen on the raster, with y downward, do so there.
    """
    moved = shapely.transform(outlines, lambda x, y: transform @ (x, y), interleaved=False)
    return np.asarray(shapely.reverse(moved) if transform.determinant > 0 else moved, dtype=object)


def regrouped(rows: Iterable[Rows]) -> Iterator[Rows]:
    """The same rows in batches that do not depend on how they came, so that files do not either."""
    held: list[Rows] = []
    count = points = 0
    for batch in rows:
        sizes = batch.corners
        start = 0
        while start < len(batch):
            # how many more fit: by number, and by points, but at least one in a batch
            room = np.searchsorted(np.cumsum(sizes[start:]) + points, _POINTS, side="right")
            taken = min(int(room), _BATCH - count, len(batch) - start)
            taken = max(taken, int(count == 0))
            if taken:
                held.append(batch[start : start + taken])
                count += taken
                points += int(sizes[start : start + taken].sum())
                start += taken
            if start < len(batch):
                yield joined(held)
                held, count, points = [], 0, 0
    if held:
        yield joined(held)


def joined(batches: Sequence[Rows]) -> Rows:
    """Batches, of which there is at least one, as one."""
    columns = zip(*((b.wkb, b.corners, b.boxes, *b.values) for b in batches), strict=True)
    return Rows(*map(np.concatenate, columns))
