"""Pansharpening: bands of coarse pixels and a band of fine ones as bands of fine pixels.

Gram-Schmidt adaptive (GSA; Aiazzi, Baronti and Selva, IEEE TGRS 45(10), 2007): the panchromatic
image, degraded as the multispectral sensor would see it, is regressed on the bands; the intensity
that the regression makes of the enlarged bands is what they already know of the panchromatic image;
the rest is detail, and goes to each band by its gain, its covariance with the intensity over the
intensity's variance. Two things are added. The gain is that of the 3 x 3 pixels around, drawn
towards the gain of the whole image where these hold little variance: fields differ in how a band
follows the intensity. And it is lessened by the share of the panchromatic variance that the bands
explain, as if regressed on the panchromatic image: what they do not know of is not magnified.

Coarse pixels are 4 x 4 fine ones exactly, and a pixel's value does not depend on the window it is
computed in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg.data.gaofen1.product import RATIO
from rsseg.data.gaofen1.resample import (
    FILL,
    LANCZOS,
    Floats,
    box_mean,
    degrade,
    enlarge,
    filled,
    reach,
)
from rsseg.errors import GridMismatch

SHRINKAGE = 0.3
"""Weight of the gain of the whole image against that of 3 x 3 pixels, as variance of the intensity
in shares of the whole image's; chosen on a town and on farmland."""
HALO = LANCZOS + 1 + FILL
"""Coarse pixels around a window that its values depend on: for the interpolation, the gains, and
what invalid ones are filled from."""


@dataclass(frozen=True)
class Moments:
    """Sums over coarse pixels, from which all that is global follows; they add up.

    Args:
        products: Sums of the products of ``(1, band 1, ..., band B)``, ``(1 + B, 1 + B)``.
        with_pan: Sums of their products with the degraded panchromatic image, ``(1 + B,)``.
        pan_squares: Sum of its squares.
    """

    products: npt.NDArray[np.float64]
    with_pan: npt.NDArray[np.float64]
    pan_squares: float

    @classmethod
    def of(cls, pan: Floats, mss: Floats, valid: npt.NDArray[np.bool_]) -> Moments:
        """The sums where valid, over degraded pan ``(h, w)`` and bands ``(B, h, w)``."""
        columns = np.empty((1 + len(mss), np.count_nonzero(valid)), np.float64)
        columns[0] = 1
        columns[1:] = mss[:, valid]
        row = pan[valid].astype(np.float64)
        return cls(columns @ columns.T, columns @ row, float(row @ row))

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.products + other.products,
            self.with_pan + other.with_pan,
            self.pan_squares + other.pan_squares,
        )


@dataclass(frozen=True)
class Fusion:
    """What the whole image tells of how the bands make the panchromatic image.

    Args:
        means: Mean of each band, ``(B,)``.
        weights: Weight of each band in the intensity, ``(B,)``.
        intercept: Intensity where all bands are at their mean.
        gains: Detail that goes to each band, ``(B,)``.
        variance: Variance of the intensity.
        explained: Its share of the variance of the degraded panchromatic image.
    """

    means: Floats
    weights: Floats
    intercept: np.float32
    gains: Floats
    variance: np.float32
    explained: np.float32

    @classmethod
    def fit(cls, moments: Moments) -> Fusion:
        """Least squares from the sums; all 0 where nothing is valid."""
        count = max(moments.products[0, 0], 1.0)
        means, mean_pan = moments.products[0, 1:] / count, moments.with_pan[0] / count
        covariance = moments.products[1:, 1:] / count - np.outer(means, means)
        with_pan = moments.with_pan[1:] / count - means * mean_pan
        weights = np.linalg.lstsq(covariance, with_pan, rcond=1e-10)[0]
        with_intensity = covariance @ weights
        variance = float(weights @ with_intensity)
        pan_variance = moments.pan_squares / count - mean_pan**2
        sound = variance > 1e-9 * mean_pan**2  # else it is rounding
        gains = with_intensity / variance if sound else np.zeros(len(means))
        return cls(
            means.astype(np.float32),
            weights.astype(np.float32),
            np.float32(mean_pan),
            gains.astype(np.float32),
            np.float32(variance if sound else 0),
            np.float32(min(variance / pan_variance, 1) if sound else 0),
        )


def pansharpen(pan: npt.NDArray[np.uint16], mss: npt.NDArray[np.uint16]) -> Floats:
    """Sharpen bands in memory.

    Args:
        pan: Panchromatic image ``(4 h, 4 w)``, 0 where invalid.
        mss: Bands ``(B, h, w)``, all 0 where invalid.

    Returns:
        Bands ``(B, 4 h, 4 w)`` in the units of ``mss``, NaN where invalid.

    Raises:
        GridMismatch: If the one is not four times the other.
    """
    if pan.shape != (RATIO * mss.shape[1], RATIO * mss.shape[2]):
        raise GridMismatch(
            f"a panchromatic image of {pan.shape} and bands of {mss.shape[1:]} pixels do not fit",
            expected=f"{RATIO} x {RATIO} panchromatic pixels for each",
        )
    margin = RATIO * reach()
    fusion = Fusion.fit(coarse_moments(np.pad(pan, margin), mss))
    around = ((0, 0), (HALO, HALO), (HALO, HALO))
    sharp, valid = sharpen(pan, np.pad(mss, around), fusion)
    sharp[:, ~valid] = np.nan
    return sharp


def coarse_moments(pan: npt.NDArray[np.uint16], mss: npt.NDArray[np.uint16]) -> Moments:
    """Sums over a window of coarse pixels.

    Args:
        pan: Panchromatic pixels of the window and of `reach` coarse pixels around, 0 where invalid.
        mss: Bands of the window ``(B, h, w)``, all 0 where invalid.
    """
    there = (pan > 0).astype(np.float32)
    weight = degrade(there)
    valid = (weight > 0.5) & np.any(mss > 0, axis=0)
    degraded = degrade(pan.astype(np.float32)) / np.maximum(weight, np.float32(0.5))
    return Moments.of(degraded.astype(np.float32), mss.astype(np.float32), valid)


def sharpen(
    pan: npt.NDArray[np.uint16], mss: npt.NDArray[np.uint16], fusion: Fusion
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Sharpen a window.

    Args:
        pan: Its panchromatic pixels ``(4 h, 4 w)``, 0 where invalid.
        mss: Its bands and those of `HALO` coarse pixels around, ``(B, h + 16, w + 16)``, all 0
            where invalid or beyond the image.
        fusion: What the whole image tells.

    Returns:
        Bands ``(B, 4 h, 4 w)``, and where they are valid ``(4 h, 4 w)``.
    """
    there = np.any(mss > 0, axis=0)
    bands = filled(mss - fusion.means[:, None, None], there)
    intensity = np.zeros_like(bands[0])
    for weight, band in zip(fusion.weights, bands, strict=True):
        intensity += weight * band
    detail = pan - fusion.intercept - enlarge(intensity[1:-1, 1:-1])
    mean = box_mean(intensity)
    shrunk = np.float32(SHRINKAGE) * fusion.variance
    spread = np.maximum(box_mean(intensity * intensity) - mean * mean, 0) + shrunk
    sharp = np.empty((len(bands), *pan.shape), np.float32)
    for index, (band, gain) in enumerate(zip(bands, fusion.gains, strict=True)):
        together = box_mean(band * intensity) - box_mean(band) * mean + shrunk * gain
        gains = np.divide(together, spread, out=np.zeros_like(spread), where=spread > 0)
        gains *= fusion.explained
        sharp[index] = enlarge(band[1:-1, 1:-1]) + fusion.means[index] + enlarge(gains) * detail
    inside = there[HALO:-HALO, HALO:-HALO]
    valid = inside.repeat(RATIO, axis=0).repeat(RATIO, axis=1) & (pan > 0)
    return sharp, valid
