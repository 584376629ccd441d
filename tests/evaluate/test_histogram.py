"""Pairs of codes counted, by a loop."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.evaluate import histogram


def slowly(truth, prediction):
    counts = np.zeros((256, 256), int)
    for place in zip(truth.flat, prediction.flat, strict=True):
        counts[place] += 1
    return counts


@given(
    seed=st.integers(0, 1000),
    height=st.integers(0, 9),
    width=st.integers(1, 40),
    run=st.integers(1, 30),
    codes=st.sampled_from([(0, 1), (255,), (*range(15), 255), (0, 14, 15, 255), (254, 255, 0)]),
    held=st.sampled_from([1, 1 << 16]),
)
def test_joint_counts_are_those_of_a_loop(seed, height, width, run, codes, held):
    random = np.random.default_rng(seed)
    size = height * width
    truth, prediction = (
        random.choice(codes, -(-size // run)).astype(np.uint8).repeat(run)[:size] for _ in range(2)
    )
    pair = truth.reshape(height, width), prediction.reshape(height, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histogram, "_CHUNK", 64)
        patch.setattr(histogram, "_HELD", held)
        assert (histogram.joint_counts(*pair) == slowly(*pair)).all()


def test_every_pair_of_codes_is_counted():
    pairs = np.array([*itertools.product(range(256), repeat=2)], np.uint8)
    found = histogram.joint_counts(pairs[:, :1], pairs[:, 1:])
    assert (found == 1).all()


def test_cut_out_rows_are_counted_alone():
    whole = np.random.default_rng(0).integers(0, 6, (2, 20, 31)).astype(np.uint8)
    rows = slice(3, 11)
    found = histogram.joint_counts(whole[0, rows], whole[1, rows])
    assert (found == slowly(whole[0, rows], whole[1, rows])).all()
    found = histogram.joint_counts(whole[0, rows, 2:9], whole[1, rows, 2:9])
    assert (found == slowly(whole[0, rows, 2:9], whole[1, rows, 2:9])).all()
