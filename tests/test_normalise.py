import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.errors import BundleError
from rsseg.normalise import Normalisation

positive = st.floats(0.01, 1e4)
normalisations = st.lists(st.tuples(positive, st.floats(-2, 2), positive), min_size=1).map(
    lambda rows: Normalisation(*zip(*rows, strict=True))
)


@given(normalisations, st.floats(-1e4, 1e5))
def test_gain_and_offset_are_the_formula(normalisation, raw):
    scale, mean, std = map(np.array, (normalisation.scale, normalisation.mean, normalisation.std))
    expected = (raw / scale - mean) / std
    got = raw * normalisation.gain.astype(np.float64) + normalisation.offset
    magnitude = np.abs(raw * normalisation.gain) + np.abs(normalisation.offset) + 1
    assert (np.abs(got - expected) / magnitude < 1e-6).all()


@given(normalisations)
def test_raw_mean_normalises_to_zero(normalisation):
    scale, mean = np.array(normalisation.scale), np.array(normalisation.mean)
    assert np.allclose(normalisation.raw_mean / scale, mean)


@given(normalisations)
def test_json_round_trip(normalisation):
    assert Normalisation.from_json(normalisation.to_json()) == normalisation


def test_uniform_repeats():
    same = Normalisation.uniform(2, scale=255, mean=0.5, std=0.25)
    assert same == Normalisation((255, 255), (0.5, 0.5), (0.25, 0.25))
    assert len(same) == 2


@pytest.mark.parametrize(
    ("scale", "mean", "std"),
    [
        ((), (), ()),
        ((1.0,), (0.0, 0.0), (1.0,)),
        ((0.0,), (0.0,), (1.0,)),
        ((1.0,), (0.0,), (-1.0,)),
        ((1.0,), (0.0,), (float("nan"),)),
    ],
)
def test_impossible_numbers_are_refused(scale, mean, std):
    with pytest.raises(BundleError):
        Normalisation(scale, mean, std)


@pytest.mark.parametrize("data", [{}, {"scale": [1], "mean": ["x"], "std": [1]}, None])
def test_damaged_json_is_refused(data):
    with pytest.raises(BundleError):
        Normalisation.from_json(data)
