"""Strips that are traced each by itself and joined: the polygons of the whole raster."""

import pickle

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsseg.vectorise import assembling
from rsseg.vectorise.assembling import Assembler
from rsseg.vectorise.joining import Joiner, StripAssembler
from rsseg.vectorise.polygons import build

maps = st.tuples(st.integers(1, 14), st.integers(1, 12)).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 255]))
)
coarse = maps.map(lambda array: np.kron(array, np.ones((3, 2), np.uint8)))
cuts = st.lists(st.integers(1, 9), min_size=1, max_size=8)
connectivities = st.sampled_from([4, 8])
SPIRAL = np.array(
    [
        [1, 1, 1, 1, 1, 1, 1],
        [1, 0, 0, 0, 0, 0, 1],
        [1, 0, 1, 1, 1, 0, 1],
        [1, 0, 1, 0, 1, 0, 1],
        [1, 0, 1, 0, 0, 0, 1],
        [1, 0, 1, 1, 1, 1, 1],
        [1, 0, 0, 0, 0, 0, 0],
    ],
    np.uint8,
)
CHESS = np.indices((6, 7)).sum(axis=0).astype(np.uint8) % 2
BARS = np.tile(np.array([0, 1, 255], np.uint8), (9, 2))
DIAGONAL = np.where(np.eye(8), 1, 0).astype(np.uint8)


def table(batches):
    """Geometries, codes, means and keys."""
    return (
        np.concatenate([np.empty(0, object), *map(build, batches)]),
        np.concatenate([np.empty(0, int), *(batch.codes for batch in batches)]),
        np.concatenate([np.empty(0), *(batch.confidence for batch in batches)]),
        np.concatenate([np.empty((0, 3), int), *(batch.keys for batch in batches)]),
    )


def whole(array, shares, options):
    assembler = Assembler(*array.shape, void=255, **options)
    return table([*assembler.add(array, shares), *assembler.finish()])


def in_strips(array, shares, sizes, rows, options):
    """The same from strips of so many rows, each read so many rows at once."""
    joiner, batches, top = Joiner(*array.shape, void=255, **options), [], 0
    for size in np.resize(sizes, len(array)):
        end = min(top + size, len(array))
        if top < end:
            strip = StripAssembler(*array.shape, void=255, top=top, **options)
            for row in range(top, end, rows):
                part = slice(row, min(row + rows, end))
                batches += strip.add(array[part], shares[part])
            batches += strip.finish()
            batches += joiner.join(pickle.loads(pickle.dumps(strip.open))) or ()
        top = end
    return table([*batches, *joiner.finish()])


@pytest.fixture(autouse=True)
def _let_go_early(monkeypatch):
    monkeypatch.setattr(assembling, "_WORTH", 0)
    monkeypatch.setattr(assembling, "_POINTS", 20)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(maps, coarse),
    cuts,
    st.integers(1, 4),
    connectivities,
    st.sampled_from([0, 1.5]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@example(SPIRAL, [1], 1, 4, 0, False, 0)
@example(SPIRAL, [3], 2, 8, 1.5, True, 0)
@example(CHESS, [2], 1, 8, 0, False, 0)
@example(CHESS, [1], 1, 4, 0, False, 0)
@example(BARS, [4], 3, 4, 0, False, 0)
@example(DIAGONAL, [3], 3, 8, 0, False, 0)
def test_joined_strips_are_the_whole(array, sizes, rows, connectivity, simplify, smooth, seed):
    options = {"connectivity": connectivity, "simplify": simplify, "smooth": smooth}
    shares = np.random.default_rng(seed).choice(np.array([0, 7, 254, 255], np.uint8), array.shape)
    expected = whole(array, shares, options)
    found = in_strips(array, shares, sizes, rows, options)
    order = np.lexsort(found[3].T[::-1])
    polygons, codes, means, keys = (column[order] for column in found)
    assert shapely.equals_identical(polygons, expected[0]).all()
    assert len(polygons) == len(expected[0])
    assert np.array_equal(codes, expected[1])
    assert np.array_equal(means, expected[2], equal_nan=True)
    assert np.array_equal(keys, expected[3])
    assert np.array_equal(np.lexsort(expected[3].T[::-1]), np.arange(len(keys)))
