"""The shift of bf16 is found, taken back and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from rsseg.bundle import Bundle
from rsseg.prediction.engines import rounding
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg.prediction.engines.openvino_engine import OpenVINOEngine, has_bf16
from rsseg.prediction.engines.rounding import (
    measure_shift,
    noise,
    shift_beside,
    shift_of,
    write_shift,
)

LOW = pytest.mark.skipif(not has_bf16(), reason="the CPU has no bf16")
SIDE = 64


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Of a 1x1 convolution whose biases are no bf16 numbers."""
    weight = np.random.default_rng(0).normal(0, 0.5, (4, 3, 1, 1)).astype(np.float32)
    bias = np.array([3 + 1 / 300, 3 + 1 / 200, 3 - 1 / 150, 3], np.float32)
    shape = [1, 3, "height", "width"]
    made = helper.make_graph(
        [helper.make_node("Conv", ["images", "weight", "bias"], ["logits"])],
        "1x1",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, 4, *shape[2:]])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    path = tmp_path / "graph.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def logits(engine: OpenVINOEngine, windows: np.ndarray) -> np.ndarray:
    """Means of the logarithms of the probabilities, less their own mean."""
    means = np.log(engine(windows)).mean(axis=(0, 2, 3))
    return means - means.mean()


@LOW
def test_the_shift_is_taken_back(graph: Path, make_bundle: Callable[..., Bundle]) -> None:
    bundle = make_bundle()
    windows = np.random.default_rng(0).integers(0, 256, (3, 3, SIDE, SIDE)).astype(np.uint8)
    shift = measure_shift(graph, bundle, windows)
    assert abs(shift.sum()) < 1e-3
    assert np.abs(shift).max() > 1e-3

    def engine(*more: Any) -> OpenVINOEngine:
        return OpenVINOEngine(graph, bundle, SIDE, np.dtype(np.uint8), *more)

    exact = logits(engine("fp32"), windows)
    raw, corrected = (logits(engine("bf16", each), windows) for each in (None, shift))
    np.testing.assert_allclose(exact - raw, shift, atol=2e-4)
    np.testing.assert_allclose(corrected, exact, atol=2e-4)


def test_a_network_that_images_overflow_is_not_shifted(
    graph: Path, make_bundle: Callable[..., Bundle]
) -> None:
    windows = np.full((1, 3, SIDE, SIDE), np.nan, np.float32)
    assert measure_shift(graph, make_bundle(), windows).tolist() == [0, 0, 0, 0]


def test_a_shift_that_helps_no_other_window_is_none(
    graph: Path, make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each window is shifted its own way, so the shift of one tells nothing of the next."""
    given: dict[str, Any] = {}

    class Engine:
        def __init__(self, *settings: Any) -> None:
            self.precision = settings[-1]

        def __call__(self, window: np.ndarray) -> np.ndarray:
            return np.exp(next(given[self.precision]))[None, :, None, None] * np.ones((1, 4, 2, 2))

    monkeypatch.setattr("rsseg.prediction.engines.openvino_engine.OpenVINOEngine", Engine)
    windows = np.zeros((6, 3, SIDE, SIDE), np.float32)
    shifts = np.eye(4)[[0, 1, 2, 3, 0, 1]]
    given = {"fp32": iter(shifts), "bf16": iter(0 * shifts)}
    assert measure_shift(graph, make_bundle(), windows).tolist() == [0, 0, 0, 0]
    shifts = np.eye(4)[[0, 0, 0, 0, 0, 1]]
    given = {"fp32": iter(shifts), "bf16": iter(0 * shifts)}
    assert measure_shift(graph, make_bundle(), windows)[0] > 0.5


def test_damaged_files_are_measured_anew(
    graph: Path, make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = np.zeros(4, np.float32)
    monkeypatch.setattr(rounding, "measure_shift", lambda *given: own)
    for text in ("", "[1, 2]", "[1, 2, 3, null]", "{}"):
        shift_beside(graph).write_text(text)
        assert shift_of(graph, make_bundle(), SIDE).tolist() == own.tolist(), text


def test_a_shift_is_added_to_logits(graph: Path, make_bundle: Callable[..., Bundle]) -> None:
    bundle, shift = make_bundle(), np.array([0.5, -0.25, 0, 1], np.float32)
    windows = np.random.default_rng(1).integers(0, 256, (1, 3, SIDE, SIDE)).astype(np.uint8)
    plain, moved = (
        OpenVINOEngine(graph, bundle, SIDE, windows.dtype, "fp32", each)(windows)
        for each in (None, shift)
    )
    expected = plain * np.exp(shift)[:, None, None]
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(moved, expected, rtol=1e-4)


def test_a_shift_is_measured_once(
    graph: Path, make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    bundle, calls = make_bundle(), []

    def measured(*given: Any) -> np.ndarray:
        calls.append(given)
        return np.array([0.25, -0.25, 0, 0], np.float32)

    monkeypatch.setattr(rounding, "measure_shift", measured)
    stretched = replace(bundle, normalisation=replace(bundle.normalisation, scale=(9.0,) * 3))
    first, second = shift_of(graph, bundle, SIDE), shift_of(graph, stretched, SIDE)
    assert len(calls) == 1
    assert first.tolist() == second.tolist() == [0.25, -0.25, 0, 0]
    assert first.dtype == np.float32
    assert len(list((cache / "bf16").iterdir())) == 1
    shift_of(graph, bundle, 2 * SIDE)
    assert len(calls) == 2


def test_without_a_cache_it_is_measured_each_time(
    graph: Path, make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    cache.write_text("a file where the folder should be")
    own = np.zeros(4, np.float32)
    monkeypatch.setattr(rounding, "measure_shift", lambda *given: own)
    assert shift_of(graph, make_bundle(), SIDE) is own


def test_what_lies_beside_a_graph_comes_first(
    graph: Path, make_bundle: Callable[..., Bundle]
) -> None:
    own = np.array([0.5, 0.125, -0.5, -0.125], np.float32)
    write_shift(own, shift_beside(graph))
    assert shift_of(graph, make_bundle(), SIDE).tolist() == own.tolist()


def test_the_embedded_model_has_its_own() -> None:
    assert shift_beside(EMBEDDED_MODEL.with_suffix(".onnx")).is_file()


@given(bands=st.integers(1, 5), side=st.integers(2, 40), count=st.integers(1, 3))
def test_noise_has_mean_and_deviation(bands: int, side: int, count: int) -> None:
    images = noise(bands, side, count)
    assert images.shape == (count, bands, side, side)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images.mean(axis=(2, 3)), 0, atol=1e-4)
    assert (images.std(axis=(2, 3)) < 1.6).all()
    assert np.array_equal(images, noise(bands, side, count))
