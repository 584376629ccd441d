"""The texts of ONNX files: read as onnx wrote them, and nothing read of other files."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.bundle import HEADER_KEY, Bundle, read_bundle
from rsseg.errors import BundleError
from rsseg.legend import LAND_COVER
from rsseg.normalise import Normalisation
from rsseg.onnx_header import read_texts

BUNDLE = Bundle(
    "of the tests", LAND_COVER, ("grey",), Normalisation((255.0,), (0.5,), (0.5,)),
    output="probabilities",
)  # fmt: skip


def graph_with(texts: dict[str, str], weights: int = 10) -> bytes:
    """An ONNX file of one addition with these texts."""
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [weights])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [weights])
    added = onnx.numpy_helper.from_array(np.arange(weights, dtype=np.float32), "w")
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", [value], [out], initializer=[added]),
        producer_name="tests",
        doc_string="a model",
    )
    onnx.helper.set_model_props(model, texts)
    return model.SerializeToString()


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=300), max_size=5))
def test_texts_come_back(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    path.write_bytes(graph_with(texts))
    assert read_texts(path) == texts


@given(st.integers(0, 10_000))
def test_a_file_cut_off_gives_nothing_wrong(tmp_path_factory, kept):
    path, texts = tmp_path_factory.mktemp("onnx") / "model.onnx", {"key": "v" * 200, "b": "c"}
    data = graph_with(texts)
    path.write_bytes(data[: kept % len(data)])
    try:
        found = read_texts(path)
    except ValueError:
        return
    assert found.items() <= texts.items()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(graph_with({HEADER_KEY: BUNDLE.to_json(), "other": "1"}, weights=50_000))
    return path


def test_the_bundle_is_read_without_onnx_and_torch(file):
    assert read_bundle(file) == BUNDLE
    code = (
        "import sys; from rsseg.bundle import read_bundle\n"
        f"print(read_bundle({str(file)!r}).to_json())\n"
        "assert not {'torch', 'onnx', 'openvino', 'google.protobuf'} & sys.modules.keys()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Bundle.from_json(run.stdout) == BUNDLE


def test_files_written_before_have_logits():
    plain = dataclasses.replace(BUNDLE, output="logits")
    assert "output" not in plain.to_json()
    assert Bundle.from_json(plain.to_json()).output == "logits"
    with pytest.raises(BundleError, match="output is none that is known"):
        Bundle.from_json(BUNDLE.to_json().replace("probabilities", "guesses"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "without an rsseg header.*rsseg export"),
        (b"hello, this is a text", "not a model file"),
        (b"\xff" * 100, "not a model file"),
        (bytes(100), "not a model file"),
        (graph_with({"names": "{}"}), "without an rsseg header.*rsseg export"),
        (graph_with({HEADER_KEY: "{}"}), "damaged"),
        (graph_with({HEADER_KEY: BUNDLE.to_json()})[:-300], "not a model file.*cut off"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "odd.onnx"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=rf"(?s)odd\.onnx.*{message}"):
        read_bundle(path)
    with pytest.raises(BundleError, match="there is no model file"):
        read_bundle(tmp_path / "none.onnx")
