"""Batches of rows: the same however they come, and bounded."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from rsseg.vectorise import rows
from rsseg.vectorise.rows import Rows, regrouped


def table(sizes):
    """Polygons of so many points each."""
    ones = np.ones(len(sizes))
    polygons = [
        shapely.Polygon([(np.cos(a), np.sin(a)) for a in np.arange(size - 1) / size * 6])
        for size in sizes
    ]
    codes = np.arange(len(sizes), dtype=np.int32)
    return Rows.of(np.array(polygons, object), codes, codes.astype(object), ones, ones)


@given(st.lists(st.integers(4, 30), max_size=25), st.lists(st.integers(1, 9), min_size=1))
def test_batches_are_bounded_and_do_not_depend_on_cuts(sizes, cuts):
    whole = table(sizes)
    ends = np.cumsum(np.resize(cuts, max(len(sizes), 1)))
    parts = [whole[a:b] for a, b in zip([0, *ends], [*ends, None], strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_BATCH", 6)
        patch.setattr(rows, "_POINTS", 40)
        once = list(regrouped([whole]))
        found = list(regrouped(part for part in parts if len(part)))
    assert [len(batch) for batch in found] == [len(batch) for batch in once]
    assert [code for batch in found for code in batch.codes] == list(range(len(sizes)))
    for batch in found:
        points = shapely.get_num_coordinates(batch.polygons).sum()
        assert 0 < len(batch) <= 6
        assert points <= 40 or len(batch) == 1
        assert all(len(column) == len(batch) for column in batch.values)
    for batch, following in zip(found, found[1:], strict=False):  # no smaller than they must be
        points = shapely.get_num_coordinates(batch.polygons).sum()
        more = shapely.get_num_coordinates(following.polygons)[0]
        assert len(batch) == 6 or points + more > 40
