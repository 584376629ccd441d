"""What is written of each pixel: class, confidence, probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsseg.errors import OptionError
from rsseg.geo.strips import ONE
from rsseg.legend import NODATA, LandClass, Legend
from rsseg.prediction.blending.layers import Layers, as_bytes, ranked
from rsseg.prediction.options import PredictOptions

LEGEND = Legend(tuple(LandClass(code, f"c{code}", (code,) * 3) for code in (9, 4, 254)))
BOTH = pytest.mark.parametrize("to", [np.asarray, torch.from_numpy])


def few_values(data: st.DataObject) -> np.ndarray:
    """Scores of few different values, so that ties are common."""
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5)))
    values = data.draw(st.lists(st.integers(0, 3), min_size=150, max_size=150))
    return np.array(values, np.float32)[: np.prod(shape)].reshape(shape)


@BOTH
def test_ties_go_to_the_lower_index(to: Any) -> None:
    scores = np.array([[0.4, 0.2, 0.1, 0.2], [0.4, 0.4, 0.1, 0.3], [0.2, 0.4, 0.8, 0.3]])
    index, *_ = ranked(to(scores[:, None].astype(np.float32)))
    assert str(index.dtype).endswith("uint8")
    assert index.tolist() == [[0, 1, 2, 1]]


@given(st.data())
def test_ranks_are_those_of_sorting(data: st.DataObject) -> None:
    scores = few_values(data)
    ordered = np.sort(scores, axis=0)
    expected = ordered[-2] if len(scores) > 1 else np.zeros_like(scores[0])
    for to in (np.asarray, torch.from_numpy):
        index, best, second = ranked(to(scores), second=True)
        np.testing.assert_array_equal(index, scores.argmax(axis=0))
        np.testing.assert_array_equal(best, ordered[-1])
        np.testing.assert_array_equal(second, expected)


def test_the_probabilities_are_left_alone() -> None:
    scores = np.array([[[0.1]], [[0.9]]], np.float32)
    ranked(scores, second=True)
    assert scores.ravel().tolist() == pytest.approx([0.1, 0.9])


@BOTH
def test_shares_are_rounded_and_never_nodata(to: Any) -> None:
    shares = np.array([0, 0.5 / ONE - 1e-6, 1.5 / ONE + 1e-6, 0.5, 1, 1 + 1e-7], np.float32)
    assert as_bytes(to(shares)).tolist() == [0, 0, 2, 127, 254, 254]


def layers(**options: Any) -> Layers:
    return Layers.of(PredictOptions(**options), LEGEND)


SCORES = np.array([[[0.7, 0.3], [0.1, 0.5]], [[0.2, 0.3], [0.1, 0.4]], [[0.1, 0.4], [0.8, 0.1]]])


def filled(chosen: Layers, scores: Any) -> np.ndarray:
    """All bytes of some pixels."""
    made = np.zeros((len(chosen), *scores.shape[1:]), np.uint8)
    chosen.fill(made, scores, np.asarray)
    return made


@BOTH
def test_codes_and_nodata(to: Any) -> None:
    made = filled(layers(), to(SCORES.astype(np.float32)))
    assert made.tolist() == [[[9, 254], [254, 9]]]


@BOTH
def test_all_layers(to: Any) -> None:
    chosen = layers(confidence=Path("c.tif"), probabilities=Path("p.tif"))
    made = filled(chosen, to(SCORES.astype(np.float32)))
    assert made.shape == (len(chosen), 2, 2) == (5, 2, 2)
    assert np.array_equal(made[2:], np.round(SCORES * ONE))
    assert made[1].tolist() == [
        [round(0.7 * ONE), round(0.4 * ONE)],
        [round(0.8 * ONE), round(0.5 * ONE)],
    ]


def test_margin_and_least_confidence() -> None:
    chosen = layers(confidence=Path("c.tif"), confidence_kind="margin", min_confidence=0.3)
    made = filled(chosen, SCORES.astype(np.float32))
    assert made[1].tolist() == [[127, round(0.1 * ONE)], [round(0.7 * ONE), round(0.1 * ONE)]]
    assert made[0].tolist() == [[9, NODATA], [254, NODATA]]
    plain = filled(layers(min_confidence=0.5), SCORES.astype(np.float32))
    assert plain.tolist() == [[[9, NODATA], [254, 9]]]


def test_outputs_name_their_bands() -> None:
    options = PredictOptions(confidence=Path("c.tif"), probabilities=Path("p.tif"))
    both = Layers.of(options, LEGEND).outputs(options)
    assert both == [
        (Path("c.tif"), {2: "confidence"}),
        (Path("p.tif"), {3: "c9", 4: "c4", 5: "c254"}),
    ]
    only = PredictOptions(probabilities=Path("p.tif"))
    assert Layers.of(only, LEGEND).outputs(only) == [(Path("p.tif"), {2: "c9", 3: "c4", 4: "c254"})]


@pytest.mark.parametrize(
    "options",
    [
        {"confidence_kind": "entropy"},
        {"tta": "d8"},
        {"min_confidence": 1.5},
        {"min_confidence": -0.1},
        {"stretch": (98, 2)},
        {"stretch": (2, 101)},
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        PredictOptions(**options)
