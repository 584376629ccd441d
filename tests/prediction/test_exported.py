"""Models exported as ONNX predict what their model files do: scaled once, softmax once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from rsseg import models
from rsseg.bundle import read_bundle
from rsseg.errors import BundleError, OptionError
from rsseg.export.deepness import write_deepness
from rsseg.export.tool import export
from rsseg.normalise import Normalisation
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.engines import rounding
from rsseg.prediction.engines.onnx_graph import as_fed, onnx_graph
from rsseg.prediction.engines.openvino_engine import has_bf16
from rsseg.prediction.engines.rounding import measure_shift, shift_of

EXACT = {"engine": "openvino", "precision": "fp32"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A model file of 16-bit scenes, and the same exported."""
    from rsseg.bundle import Bundle
    from rsseg.legend import LAND_COVER

    folder = tmp_path_factory.mktemp("models")
    scaling = Normalisation((10_000.0,) * 3, (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    bundle = Bundle(
        "unet", LAND_COVER, ("red", "green", "blue"), scaling, {"widths": [4, 8]}, window=48
    )
    torch.manual_seed(2)
    network = models.create("unet", classes=5, widths=[4, 8]).eval()
    with torch.no_grad():  # decided, so that a second softmax would show
        [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)][-1].weight *= 9
    model, graph = folder / "model.safetensors", folder / "model.onnx"
    models.save(model, network, bundle)
    write_deepness(network, bundle, graph)
    return model, graph


def mapped(scene: Path, model: Path, out: Path, **options: object) -> np.ndarray:
    """All bands of the probabilities."""
    shares = out.with_suffix(".shares.tif")
    chosen = PredictOptions(**EXACT, probabilities=shares, overwrite=True, **options)
    result = predict(scene, out, bundle=model, options=chosen)
    assert (result.engine, result.device) == ("openvino", "cpu")
    with rasterio.open(shares) as dataset:
        return dataset.read().astype(int)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"stretch": (2.0, 98.0)}, {"tta": "flip"}])
def test_the_maps_are_the_same(pair, make_scene, tmp_path, options):
    scene = make_scene(height=70, width=90, dtype="uint16")
    model, graph = (
        mapped(scene, each, tmp_path / f"{each.suffix[1:]}.tif", **options) for each in pair
    )
    assert len(np.unique(model)) > 20
    assert np.abs(model - graph).max() <= 1, "probabilities are stored in 1/254"


def test_the_graph_is_fed_what_makes_the_same_images(pair):
    model, graph = pair
    own = read_bundle(graph)
    assert as_fed(read_bundle(model), model) == read_bundle(model)
    fed = as_fed(own, graph).normalisation
    assert fed.scale == pytest.approx((255,) * 3)
    assert fed.mean == pytest.approx((0,) * 3)
    assert fed.std == (1, 1, 1)
    other = Normalisation((700.0, 90.0, 3000.0), (-0.3, 0.1, 2.0), (0.7, 0.1, 1.5))
    fed = as_fed(
        own.__class__(**{**own.__dict__, "normalisation": other}), graph
    ).normalisation  # stretched
    raw = np.random.default_rng(0).uniform(0, 5000, (20, 3))
    pixels = raw * fed.gain + fed.offset
    inside = own.normalisation
    images = (pixels * 255 / inside.scale - inside.mean) / inside.std
    assert images == pytest.approx((raw / other.scale - other.mean) / other.std, rel=1e-4)


@pytest.mark.skipif(not has_bf16(), reason="the CPU has no bf16")
def test_the_shift_of_bf16_is_measured_on_the_same_images(pair, monkeypatch):
    seen = []

    def measure(graph, bundle, windows):
        seen.append(windows)
        return measure_shift(graph, bundle, windows)

    monkeypatch.setattr(rounding, "measure_shift", measure)
    own = read_bundle(pair[1])
    first = shift_of(onnx_graph(pair[0]), read_bundle(pair[0]), 48)
    second = shift_of(pair[1], as_fed(own, pair[1]), 48)
    inside = own.normalisation
    scale, mean, std = (
        np.array(each)[:, None, None] for each in (inside.scale, inside.mean, inside.std)
    )
    np.testing.assert_allclose((seen[1] * 255 / scale - mean) / std, seen[0], atol=1e-4)
    np.testing.assert_allclose(first, second, atol=0.2 * np.abs(first).max())


def test_an_exported_model_may_bring_its_shift_along(pair, tmp_path, monkeypatch):
    """As the embedded model does, whose shift was measured on real scenes."""
    model = tmp_path / "model.safetensors"
    model.write_bytes(pair[0].read_bytes())
    model.with_suffix(".bf16.json").write_text("[0.5, -0.25, 0.125, -0.25, -0.125]")
    export(model, tmp_path / "other.onnx")
    monkeypatch.setattr(rounding, "measure_shift", lambda *given: pytest.fail("measured"))
    shift = shift_of(tmp_path / "other.onnx", read_bundle(tmp_path / "other.onnx"), 48)
    assert shift.tolist() == [0.5, -0.25, 0.125, -0.25, -0.125]


def test_an_exported_model_is_its_own_graph(pair, monkeypatch):
    monkeypatch.setattr("subprocess.run", lambda *given, **more: pytest.fail("converted"))
    assert onnx_graph(pair[1]) == pair[1]


@pytest.mark.parametrize("options", [{"engine": "torch"}, {"device": "cuda"}, {"device": "mps"}])
def test_it_runs_by_openvino_alone(pair, make_scene, tmp_path, options):
    with pytest.raises(OptionError, match=r"\.onnx model runs on CPUs.*safetensors"):
        predict(make_scene(), tmp_path / "m.tif", bundle=pair[1], options=PredictOptions(**options))


def test_it_takes_windows_of_its_own_size_alone(pair, make_scene, tmp_path):
    options = PredictOptions(**EXACT, tile_size=64)
    with pytest.raises(BundleError, match="windows of 48 pixels only.*--tile-size"):
        predict(make_scene(), tmp_path / "m.tif", bundle=pair[1], options=options)


def test_its_bundle_describes_no_network(pair, make_scene, tmp_path):
    with pytest.raises(OptionError, match="describes no network"):
        predict(
            make_scene(),
            tmp_path / "m.tif",
            bundle=read_bundle(pair[1]),
            network=torch.nn.Conv2d(3, 5, 1),
        )
