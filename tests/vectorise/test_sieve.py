"""`sieved`: pixel for pixel what GDAL makes of the whole raster."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.features import sieve

from rsseg.vectorise import adjacency
from rsseg.vectorise.sieve import sieved

sides = st.integers(1, 16)
maps = st.tuples(sides, sides).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, 255]))
)


def strips_of(array, rows):
    """The map as `ClassStrips` would give it."""

    def read(on_pixels, *, confidence):
        for row in range(0, len(array), rows):
            codes = array[row : row + rows].copy()
            yield codes, codes if confidence else None
            on_pixels(codes.size)

    return read


def whole(strips, on_pixels=lambda pixels: None):
    return np.concatenate([codes for codes, _ in strips(on_pixels, confidence=False)])


@settings(max_examples=200)
@given(maps, st.integers(2, 12), st.sampled_from([4, 8]), st.integers(1, 16), st.booleans())
def test_it_is_gdals(array, threshold, connectivity, rows, often):
    assume(threshold < array.size)  # rasterio refuses others
    expected = sieve(array, threshold, mask=array != 255, connectivity=connectivity)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adjacency, "_WORTH", 0 if often else 1 << 20)
        found = sieved(strips_of(array, rows), threshold, connectivity, lambda pixels: None)
    assert np.array_equal(whole(found), expected)
    assert np.array_equal(whole(found), expected), "read again"


def test_it_is_gdals_on_a_noisy_map():
    random = np.random.default_rng(0)
    array = np.kron(random.integers(0, 5, (60, 60)), np.ones((5, 5))).astype(np.uint8)
    noise = random.random(array.shape) < 0.1
    array[noise] = random.integers(0, 5, noise.sum())
    for connectivity in (4, 8):
        found = sieved(strips_of(array, 37), 40, connectivity, lambda pixels: None)
        assert np.array_equal(whole(found), sieve(array, 40, connectivity=connectivity))


def test_pixels_are_counted_and_confidence_goes_through():
    done = []
    array = np.zeros((5, 4), np.uint8)
    found = sieved(strips_of(array, 2), 3, 4, done.append)
    assert done == [8, 8, 4]
    assert [shares.shape for _, shares in found(lambda pixels: None, confidence=True)] == [
        (2, 4),
        (2, 4),
        (1, 4),
    ]
