"""8-bit graphs are made once, kept, and refused where they change too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from openvino import opset13
from torch import nn

from rsseg.bundle import Bundle
from rsseg.errors import BundleError, MissingExtra, OptionError
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.engines import quantising
from rsseg.prediction.engines.openvino_core import openvino_core
from rsseg.prediction.engines.quantising import (
    CALIBRATED_ON,
    CHECKED_ON,
    SPARED,
    decided_agreement,
    quantise,
    quantised_graph,
    quantised_hash,
)
from rsseg.prediction.predict import plan


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A graph that takes three bands for the logits of three classes."""
    images = opset13.parameter([1, 3, -1, -1], np.float32)
    logits = opset13.multiply(images, np.float32(3))
    path = tmp_path / "graph.xml"
    openvino.save_model(openvino.Model([logits], [images]), path, compress_to_fp16=False)
    return path


@pytest.fixture
def bundle(make_bundle: Any) -> Bundle:
    """A description of it."""
    return make_bundle(classes=3)


def windows(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, 3, 16, 16), np.uint8)


@pytest.fixture
def calibrations(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, np.ndarray]]:
    """Stand-ins for nncf's: the graph as it is; what they were called with."""
    calls = []

    def calibrate(graph: Path, images: Path, share: float, out: Path) -> None:
        calls.append((share, np.load(images)))
        openvino.save_model(openvino_core().read_model(graph), out, compress_to_fp16=False)

    monkeypatch.setattr(quantising, "_calibrate", calibrate)
    monkeypatch.setattr(quantising.importlib.util, "find_spec", lambda name: object())
    return calls


def test_a_graph_is_calibrated_once(
    graph: Path, bundle: Bundle, calibrations: list[tuple[float, np.ndarray]], cache: Path
) -> None:
    asked = []

    def sample(count: int) -> np.ndarray:
        asked.append(count)
        return windows(count)

    made = quantise(graph, "model", bundle, sample)
    assert made == quantised_graph("model") == quantise(graph, "model", bundle, sample)
    assert asked == [CALIBRATED_ON + CHECKED_ON]
    assert [share for share, _ in calibrations] == [SPARED[0]]
    assert quantise(graph, "another", bundle, sample) != made
    assert len(calibrations) == 2
    left = {path.relative_to(cache / "int8").parts[0] for path in (cache / "int8").rglob("*")}
    assert left == {made.parent.name, quantised_graph("another").parent.name}


def test_calibration_sees_normalised_windows_and_keeps_some_back(
    graph: Path, bundle: Bundle, calibrations: list[tuple[float, np.ndarray]]
) -> None:
    quantise(graph, "model", bundle, windows)
    (_, images), scaling = calibrations[0], bundle.normalisation
    assert images.shape == (CALIBRATED_ON, 3, 16, 16)
    first = windows(1)[0] / 255 - np.array(scaling.mean)[:, None, None]
    np.testing.assert_allclose(
        images[0], first / np.array(scaling.std)[:, None, None], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_windows_do(
    graph: Path, bundle: Bundle, calibrations: list[tuple[float, np.ndarray]], count: int
) -> None:
    quantise(graph, "model", bundle, lambda _: windows(count))
    assert len(calibrations[0][1]) == min(count, 2)


def test_the_first_that_passes_is_taken(
    graph: Path,
    bundle: Bundle,
    calibrations: list[tuple[float, np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = iter([0.99, 0.996])
    monkeypatch.setattr(quantising, "_agreement", lambda *arguments: next(results))
    assert quantise(graph, "model", bundle, windows).is_file()
    assert [share for share, _ in calibrations] == list(SPARED[:2])


def test_what_changes_too_much_is_refused_and_not_kept(
    graph: Path,
    bundle: Bundle,
    calibrations: list[tuple[float, np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
    cache: Path,
) -> None:
    monkeypatch.setattr(quantising, "_agreement", lambda *arguments: 0.9949)
    with pytest.raises(OptionError, match=r"99\.5 % keep their class, expected at least 99\.5 %"):
        quantise(graph, "model", bundle, windows)
    assert len(calibrations) == len(SPARED)
    assert list((cache / "int8").iterdir()) == []


def test_a_failed_calibration_is_told_in_a_sentence(
    graph: Path, bundle: Bundle, tmp_path: Path, cache: Path
) -> None:
    pytest.importorskip("nncf")
    missing = tmp_path / "missing.xml"
    with pytest.raises(BundleError, match=r"missing\.xml cannot be quantised: "):
        quantise(missing, "model", bundle, windows)
    assert list((cache / "int8").iterdir()) == []


def test_nncf_is_named_where_it_is_missing(
    graph: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantising.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'rsseg\[int8\]'"):
        quantise(graph, "model", bundle, windows)


def test_the_hash_covers_graph_and_weights(graph: Path) -> None:
    before = quantised_hash(graph)
    graph.with_suffix(".bin").write_bytes(graph.with_suffix(".bin").read_bytes() + b"0")
    assert quantised_hash(graph) != before


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_agreement_is_that_of_a_loop(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(2, classes, 3, 3)) * 2
    other = logits + random.normal(size=logits.shape)
    first, second = (
        (np.exp(each) / np.exp(each).sum(axis=1, keepdims=True)).astype(np.float32)
        for each in (logits, other)
    )
    decided, everywhere = [], []
    for number, row, column in np.ndindex(2, 3, 3):
        best = sorted(logits[number, :, row, column])[::-1]
        same = logits[number, :, row, column].argmax() == other[number, :, row, column].argmax()
        everywhere.append(same)
        if classes == 1 or best[0] - best[1] >= 0.5:
            decided.append(same)
    expected = np.mean(decided) if decided else 1.0, np.mean(everywhere)
    assert decided_agreement(first, second) == pytest.approx(expected)


@pytest.mark.slow
def test_a_map_in_8_bits(make_scene: Any, make_bundle: Any, tmp_path: Path) -> None:
    """A real calibration of a small network, which is passed in."""
    pytest.importorskip("nncf")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    with torch.no_grad():
        network[2].weight.mul_(10)
    scene, bundle = make_scene(height=150, width=170), make_bundle()
    choices: dict[str, Any] = {"engine": "openvino", "tile_size": 64}
    maps = []
    for number, precision in enumerate(("fp32", "int8", "int8")):
        options = PredictOptions(precision=precision, **choices)
        out = tmp_path / f"{number}.tif"
        result = predict(scene, out, bundle=bundle, network=network, options=options)
        assert (result.engine, result.precision) == ("openvino", precision)
        maps.append(out.read_bytes())
    assert maps[1] == maps[2]
    journals = [
        plan(
            scene,
            bundle=bundle,
            network=network,
            options=PredictOptions(precision=precision, **choices),
        ).journal
        for precision in ("fp32", "int8")
    ]
    assert journals[0]["calibrated"] is None
    identity = journals[1]["model"]
    assert journals[1]["calibrated"] == quantised_hash(quantised_graph(identity))
