"""Fine pixels from coarse ones and back, coarse ones being 4 x 4 fine ones exactly.

Every sum of a pixel is taken tap by tap in one order, so that its value does not depend on the size
of the array it is computed in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from rsseg.data.gaofen1.product import RATIO

Floats = npt.NDArray[np.float32]

MTF = 0.3
"""What a multispectral sensor leaves of the contrast at its Nyquist frequency: the usual value
where that of the camera is not known."""
LANCZOS = 3
"""Coarse pixels at each side that `enlarge` uses up."""
FILL = 4
"""Pixels at each side that `filled` uses up."""


def degrade(image: Floats) -> Floats:
    """Fine pixels ``(..., H, W)`` as a sensor of 4 x 4 as large pixels sees them.

    A Gaussian that leaves `MTF` of the contrast at the coarse Nyquist frequency, taken at the
    centres of the coarse pixels; `reach` coarse pixels at each side are used up.
    """
    taps = _gaussian()
    for axis in (-2, -1):
        span = image.shape[axis] - len(taps) + 1
        image = _weighted((tap, _part(image, axis, i, span, RATIO)) for i, tap in enumerate(taps))
    return image


def reach() -> int:
    """Coarse pixels that `degrade` needs around each one."""
    return (len(_gaussian()) - RATIO) // 2 // RATIO


def enlarge(image: Floats) -> Floats:
    """Coarse pixels ``(..., h, w)`` as 4 x 4 fine ones each, by Lanczos interpolation.

    Three coarse pixels at each side are used up: ``(..., 4 (h - 6), 4 (w - 6))``.
    """
    for axis in (-2, -1):
        length = image.shape[axis] - 2 * LANCZOS
        phases = [
            _weighted((tap, _part(image, axis, i, length)) for i, tap in enumerate(taps) if tap)
            for taps in _phases()
        ]
        shape = list(phases[0].shape)
        shape[axis] *= RATIO
        image = np.stack(phases, axis=axis).reshape(shape)
    return image


def box_mean(image: Floats, radius: int = 1) -> Floats:
    """Mean of the square of pixels around each; ``radius`` at each side are used up."""
    size = 2 * radius + 1
    for axis in (-2, -1):
        length = image.shape[axis] - 2 * radius
        tap = np.float32(1 / size)
        image = _weighted((tap, _part(image, axis, i, length)) for i in range(size))
    return image


def filled(bands: Floats, there: npt.NDArray[np.bool_]) -> Floats:
    """Bands ``(B, h, w)``, invalid pixels filled by the mean of valid ones near.

    `FILL` pixels at each side are used up.
    """
    inner = (slice(FILL, -FILL),) * 2
    if there.all():
        return bands[:, *inner]
    share = box_mean(there.astype(np.float32), FILL)
    near = box_mean(np.where(there, bands, np.float32(0)), FILL)
    guess = np.divide(near, share, out=np.zeros_like(near), where=share > 0)
    return np.where(there[inner], bands[:, *inner], guess)


def _part(image: Floats, axis: int, start: int, length: int, step: int = 1) -> Floats:
    """Every ``step``-th pixel along an axis (-1 or -2)."""
    part = slice(start, start + length, step)
    return image[..., part] if axis == -1 else image[..., part, :]


def _weighted(parts: Iterable[tuple[np.float32, Floats]]) -> Floats:
    """Sum of arrays by weight, in their order."""
    total: Floats | None = None
    for tap, part in parts:
        if total is None:
            total = tap * part
        else:
            total += tap * part
    assert total is not None
    return total


def _gaussian() -> Floats:
    """Even taps, as many as whole coarse pixels take."""
    nyquist = 1 / (2 * RATIO)
    sigma = math.sqrt(-math.log(MTF) / 2) / (math.pi * nyquist)
    half = RATIO // 2 + RATIO * math.ceil((3.5 * sigma - RATIO / 2) / RATIO)
    taps = np.exp(-((np.arange(-half, half) + 0.5) ** 2) / (2 * sigma**2))
    return np.asarray(taps / taps.sum(), np.float32)


def _phases() -> Floats:
    """Taps ``(4, 7)`` of the fine pixels in a coarse one, at -3/8, -1/8, 1/8 and 3/8 of it."""
    places = (np.arange(RATIO) + 0.5) / RATIO - 0.5
    away = places[:, None] - np.arange(-LANCZOS, LANCZOS + 1)
    taps = np.where(np.abs(away) < LANCZOS, np.sinc(away) * np.sinc(away / LANCZOS), 0)
    return np.asarray(taps / taps.sum(axis=1, keepdims=True), np.float32)
