"""Scores of windows in the pixels of the scene, where the network saw them in others."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

Array = Any
"""A numpy array or a torch tensor."""


def enlarged(scores: Array, size: int, rows: slice, columns: slice) -> Array:
    """A part of class scores that are interpolated to ``(K, size, size)``.

    Bilinear between the centres of pixels, as torch's ``interpolate`` without ``align_corners``.
    Each value is worked out by itself, so it does not depend on the part that is asked for.

    Args:
        scores: Class scores ``(K, side, side)``, float32.
        size: Side to interpolate to, pixels.
        rows: Rows of the result that are wanted, with start and stop.
        columns: Columns of the result that are wanted, likewise.

    Returns:
        Scores ``(K, h, w)``; a view of ``scores`` where ``size`` is their own side.
    """
    if scores.shape[-1] == size:
        return scores[:, rows, columns]
    return _along(_along(scores, size, rows, 1), size, columns, 2)


def library(array: Array) -> Any:
    """numpy, or torch if the array is a tensor of it."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def _along(scores: Array, size: int, part: slice, axis: int) -> Array:
    side = scores.shape[axis]
    places = np.clip((np.arange(part.start, part.stop) + 0.5) * side / size - 0.5, 0, side - 1)
    first = places.astype(np.int64)
    shares = (places - first).astype(np.float32)
    if axis == 1:
        shares = shares[:, None]
    near = _taken(scores, first, axis)
    far = _taken(scores, np.minimum(first + 1, side - 1), axis)
    far -= near
    far *= _beside(scores, shares)
    near += far
    return near


def _taken(scores: Array, index: npt.NDArray[np.int64], axis: int) -> Array:
    if library(scores) is np:
        return np.take(scores, index, axis)
    return scores.index_select(axis, _beside(scores, index))


def _beside(scores: Array, values: npt.NDArray[Any]) -> Array:
    """The values where the scores are."""
    there = library(scores)
    return values if there is np else there.from_numpy(values).to(scores.device)
