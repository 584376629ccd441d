"""What is compiled is kept, is found again under all that decides it, and computes the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.numpy_helper import from_array

from rsseg.bundle import Bundle, read_bundle
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.engines import compiled, openvino_engine
from rsseg.prediction.engines.compiled import compiled_name, keep_compiled, read_compiled
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL, onnx_graph
from rsseg.prediction.engines.openvino_engine import OpenVINOEngine

SIDE = 64


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A file that stands for a graph."""
    path = tmp_path / "graph.onnx"
    path.write_bytes(b"layers")
    return path


@pytest.fixture
def small(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> Callable[..., OpenVINOEngine]:
    """A function that makes an engine of a 1x1 convolution, kept unless ``identity`` is None."""
    weight = np.random.default_rng(0).normal(0, 0.5, (4, 3, 1, 1)).astype(np.float32)
    shape = [1, 3, "height", "width"]
    layer = helper.make_node("Conv", ["images", "weight"], ["logits"])
    ends = [("images", shape), ("logits", [1, 4, *shape[2:]])]
    given, made = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in ends)
    whole = helper.make_graph([layer], "1x1", [given], [made], [from_array(weight, "weight")])
    path = tmp_path / "small.onnx"
    onnx.save(helper.make_model(whole, opset_imports=[helper.make_opsetid("", 18)]), path)

    def make(dtype: str = "uint8", identity: str | None = "of the tests", **more: Any) -> Any:
        kind = np.dtype(dtype)
        return OpenVINOEngine(path, make_bundle(), SIDE, kind, "fp32", identity=identity, **more)

    return make


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The graphs that were read in order to be compiled."""
    read, seen = openvino_engine._read, []

    def counted(graph: Path, *more: Any) -> Any:
        seen.append(graph)
        return read(graph, *more)

    monkeypatch.setattr(openvino_engine, "_read", counted)
    return seen


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_kept_graph_gives_the_same_bytes(
    cache: Path, compilations: list[Path], precision: str
) -> None:
    windows = np.random.default_rng(0).integers(0, 256, (2, 3, SIDE, SIDE)).astype(np.uint8)
    graph, bundle = onnx_graph(EMBEDDED_MODEL), read_bundle(EMBEDDED_MODEL)
    shift = np.linspace(-0.2, 0.2, 5).astype(np.float32)
    scores = [
        OpenVINOEngine(graph, bundle, SIDE, windows.dtype, precision, shift, identity)(windows)
        for identity in (None, "embedded", "embedded")
    ]
    assert len(compilations) == 2, "the third was loaded"
    for other in scores[1:]:
        np.testing.assert_array_equal(scores[0], other)
    assert len(list((cache / "compiled").iterdir())) == 1


def test_other_settings_are_compiled_anew(compilations: list[Path], small: Any) -> None:
    windows = np.full((1, 3, SIDE, SIDE), 100, np.uint8)
    plain = small()(windows)
    shifted = small(shift=np.array([0, 0, 1, 0], np.float32))(windows)
    assert np.abs(shifted - plain).max() > 0.01
    np.testing.assert_allclose(small("uint16")(windows.astype("uint16")), plain, atol=1e-5)
    assert len(compilations) == 3


def test_without_an_identity_nothing_is_kept(cache: Path, small: Any) -> None:
    small(identity=None)
    assert not cache.exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "of something else"])
def test_a_damaged_file_is_compiled_anew(
    cache: Path, compilations: list[Path], small: Any, damage: str
) -> None:
    small()
    (file,) = (cache / "compiled").iterdir()
    whole = file.read_bytes()
    if damage == "of something else":
        keep_compiled(file.name, b"a graph of another library")
    else:
        changed = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
        file.write_bytes({"cut": whole[:100], "changed": changed, "empty": b""}[damage])
    small()
    small()
    assert len(compilations) == 2, "the third was loaded"


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[Path], small: Any
) -> None:
    occupied = tmp_path / "file"
    occupied.write_bytes(b"")
    monkeypatch.setenv("RSSEG_CACHE", str(occupied))
    for _ in range(2):
        assert small()(np.zeros((1, 3, SIDE, SIDE), np.uint8)).shape == (1, 4, SIDE, SIDE)
    assert len(compilations) == 2


def test_a_name_follows_the_graph_and_all_settings(graph: Path) -> None:
    names = {compiled_name(graph, settings) for settings in (["a", 1], ["a", 2], ["b", 1])}
    assert len(names) == 3
    assert compiled_name(graph, ["a", 1]) in names
    graph.write_bytes(b"other layers")
    assert compiled_name(graph, ["a", 1]) not in names


def test_those_unused_for_longest_make_room(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MOST_BYTES", 100)
    for number in range(4):
        keep_compiled(f"{number}.blob", bytes(20))
        os.utime(cache / "compiled" / f"{number}.blob", (number, number))
    assert read_compiled("0.blob") == bytes(20), "which counts as a use"
    unfinished = cache / "compiled" / ".4.another process.unfinished.blob"
    unfinished.write_bytes(b"")
    keep_compiled("new.blob", bytes(30))
    left = {path.name for path in (cache / "compiled").iterdir()}
    assert left == {"0.blob", "3.blob", "new.blob", unfinished.name}
    assert read_compiled("1.blob") is None
    keep_compiled("large.blob", bytes(101))
    assert read_compiled("large.blob") is None
    assert read_compiled("new.blob") == bytes(30)


def test_a_folder_of_others_is_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise PermissionError

    keep_compiled("a.blob", b"a")
    monkeypatch.setattr(compiled.os, "utime", refuse)
    assert read_compiled("a.blob") == b"a"


def test_a_second_prediction_compiles_nothing_and_writes_the_same_map(
    make_scene: Any, compilations: list[Path], tmp_path: Path
) -> None:
    scene, maps = make_scene(height=70, width=80), []
    for number in range(2):
        out = tmp_path / f"{number}.tif"
        options = PredictOptions(tile_size=64, device="cpu", engine="openvino")
        predict(scene, out, options=options)
        maps.append(out.read_bytes())
        assert compilations == [onnx_graph(EMBEDDED_MODEL)]
    assert maps[0] == maps[1]
