"""Scores in the scene's pixels: as torch interpolates, and the same for any part."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from rsseg.prediction.blending.enlarging import enlarged


@given(st.integers(1, 40), st.integers(1, 90), st.data())
def test_any_part_is_what_torch_gives_there(side: int, size: int, data: st.DataObject) -> None:
    scores = np.random.default_rng(side * 100 + size).random((3, side, side), np.float32)
    ends = st.tuples(st.integers(0, size - 1), st.integers(1, size)).filter(lambda e: e[0] < e[1])
    rows, columns = (slice(*data.draw(ends)) for _ in range(2))
    whole = enlarged(scores, size, slice(0, size), slice(0, size))
    expected = functional.interpolate(torch.from_numpy(scores)[None], (size, size), mode="bilinear")
    np.testing.assert_allclose(whole, expected[0].numpy(), rtol=0, atol=1e-5)
    part = enlarged(scores, size, rows, columns)
    np.testing.assert_array_equal(part, whole[:, rows, columns])
    there = enlarged(torch.from_numpy(scores), size, rows, columns)
    np.testing.assert_array_equal(there.numpy(), part)


@pytest.mark.parametrize("size", [7, 16, 30])
def test_what_is_given_stays_as_it_is(size: int) -> None:
    scores = np.random.default_rng(0).random((2, 16, 16), np.float32)
    before = scores.copy()
    made = enlarged(scores, size, slice(0, size), slice(1, 5))
    np.testing.assert_array_equal(scores, before)
    assert np.shares_memory(made, scores) is (size == 16)
