"""Polygons of equal pixels.

They are built in pixel coordinates, where every corner is a whole number, then put on the ground.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from rasterio.features import shapes
from rasterio.io import DatasetReader

from rsseg.errors import OptionError
from rsseg.legend import NODATA

Polygons = npt.NDArray[np.object_]
"""Shapely geometries, ``(N,)``."""

_VERTICES_PER_BATCH = 400_000
"""Vertices held as Python numbers, about 100 bytes each."""


def polygonise(
    array: npt.NDArray[Any],
    transform: Affine,
    *,
    connectivity: int = 4,
    nodata: int | None = NODATA,
) -> tuple[Polygons, npt.NDArray[Any]]:
    """Polygons of equal pixels and their values; together they cover the valid pixels once.

    Args:
        array: Whole numbers of up to 32 bits, ``(H, W)``.
        transform: Affine from pixels to the ground.
        connectivity: 4 joins pixels that share an edge. 8 also joins those that share a corner
            only; where they do, the geometry is a MultiPolygon, since a polygon whose outline
            touches itself is not valid.
        nodata: Value that gets no polygon; None if every pixel counts.

    Returns:
        Valid geometries ``(N,)``, outer rings counter-clockwise, and their values ``(N,)`` in
        the type of the array.

    Raises:
        OptionError: If the array or the connectivity is none of these.
    """
    require_connectivity(connectivity)
    source = _as_gdal_takes(array)
    mask = None if nodata is None else array != nodata
    if array.size == 0 or (mask is not None and not mask.any()):
        return np.empty(0, dtype=object), np.empty(0, dtype=array.dtype)
    found = list(_outlines(shapes(source, mask, connectivity), connectivity))
    polygons = np.concatenate([outlines for outlines, _ in found])
    values = np.concatenate([values for _, values in found])
    return on_ground(polygons, transform), values.astype(array.dtype)


def outlines_of_band(
    dataset: DatasetReader, mask: npt.NDArray[np.uint8] | None, connectivity: int
) -> Iterator[tuple[Polygons, npt.NDArray[np.int64]]]:
    """Batches of polygons of the first band, in pixel coordinates, and their values.

    GDAL reads the band by lines; what it found is held by GDAL until the last batch.

    Args:
        dataset: An open raster of whole numbers.
        mask: Zero where pixels get no polygon, ``(H, W)``; None if all do.
        connectivity: 4 or 8.
    """
    found = shapes(rasterio.band(dataset, 1), mask, connectivity)
    # For a band, unlike for an array, GDAL applies the transform of the file by itself.
    to_pixels = ~dataset.transform
    for polygons, values in _outlines(found, connectivity, to_pixels):
        yield polygons, values.astype(np.int64)


def on_ground(outlines: Polygons, transform: Affine) -> Polygons:
    """Geometries from pixel coordinates to the ground, outer rings counter-clockwise there."""
    moved = shapely.transform(outlines, lambda points: _apply(transform, points))
    return np.asarray(shapely.orient_polygons(moved), dtype=object)


def require_connectivity(connectivity: int) -> None:
    """Check that pixels are joined by edges (4) or by edges and corners (8).

    Raises:
        OptionError: If it is another number.
    """
    if connectivity not in (4, 8):
        raise OptionError("the connectivity is unusable", expected="4 or 8", got=connectivity)


def _outlines(
    found: Iterator[tuple[dict[str, Any], float]],
    connectivity: int,
    to_pixels: Affine | None = None,
) -> Iterator[tuple[Polygons, npt.NDArray[np.float64]]]:
    """GDAL's polygons as shapely's, built in bulk: several times faster than one by one."""
    points: list[tuple[float, float]] = []
    ring_sizes: list[int] = []
    ring_counts: list[int] = []
    values: list[float] = []

    def batch() -> tuple[Polygons, npt.NDArray[np.float64]]:
        polygons = _build(points, ring_sizes, ring_counts, to_pixels)
        if connectivity == 8:
            polygons = _valid(polygons)
        done = polygons, np.array(values)
        for held in (points, ring_sizes, ring_counts, values):
            held.clear()
        return done

    for geometry, value in found:
        rings = geometry["coordinates"]
        for ring in rings:
            points.extend(ring)
            ring_sizes.append(len(ring))
        ring_counts.append(len(rings))
        values.append(value)
        if len(points) >= _VERTICES_PER_BATCH:
            yield batch()
    if values:
        yield batch()


def _build(
    points: list[tuple[float, float]],
    ring_sizes: list[int],
    ring_counts: list[int],
    to_pixels: Affine | None,
) -> Polygons:
    flat = np.fromiter(chain.from_iterable(points), dtype=np.float64, count=2 * len(points))
    corners = flat.reshape(-1, 2)
    if to_pixels is not None:
        corners = np.rint(_apply(to_pixels, corners))
    polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, corners, (_offsets(ring_sizes), _offsets(ring_counts))
    )
    return np.asarray(polygons, dtype=object)


def _offsets(sizes: list[int]) -> npt.NDArray[np.int64]:
    """Where each of the consecutive pieces starts, and where the last ends."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def _valid(polygons: Polygons) -> Polygons:
    """Outlines that touch themselves, which GDAL makes of corner neighbours, cut where they do.

    It is exact, since the points where they touch are corners of pixels: whole numbers.
    """
    touching = ~shapely.is_valid(polygons)
    polygons[touching] = shapely.make_valid(polygons[touching])
    return polygons


def _apply(transform: Affine, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # Not a matrix product: its rounding depends on the machine, and it wakes all its threads.
    x, y = points.T
    moved = np.empty_like(points)
    moved[:, 0] = transform.a * x + transform.b * y + transform.c
    moved[:, 1] = transform.d * x + transform.e * y + transform.f
    return moved


def _as_gdal_takes(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array in a type that GDAL polygonises without rounding.

    Raises:
        OptionError: If there is none.
    """
    if array.ndim != 2 or array.dtype.kind not in "iub":
        raise OptionError(
            "the array cannot be polygonised",
            expected="whole numbers of shape (H, W)",
            got=f"{array.dtype} of shape {array.shape}",
        )
    if array.dtype.name in ("uint8", "int16", "uint16", "int32"):
        return array
    if array.size and not -(2**31) <= int(array.min()) <= int(array.max()) < 2**31:
        raise OptionError("the array holds numbers of more than 32 bits")
    return array.astype(np.int32)
