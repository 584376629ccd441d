"""Pansharpening of arrays: its laws, and its quality by Wald's protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.io import MemoryFile

from rsseg.data.gaofen1.pansharpening import Fusion, Moments, coarse_moments, pansharpen
from rsseg.data.gaofen1.resample import MTF, degrade, enlarge, reach
from rsseg.errors import GridMismatch

EDGE = 8
"""Fine pixels that `degrade` uses up at each side."""


def smooth(bands: int, size: int, seed: int = 0) -> np.ndarray:
    """Bands of numbers 100-900 that vary over a few pixels."""
    noise = np.random.default_rng(seed).normal(size=(bands, size + 8, size + 8))
    for axis in (1, 2):
        noise = np.apply_along_axis(np.convolve, axis, noise, np.ones(9) / 9, "valid")
    noise -= noise.min()
    return 100 + 800 * noise / noise.max()


# The parts


def test_degrading_and_enlarging_keep_a_constant() -> None:
    image = np.full((2, 60, 52), 700, np.float32)
    assert degrade(image).shape == (2, 11, 9)
    np.testing.assert_allclose(degrade(image), 700, rtol=1e-6)
    assert enlarge(image).shape == (2, 4 * 54, 4 * 46)
    np.testing.assert_allclose(enlarge(image), 700, rtol=1e-6)


def test_both_keep_places() -> None:
    """A slope keeps its values: coarse pixels lie in the middle of 4 x 4 fine ones."""
    row, column = np.mgrid[:64, :80].astype(np.float32) + 0.5
    slope = 3 * row + 5 * column
    coarse = degrade(slope)
    row, column = 4 * (np.mgrid[: coarse.shape[0], : coarse.shape[1]] + reach() + 0.5)
    np.testing.assert_allclose(coarse, 3 * row + 5 * column, rtol=1e-5)
    fine = enlarge(coarse)
    row, column = np.mgrid[: fine.shape[0], : fine.shape[1]] + 4 * (reach() + 3) + 0.5
    np.testing.assert_allclose(fine, 3 * row + 5 * column, atol=0.6, err_msg="a tenth of a pixel")


def test_degrading_leaves_the_contrast_that_the_sensor_leaves() -> None:
    """At the coarse Nyquist frequency, one cycle in 8 fine pixels, `MTF` is left."""
    column = np.arange(400) + 0.5
    wave = np.cos(2 * np.pi * (column - 2) / 8).astype(np.float32)
    coarse = degrade(np.tile(wave, (40, 1)))
    assert np.ptp(coarse, axis=0).max() < 1e-5
    np.testing.assert_allclose(np.abs(coarse), MTF, atol=0.005)


def test_enlarging_agrees_with_gdal() -> None:
    image = smooth(1, 40)[0].astype(np.float32)
    profile = {"driver": "GTiff", "count": 1, "height": 40, "width": 40, "dtype": "float32"}
    with MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.write(image, 1)
        with memory.open() as dataset:
            theirs = dataset.read(1, out_shape=(160, 160), resampling=Resampling.lanczos)
    np.testing.assert_allclose(enlarge(image), theirs[12:-12, 12:-12], rtol=2e-3)


def test_moments_add_up_and_give_least_squares() -> None:
    bands = smooth(4, 30).astype(np.float32)
    pan = (0.2 * bands[0] + 0.5 * bands[2] + 40 + smooth(1, 30, 1)[0] / 9).astype(np.float32)
    valid = np.random.default_rng(2).random((30, 30)) > 0.3
    parts = [
        Moments.of(pan[rows], bands[:, rows], valid[rows])
        for rows in (slice(0, 11), slice(11, 12), slice(12, 30))
    ]
    fusion = Fusion.fit(parts[0] + parts[1] + parts[2])
    design = np.concatenate([np.ones((1, valid.sum())), bands[:, valid]]).T
    solved = np.linalg.lstsq(design, pan[valid], rcond=None)[0]
    np.testing.assert_allclose(fusion.weights, solved[1:], rtol=1e-4)
    intensity = design @ solved
    gains = [np.cov(band, intensity)[0, 1] for band in bands[:, valid]] / intensity.var(ddof=1)
    np.testing.assert_allclose(fusion.gains, gains, rtol=1e-4)
    np.testing.assert_allclose(fusion.variance, intensity.var(), rtol=1e-4)


# The laws of the whole


def degraded_pair(scene: np.ndarray, pan: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coarse bands, the panchromatic image of the same ground, and the truth."""
    inner = (slice(EDGE, -EDGE),) * 2
    mss = np.rint(degrade(scene.astype(np.float32))).astype(np.uint16)
    return mss, np.rint(pan[inner]).astype(np.uint16), scene[:, *inner]


def test_without_detail_bands_are_only_enlarged() -> None:
    pan = np.full((80, 80), 500, np.uint16)
    mss = smooth(4, 20).astype(np.uint16)
    sharp = pansharpen(pan, mss)
    np.testing.assert_allclose(sharp[:, 12:-12, 12:-12], enlarge(mss.astype(np.float32)), rtol=1e-4)


def test_a_grey_scene_is_restored() -> None:
    """Where all bands are the panchromatic image, detail is known to rounding."""
    pan = np.rint(smooth(1, 120)[0])
    mss, pan, truth = degraded_pair(np.repeat(pan[None], 4, axis=0), pan)
    sharp = pansharpen(pan, mss)
    assert np.abs(sharp - truth).max() < 5
    assert np.abs(sharp - truth).mean() < 1


@given(
    gains=st.lists(st.floats(0.1, 3), min_size=4, max_size=4),
    offset=st.integers(0, 300),
    pan_gain=st.integers(1, 3),
)
def test_gains_and_offsets_go_through(gains, offset, pan_gain) -> None:
    """Calibrating before or after is the same, and the panchromatic image needs no calibration."""
    pan = smooth(1, 64, 3)[0].astype(np.uint16)
    mss = smooth(4, 16, 4)
    scale = np.array(gains)[:, None, None]
    plain = pansharpen(pan, np.rint(mss).astype(np.uint16))
    numbers = np.rint(20 * (scale * np.rint(mss) + offset))
    scaled = pansharpen((pan_gain * pan + offset).astype(np.uint16), numbers.astype(np.uint16))
    np.testing.assert_allclose(scaled / 20, scale * plain + offset, rtol=0.01, atol=0.5)


def test_the_order_of_bands_does_not_matter() -> None:
    pan, mss = smooth(1, 80, 5)[0].astype(np.uint16), smooth(4, 20, 6).astype(np.uint16)
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(
        pansharpen(pan, mss[order]), pansharpen(pan, mss)[order], rtol=1e-3, atol=0.1
    )


def test_invalid_pixels_stay_invalid_and_touch_no_other() -> None:
    """Next to a hole values stay in the range of the scene; 8 coarse pixels away all is equal."""
    pan, mss = smooth(1, 160, 7)[0].astype(np.uint16), smooth(4, 40, 8).astype(np.uint16)
    whole = pansharpen(pan, mss)
    holed_pan, holed = pan.copy(), mss.copy()
    holed[:, 10:14, 12:17] = 0
    holed_pan[100:103, 30:33] = 0
    sharp = pansharpen(holed_pan, holed)
    expected = np.zeros(pan.shape, bool)
    expected[40:56, 48:68] = expected[100:103, 30:33] = True
    np.testing.assert_array_equal(np.isnan(sharp), np.broadcast_to(expected, sharp.shape))
    assert np.nanmin(sharp) > whole.min() - 120
    assert np.nanmax(sharp) < whole.max() + 120
    assert np.nanmax(np.abs(sharp - whole)[:, :, 100:]) < 10, "only the sums have changed"


def test_what_has_nothing_to_do_with_the_bands_is_not_magnified() -> None:
    pan, mss = smooth(1, 160, 7)[0].astype(np.uint16), smooth(4, 40, 8).astype(np.uint16)
    added = pansharpen(pan, mss)[:, 12:-12, 12:-12] - enlarge(mss.astype(np.float32))
    assert added.std() < pan.std()


def test_nothing_valid_is_all_invalid() -> None:
    sharp = pansharpen(np.zeros((32, 32), np.uint16), np.zeros((4, 8, 8), np.uint16))
    assert np.isnan(sharp).all()


def test_other_sizes_are_refused() -> None:
    with pytest.raises(GridMismatch, match="4 x 4 panchromatic pixels"):
        pansharpen(np.ones((33, 32), np.uint16), np.ones((4, 8, 8), np.uint16))


def test_a_scene_of_one_coarse_pixel() -> None:
    sharp = pansharpen(np.full((4, 4), 9, np.uint16), np.full((4, 1, 1), 7, np.uint16))
    np.testing.assert_allclose(sharp, 7, rtol=1e-5)
    pan, mss = np.ones((4, 4), np.uint16), np.ones((4, 1, 1), np.uint16)
    assert coarse_moments(np.pad(pan, 4 * reach()), mss).products[0, 0] in (0, 1)


# Quality: degrade both images by 4, sharpen, compare with the bands as they were (Wald, Ranchin and
# Mangolini, PE&RS 63(6), 1997)


def ergas(sharp: np.ndarray, truth: np.ndarray) -> float:
    """Relative dimensionless global error, 0 is best (Wald, 2000)."""
    errors = ((sharp - truth) ** 2).mean(axis=(1, 2)) / truth.mean(axis=(1, 2)) ** 2
    return float(100 / 4 * np.sqrt(errors.mean()))


def spectral_angle(sharp: np.ndarray, truth: np.ndarray) -> float:
    """Mean angle between spectra, degrees, 0 is best."""
    lengths = np.sqrt((sharp**2).sum(0) * (truth**2).sum(0))
    cosine = (sharp * truth).sum(0) / np.maximum(lengths, 1e-9)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def quality(sharp: np.ndarray, truth: np.ndarray, side: int = 32) -> float:
    """Q, the universal image quality index, over blocks and bands, 1 is best (Wang, Bovik 2002)."""

    def blocks(image: np.ndarray) -> np.ndarray:
        rows, columns = (size // side for size in image.shape[1:])
        cut = image[:, : rows * side, : columns * side]
        cut = cut.reshape(len(image), rows, side, columns, side).swapaxes(2, 3)
        return cut.reshape(-1, side * side)

    x, y = blocks(sharp), blocks(truth)
    mean_x, mean_y = x.mean(1), y.mean(1)
    covariance = ((x - mean_x[:, None]) * (y - mean_y[:, None])).mean(1)
    below = (x.var(1) + y.var(1)) * (mean_x**2 + mean_y**2)
    return float((4 * covariance * mean_x * mean_y / np.maximum(below, 1e-9)).mean())


def bicubic(pan: np.ndarray, mss: np.ndarray) -> np.ndarray:
    """Bands enlarged by GDAL."""
    profile = {"driver": "GTiff", "count": len(mss), "dtype": "float32"}
    profile |= {"height": mss.shape[1], "width": mss.shape[2]}
    with MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.write(mss.astype(np.float32))
        with memory.open() as dataset:
            return dataset.read(out_shape=(len(mss), *pan.shape), resampling=Resampling.cubic)


def matched(pan: np.ndarray, intensity: np.ndarray) -> np.ndarray:
    return (pan - pan.mean()) / pan.std() * intensity.std() + intensity.mean()


def brovey(pan: np.ndarray, mss: np.ndarray) -> np.ndarray:
    bands = bicubic(pan, mss)
    intensity = bands.mean(axis=0)
    return bands * matched(pan, intensity) / np.maximum(intensity, 1)


def gram_schmidt(pan: np.ndarray, mss: np.ndarray) -> np.ndarray:
    """The plain one (US patent 6011875), the intensity being the mean of the bands."""
    bands = bicubic(pan, mss)
    intensity = bands.mean(axis=0)
    detail = matched(pan, intensity) - intensity
    gains = [np.cov(b.ravel(), intensity.ravel())[0, 1] / intensity.var(ddof=1) for b in bands]
    return bands + np.array(gains)[:, None, None] * detail


SCENES = {
    "town": ("zurich/sat_14.tif", (1, 2, 3, 4)),
    "farmland": ("scenes/naip_north_dakota_5m_rgbn.tif", (3, 2, 1, 4)),
}
"""Four-band scenes and the order in which they are blue, green, red, nir."""


def panchromatic(scene: np.ndarray) -> np.ndarray:
    """A panchromatic image of a scene that has none, which no weighted sum of its bands explains.

    The weights lean to the infrared as silicon does; then come a response that is not linear, a
    product of bands, and noise.
    """
    linear = np.tensordot([0.12, 0.26, 0.28, 0.34], scene, 1)
    mean = linear.mean()
    bent = mean * (linear / mean) ** 0.95 + 0.08 * np.sqrt(scene[1] * scene[3])
    return bent + np.random.default_rng(0).normal(0, 0.004 * mean, bent.shape)


def block_mean(scene: np.ndarray) -> np.ndarray:
    bands, height, width = scene.shape
    return scene.reshape(bands, height // 4, 4, width // 4, 4).mean(axis=(2, 4))


@pytest.mark.parametrize("sensor", ["as supposed", "sharper"])
@pytest.mark.parametrize("place", SCENES)
def test_it_beats_what_is_simpler_on_real_scenes(real_data, place, sensor) -> None:
    """On ERGAS, SAM and Q at once; where the sensor's MTF is twice the supposed one, on ERGAS."""
    name, order = SCENES[place]
    with rasterio.open(Path(real_data) / name) as dataset:
        scene = dataset.read(order).astype(np.float64)
    height, width = (size // 16 * 16 for size in scene.shape[1:])
    scene = scene[:, :height, :width]
    mss, pan, truth = degraded_pair(scene, panchromatic(scene))
    if sensor == "sharper":
        mss = np.rint(block_mean(truth)).astype(np.uint16)
    inner = (slice(16, -16),) * 2
    scores = {}
    for method in (pansharpen, bicubic, brovey, gram_schmidt):
        sharp, cut = method(pan, mss)[:, *inner], truth[:, *inner]
        scores[method] = ergas(sharp, cut), spectral_angle(sharp, cut), quality(sharp, cut)
    ours = scores.pop(pansharpen)
    for method, theirs in scores.items():
        assert ours[0] < theirs[0], method
        if sensor == "as supposed" or method is not gram_schmidt:
            assert ours[1] < theirs[1], method
            assert ours[2] > theirs[2], method


def test_the_measures_know_a_perfect_image() -> None:
    truth = smooth(4, 64)
    scores = ergas(truth, truth), spectral_angle(truth, truth), quality(truth, truth)
    np.testing.assert_allclose(scores, [0, 0, 1], atol=1e-5)
    worse = truth + np.random.default_rng(0).normal(0, 30, truth.shape)
    assert ergas(worse, truth) > 0.5
    assert spectral_angle(worse, truth) > 1
    assert quality(worse, truth) < 0.99
    np.testing.assert_allclose(ergas(1.1 * truth, truth), 2.5, rtol=0.2)
    assert spectral_angle(1.1 * truth, truth) < 1e-4
