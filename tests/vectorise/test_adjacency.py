"""Small regions decided from strips that were labelled each by itself: as over the whole raster."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsseg.vectorise import adjacency
from rsseg.vectorise.adjacency import Recoded, neighbours, recoded_in_strips
from rsseg.vectorise.dissolving import dissolved, dissolved_codes
from rsseg.vectorise.sieve import sieved, sieved_codes

sides = st.integers(1, 16)
maps = st.tuples(sides, sides).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, 255]))
)
WAYS = {"sieve": (sieved, sieved_codes), "min_area": (dissolved, dissolved_codes)}


def strips_of(array, rows):
    """The map as `ClassStrips` would give it."""

    def read(on_pixels, *, confidence):
        for row in range(0, len(array), rows):
            yield array[row : row + rows].copy(), None

    return read


def whole(strips):
    read = strips(lambda pixels: None, confidence=False)
    return np.concatenate([codes for codes, _ in read])


@settings(max_examples=80, deadline=None)
@given(
    maps,
    st.sampled_from(list(WAYS)),
    st.integers(2, 12),
    st.sampled_from([4, 8]),
    st.lists(st.integers(1, 9), min_size=1, max_size=8),
    st.integers(1, 4),
    st.booleans(),
)
def test_strips_are_recoded_as_the_whole(array, way, small, connectivity, sizes, rows, often):
    recoded, decide = WAYS[way]
    ends = np.unique(np.minimum(np.cumsum(np.resize(sizes, len(array))), len(array)))
    parts = [array[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adjacency, "_WORTH", 0 if often else 1 << 20)
        expected = recoded(strips_of(array, 100), small, connectivity, lambda pixels: None)
        found = [neighbours(strips_of(part, rows), connectivity, small, print) for part in parts]
        found = pickle.loads(pickle.dumps(found))
        codes = recoded_in_strips(found, connectivity, small, decide)
    assert len(codes) == len(parts)
    painted = [
        whole(Recoded(strips_of(part, rows), connectivity, table))
        for part, table in zip(parts, codes, strict=True)
    ]
    assert np.array_equal(np.concatenate(painted), whole(expected))
