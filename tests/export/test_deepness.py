"""ONNX files for Deepness: their keys, and that its preprocessing gives the model's map."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from rsseg.bundle import HEADER_KEY, Bundle, read_bundle
from rsseg.export.deepness import IR_VERSION, OPSET, metadata_of, write_deepness
from rsseg.export.size import SIZE_KEY
from rsseg.models import load

TYPES = [("uint8", 3, 255.0, 255), ("uint16", 5, 10_000.0, 9_000), ("float32", 2, 1.0, 1)]
"""Type, bands, the model's scale, the greatest value."""


@pytest.fixture
def write(tmp_path):
    """A function that exports a model file."""

    def run(model):
        out = tmp_path / "model.onnx"
        write_deepness(*load(model), out)
        return out

    return run


def as_deepness_does(path, raster):
    """Class by pixel of a raster ``(h, w, bands)``, as Deepness computes that of one tile.

    Segmentor of qgis-plugin-deepness: the first bands, divided by 255, standardised in float32;
    values below the threshold are 0; the greatest class.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map
    mean, std = (
        np.array(json.loads(texts[f"standardization_{name}"]), np.float32)
        for name in ("mean", "std")
    )
    (given,) = session.get_inputs()
    tile = np.float32(raster[None, :, :, : given.shape[-3]] * 1.0 / 255.0)
    tile = np.transpose((tile - mean) / std, (0, 3, 1, 2))
    (scores,) = session.run(None, {given.name: tile})
    scores[scores < json.loads(texts["seg_thresh"])] = 0
    return scores, scores.argmax(axis=1)[0]


@pytest.mark.parametrize(("dtype", "bands", "scale", "top"), TYPES)
def test_deepness_gives_the_probabilities_of_the_model(
    make_model, make_pixels, probabilities, write, dtype, bands, scale, top
):
    model = make_model(bands=bands, scale=scale)
    pixels = make_pixels(bands, top=top, dtype=dtype)
    extra = np.full_like(pixels[0, :1], 99)  # bands beyond the model's are passed over
    raster = np.concatenate([pixels[0], extra]).transpose(1, 2, 0)
    scores, classes = as_deepness_does(write(model), raster)
    expected = probabilities(model, pixels)
    assert np.abs(scores - expected).max() < 1e-4
    near = np.sort(expected[0], axis=0)
    assert (classes == expected[0].argmax(axis=0))[near[-1] - near[-2] > 2e-4].all()
    assert len(np.unique(classes)) > 1


def test_the_file_is_what_old_runtimes_and_deepness_read(make_model, write):
    model = make_model()
    graph = onnx.load(str(write(model)))
    assert graph.ir_version == IR_VERSION == 8
    assert (
        [(each.domain, each.version) for each in graph.opset_import] == [("", OPSET)] == [("", 17)]
    )
    assert not any(w.external_data for w in graph.graph.initializer), "weights are inside"
    assert not graph.functions
    shapes = [
        [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    ]
    assert shapes == [[1, 3, 48, 48], [1, 4, 48, 48]]
    assert graph.graph.node[-1].op_type == "Softmax"


def test_the_keys_are_those_deepness_reads(make_model, write):
    bundle = read_bundle(make_model())
    texts = {each.key: each.value for each in onnx.load(str(write(make_model()))).metadata_props}
    described = Bundle.from_json(texts.pop(HEADER_KEY))
    assert set(json.loads(texts.pop(SIZE_KEY))) == {"parameters", "memory"}
    told = {key: json.loads(text) for key, text in texts.items()}
    assert told == {
        "model_type": "Segmentor",
        "class_names": {str(i): name for i, name in enumerate(bundle.legend.names)},
        "resolution": 25.0,
        "tile_size": 48,
        "tiles_size": 48,
        "tiles_overlap": 25,
        "seg_thresh": 0.0,
        "seg_small_segment": 0,
        "standardization_mean": [0.0] * 3,
        "standardization_std": [1.0] * 3,
    }
    assert described.output == "probabilities"
    assert described.normalisation == bundle.normalisation
    assert described.legend == bundle.legend


def test_an_unknown_resolution_is_not_told(make_model):
    assert "resolution" not in metadata_of(read_bundle(make_model(gsd=None)))


def test_the_same_model_gives_the_same_bytes(make_model, write):
    model = make_model()
    first = write(model).read_bytes()
    assert write(model).read_bytes() == first
