"""A real scene mapped as Deepness maps it: the classes of ``rsseg predict``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import rasterio

from rsseg.bundle import read_bundle
from rsseg.export.tool import export
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL

pytestmark = pytest.mark.slow


@pytest.fixture
def benchmark(monkeypatch):
    """`benchmarks/deepness.py` as a module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield import_module("deepness")
    sys.modules.pop("deepness")


def test_the_embedded_model_maps_a_real_scene_the_same(benchmark, tmp_path):
    bundle, overlap = read_bundle(EMBEDDED_MODEL), 128
    graph, scene = tmp_path / "model.onnx", tmp_path / "scene.tif"
    export(EMBEDDED_MODEL, graph, to="onnx")
    pixels = benchmark.make_scene(benchmark.SCENE, bundle.window, overlap, bundle, scene)
    with rasterio.open(scene) as dataset:
        assert (dataset.read() == pixels).all()
    maps = []
    for model in (EMBEDDED_MODEL, graph):
        options = PredictOptions(overlap=overlap, precision="fp32", engine="openvino")
        out = tmp_path / f"{model.suffix[1:]}.tif"
        predict(scene, out, bundle=model, options=options)
        with rasterio.open(out) as dataset:
            maps.append(bundle.legend.indices[dataset.read(1)])
    np.save(tmp_path / "raster.npy", pixels.transpose(1, 2, 0))
    _, theirs, scores = benchmark.run(Path(sys.executable), graph, tmp_path)
    reference = benchmark.on_torch(EMBEDDED_MODEL, pixels[:, : bundle.window, : bundle.window])
    assert np.abs(scores - reference).max() < 1e-4
    alone = benchmark.alone_in(bundle.window, overlap)
    assert 0.5 < alone.mean() < 1
    for ours in maps:
        assert (theirs == ours)[alone].mean() >= 0.999
    assert len(np.unique(theirs)) == len(bundle.legend)
