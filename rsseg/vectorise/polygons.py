"""Polygons of equal pixels.

They are built in pixel coordinates, where every corner is a whole number, then put on the ground.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine

from rsseg.errors import OptionError
from rsseg.legend import NODATA
from rsseg.vectorise.assembling import Assembler, Rings

Polygons = npt.NDArray[np.object_]
"""Shapely geometries, ``(N,)``."""

_NO_VALUE = 1 << 40
_STRIP = 1 << 22
"""Pixels taken at once."""


def polygonise(
    array: npt.NDArray[Any],
    transform: Affine,
    *,
    connectivity: int = 4,
    nodata: int | None = NODATA,
) -> tuple[Polygons, npt.NDArray[Any]]:
    """Polygons of equal pixels and their values; together they cover the valid pixels once.

    There is a vertex wherever three or more of them meet, so neighbours share whole edges: with
    connectivity 4 they are a valid coverage (``shapely.coverage_is_valid``).

    Args:
        array: Whole numbers of up to 32 bits, ``(H, W)``.
        transform: Affine from pixels to the ground.
        connectivity: 4 joins pixels that share an edge. 8 also joins those that share a corner
            only; where they do, the geometry is a MultiPolygon, since a polygon whose outline
            touches itself is not valid.
        nodata: Value that gets no polygon; None if every pixel counts.

    Returns:
        Valid geometries ``(N,)``, outer rings counter-clockwise, in the order of the rows where
        they end, and their values ``(N,)`` in the type of the array.

    Raises:
        OptionError: If the array or the connectivity is none of these.
    """
    require_connectivity(connectivity)
    _require_whole_numbers(array)
    void = _NO_VALUE if nodata is None else int(nodata)
    # One type for all that is wider, so that the kernels are compiled twice at most.
    numbers = array if array.dtype == np.uint8 else array.astype(np.int32)
    assembler = Assembler(*array.shape, void=void, connectivity=connectivity)
    rows = max(1, _STRIP // max(1, array.shape[1]))

    def batches() -> Iterator[Rings]:
        for row in range(0, len(numbers), rows):
            yield from assembler.add(numbers[row : row + rows])
        yield from assembler.finish()

    def built(rings: Rings) -> tuple[Polygons, npt.NDArray[np.int64]]:
        return build(rings, transform), rings.codes

    # Building holds Python's lock, what comes before it does not.
    with ThreadPoolExecutor(1) as builder:
        found = list(builder.map(built, batches()))
    polygons = np.concatenate([np.empty(0, dtype=object), *(polygons for polygons, _ in found)])
    values = np.concatenate([np.empty(0, np.int64), *(codes for _, codes in found)])
    return polygons, values.astype(array.dtype)


def build(rings: Rings, transform: Affine | None = None) -> Polygons:
    """Geometries from their coordinates, put on the ground if there is a transform.

    Outer rings run counter-clockwise there; in pixel coordinates, where y grows downward, they do
    so as seen on the map.
    """
    points, polygons = rings.points, rings.polygons
    if transform is not None:
        points = _apply(transform, points)
        if transform.determinant > 0:
            points = _reversed(points, rings.rings)
    built = shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (rings.rings, polygons))
    several = np.diff(rings.groups) > 1
    geometries = np.asarray(built, dtype=object)[rings.groups[:-1]]
    if several.any():
        owners = np.repeat(np.arange(len(several)), np.diff(rings.groups))
        apart = several[owners]
        _, places = np.unique(owners[apart], return_inverse=True)
        geometries[several] = shapely.multipolygons(np.asarray(built)[apart], indices=places)
    return geometries


def require_connectivity(connectivity: int) -> None:
    """Check that pixels are joined by edges (4) or by edges and corners (8).

    Raises:
        OptionError: If it is another number.
    """
    if connectivity not in (4, 8):
        raise OptionError("the connectivity is unusable", expected="4 or 8", got=connectivity)


def require_amount(name: str, value: float, unit: str) -> None:
    """Check that an option is a finite number of 0 or more.

    Raises:
        OptionError: If it is not.
    """
    if not (math.isfinite(value) and value >= 0):
        raise OptionError(f"{name} is unusable", expected=f">= 0 {unit}", got=value)


def _apply(transform: Affine, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # Not a matrix product: its rounding depends on the machine, and it wakes all its threads.
    x, y = points.T
    moved = np.empty_like(points)
    moved[:, 0] = transform.a * x + transform.b * y + transform.c
    moved[:, 1] = transform.d * x + transform.e * y + transform.f
    return moved


def _reversed(
    points: npt.NDArray[np.float64], rings: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The points of each ring in the other direction."""
    sizes = np.diff(rings)
    return points[np.repeat(rings[:-1] + rings[1:] - 1, sizes) - np.arange(len(points))]


def _require_whole_numbers(array: npt.NDArray[Any]) -> None:
    """Check that an array holds what polygons are made of.

    Raises:
        OptionError: If it does not.
    """
    if array.ndim != 2 or array.dtype.kind not in "iub":
        raise OptionError(
            "the array cannot be polygonised",
            expected="whole numbers of shape (H, W)",
            got=f"{array.dtype} of shape {array.shape}",
        )
    wide = array.dtype.itemsize >= 4 and array.size
    if wide and not -(2**31) <= int(array.min()) <= int(array.max()) < 2**31:
        raise OptionError("the array holds numbers of more than 32 bits")
