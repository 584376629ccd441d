"""One band: any parts give what numpy gives for the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rsseg.data.band_statistics import BandCounter, count_bytes

SMALL = ["uint8", "int8", "uint16", "int16"]
LARGE = ["int32", "uint32", "float32", "float64"]


def _numbers(dtype):
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return st.floats(-(2.0**99), 2.0**99, width=32).map(lambda v: 0.0 if abs(v) < 1e-30 else v)
    limits = np.iinfo(kind)
    return st.integers(int(limits.min), int(limits.max))


def _counted(values, cuts):
    counter = BandCounter.of(values.dtype)
    for part in np.split(values, sorted(cut % (len(values) + 1) for cut in cuts)):
        counter.update(part)
    return counter.result("b")


@given(data=st.data(), dtype=st.sampled_from(SMALL), cuts=st.lists(st.integers(0, 200), max_size=4))
def test_small_integers_are_exact(data, dtype, cuts):
    values = data.draw(arrays(dtype, st.integers(1, 200), elements=_numbers(dtype)))
    found, exact = _counted(values, cuts), values.astype(np.float64)
    assert found.name == "b"
    assert found.mean == pytest.approx(exact.mean(), rel=1e-12, abs=1e-12)
    assert found.std == pytest.approx(exact.std(), rel=1e-9, abs=1e-9)
    assert (found.minimum, found.maximum) == (exact.min(), exact.max())
    assert [found.p2, found.p98] == pytest.approx(np.percentile(exact, [2, 98]), rel=1e-12)


@given(data=st.data(), dtype=st.sampled_from(LARGE), cuts=st.lists(st.integers(0, 200), max_size=4))
def test_other_types_are_merged_and_their_percentiles_are_near(data, dtype, cuts):
    values = data.draw(arrays(dtype, st.integers(1, 200), elements=_numbers(dtype)))
    found, exact = _counted(values, cuts), values.astype(np.float64)
    size = np.abs(exact).max()
    assert found.mean == pytest.approx(exact.mean(), rel=1e-9, abs=1e-12 * size)
    assert found.std == pytest.approx(exact.std(), rel=1e-9, abs=1e-9 * size)
    assert (found.minimum, found.maximum) == (exact.min(), exact.max())
    for mine, part in ((found.p2, 0.02), (found.p98, 0.98)):
        around = (
            np.percentile(exact, 100 * part, method="lower"),
            np.percentile(exact, 100 * part, method="higher"),
        )
        slack = 5e-4 * max(abs(around[0]), abs(around[1]))
        assert around[0] - slack <= mine <= around[1] + slack


def test_a_large_mean_does_not_swallow_the_deviation():
    values = 1e6 + np.random.default_rng(0).normal(0, 0.1, 100_000)
    found = _counted(values, [10, 99, 5000, 60_000])
    assert found.std == pytest.approx(values.std(), rel=1e-6)
    assert found.p98 == pytest.approx(np.percentile(values, 98), rel=5e-4)


def test_more_than_a_chunk_is_counted_whole():
    values = np.random.default_rng(1).integers(0, 65536, (1 << 19) * 2 + 7).astype(np.uint16)
    for typed in (values, values.astype(np.float32)):
        found = _counted(typed, [])
        assert found.mean == pytest.approx(values.mean(dtype=np.float64), rel=1e-10)
        assert found.std == pytest.approx(values.std(dtype=np.float64), rel=1e-9)


def test_float64_beyond_float32_keeps_its_limits():
    found = _counted(np.array([-1e100, 0.0, 1e100]), [])
    assert (found.minimum, found.maximum) == (-1e100, 1e100)


@given(arrays(np.uint8, st.tuples(st.integers(0, 9), st.integers(0, 9))))
def test_bytes_are_counted_one_by_one(values):
    assert np.array_equal(count_bytes(values), np.bincount(values.ravel(), minlength=256))
    assert np.array_equal(count_bytes(values.T), np.bincount(values.ravel(), minlength=256))
