"""Engines agree with each other, and each runs where it should."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from torch import nn

from rsseg import models
from rsseg.bundle import Bundle, read_bundle
from rsseg.caching import cache_folder
from rsseg.errors import BundleError, MissingExtra, OptionError, OutputError
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.engines import engine
from rsseg.prediction.engines.engine import Placement, place
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL, network_graph, onnx_graph
from rsseg.prediction.engines.openvino_engine import OpenVINOEngine
from rsseg.prediction.engines.torch_engine import TorchEngine

ON_CPU = Placement("torch", "cpu", "fp32")

WINDOW = 96
TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
TYPES += ["float32", "float64"]


def raw_windows(dtype: str, count: int = 2, side: int = WINDOW) -> np.ndarray:
    """Smooth pictures with a little noise, values 0-100."""
    rows, columns = np.mgrid[:side, :side] / side
    waves = [np.sin((3 + i) * rows + (5 - i) * columns + i) for i in range(3 * count)]
    noise = np.random.default_rng(0).random((3 * count, side, side))
    pixels = (np.array(waves) + 1) * 45 + noise * 10
    return pixels.reshape(count, 3, side, side).astype(dtype)


@pytest.fixture
def embedded() -> Path:
    """The model that ships with rsseg."""
    return EMBEDDED_MODEL


@pytest.fixture(scope="module")
def graphless(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model file without a graph and the folder of a cache in which it was converted."""
    folder = tmp_path_factory.mktemp("model")
    embedded_like = Bundle.from_json(
        json.dumps(
            {
                "schema": 1,
                "architecture": "mst-deeplabv3plus",
                "options": {},
                "bands": ["red", "green", "blue"],
                "normalisation": {"scale": [100] * 3, "mean": [0.5] * 3, "std": [0.3] * 3},
                "legend": [
                    {"code": 2 * i, "name": f"class {i}", "colour": [i, i, i]} for i in range(4)
                ],
                "window": 128,
                "gsd": None,
                "licence": "",
                "provenance": {},
                "scores": {},
            }
        )
    )
    torch.manual_seed(1)
    network = models.create("mst-deeplabv3plus", classes=4)
    with torch.no_grad():  # decided, so that agreement means something
        network.classify.weight.mul_(300)
    path = folder / "model.safetensors"
    models.save(path, network, embedded_like, half=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSSEG_CACHE", str(folder / "cache"))
        (folder / "onnx.py").write_text("raise ImportError('not the onnx that was meant')")
        patch.chdir(folder)
        onnx_graph(path)
    return path, folder / "cache"


@pytest.fixture
def model(graphless: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model file whose graph is in the cache."""
    path, cache = graphless
    monkeypatch.setenv("RSSEG_CACHE", str(cache))
    return path


def both(model: Path, dtype: str, side: int = WINDOW) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of `raw_windows` by OpenVINO and by torch, both in fp32."""
    windows = raw_windows(dtype, side=side)
    network, bundle = models.load(model)
    reference = TorchEngine(network, bundle, side, ON_CPU)
    ours = OpenVINOEngine(onnx_graph(model), bundle, side, windows.dtype, "fp32")
    return ours(windows), reference.to_host(reference(windows))


# Conversion: slow, for a child process imports torch and exports a graph


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TYPES)
def test_openvino_agrees_with_torch(model: Path, dtype: str) -> None:
    ours, reference = both(model, dtype)
    assert ours.shape == reference.shape == (2, 4, WINDOW, WINDOW)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-3)
    assert np.median(reference.max(axis=1)) > 0.5, "undecided scores agree too easily"


@pytest.mark.slow
@pytest.mark.parametrize("side", [1, 33, 160])
def test_a_graph_serves_any_window(model: Path, side: int) -> None:
    ours, reference = both(model, "uint8", side)
    np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_a_converted_graph_is_used_again(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spawn(*arguments: object, **more: object) -> None:
        raise AssertionError("a second conversion")

    monkeypatch.setattr(subprocess, "run", spawn)
    graph = onnx_graph(model)
    assert [path.name for path in graph.parent.iterdir()] == [graph.name]
    copy = graph.parent.parent / "another name.safetensors"
    copy.write_bytes(model.read_bytes())
    assert onnx_graph(copy) == graph


@pytest.mark.slow
def test_a_graph_beside_the_model_gives_the_same_scores(model: Path, tmp_path: Path) -> None:
    from rsseg.export.onnx import write_graph_beside

    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(model.read_bytes())
    beside = write_graph_beside(copy)
    assert beside == tmp_path / "copy.onnx"
    assert beside.stat().st_size < 300_000
    bundle = read_bundle(copy)
    windows = raw_windows("uint8")
    scores = [
        OpenVINOEngine(graph, bundle, WINDOW, windows.dtype, "fp32")(windows)
        for graph in (beside, onnx_graph(model))
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    content = beside.read_bytes()
    for folder in (tmp_path, Path.cwd(), Path(torch.__file__).parent):
        assert str(folder).encode() not in content, "a graph must not tell where it was made"


@pytest.mark.slow
def test_a_network_passed_in_runs_on_openvino(
    make_scene: Any, make_bundle: Any, local: Any, tmp_path: Path
) -> None:
    scene, maps = make_scene(height=150, width=170), []
    for number, name in enumerate(("openvino", "openvino", "torch")):
        out = tmp_path / f"{number}.tif"
        options = PredictOptions(tile_size=64, engine=name)
        result = predict(scene, out, bundle=make_bundle(), network=local(), options=options)
        assert (result.engine, result.precision) == (name, "fp32")
        with rasterio.open(out) as dataset:
            maps.append(dataset.read(1))
    np.testing.assert_array_equal(maps[0], maps[1])
    assert (maps[0] == maps[2]).mean() > 0.999
    assert len(list((cache_folder() / "onnx").iterdir())) == 1


@pytest.mark.slow
def test_a_network_that_cannot_be_converted_is_refused(make_bundle: Any, tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images if images.sum().item() > 0 else -images

    with pytest.raises(BundleError, match="cannot be converted to ONNX"):
        network_graph(Odd(), make_bundle(), 16, "odd")
    assert list((cache_folder() / "onnx").iterdir()) == []


@pytest.mark.slow
def test_a_batch_changes_no_byte_of_a_map(model: Path, make_scene: Any, tmp_path: Path) -> None:
    scene = make_scene(height=150, width=170)
    maps = []
    for batch_size in (1, 3):
        out = tmp_path / f"{batch_size}.tif"
        options = PredictOptions(tile_size=64, engine="openvino", batch_size=batch_size)
        assert predict(scene, out, bundle=model, options=options).engine == "openvino"
        maps.append(out.read_bytes())
    assert maps[0] == maps[1]


@pytest.mark.slow
def test_a_model_that_cannot_be_converted_is_refused(model: Path, tmp_path: Path) -> None:
    """Its header promises a network that nobody knows."""
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(model.read_bytes().replace(b"mst-deeplabv3plus", b"mst-deeplabv4plus"))
    with pytest.raises(BundleError, match="no architecture 'mst-deeplabv4plus'"):
        onnx_graph(damaged)
    assert list((cache_folder() / "onnx").glob(".*")) == []
    assert len(list((cache_folder() / "onnx").iterdir())) == 1


def test_a_conversion_needs_torch(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "torch")
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"")
    with pytest.raises(MissingExtra, match=r"pip install 'rsseg\[torch\]'"):
        onnx_graph(model)
    assert not cache.exists()


def test_a_cache_that_cannot_be_made_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"")
    monkeypatch.setenv("RSSEG_CACHE", str(model))
    with pytest.raises(OutputError, match="RSSEG_CACHE"):
        onnx_graph(model)


def test_the_cache_lies_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSSEG_CACHE", "/own")
    assert cache_folder() == Path("/own")
    monkeypatch.setenv("RSSEG_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/rsseg")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "rsseg"


# The embedded model


def test_the_embedded_graph_agrees_with_the_embedded_model(embedded: Path) -> None:
    ours, reference = both(embedded, "uint8", 128)
    np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-3)


def test_bf16_hardly_changes_the_scores(embedded: Path) -> None:
    """Where the CPU does not compute in it, OpenVINO falls back to fp32."""
    windows, bundle = raw_windows("uint8", side=128), read_bundle(embedded)
    low, high = (
        OpenVINOEngine(onnx_graph(embedded), bundle, 128, windows.dtype, precision)(windows)
        for precision in ("bf16", "fp32")
    )
    assert np.abs(low - high).mean() < 0.02
    assert (low.argmax(axis=1) == high.argmax(axis=1)).mean() > 0.95


def test_a_copy_of_the_embedded_model_has_its_graph(embedded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mine.safetensors"
    copy.write_bytes(embedded.read_bytes())
    assert onnx_graph(copy) == onnx_graph(embedded)


def test_the_embedded_model_is_small(embedded: Path) -> None:
    graph = onnx_graph(embedded)
    assert graph.parent == embedded.parent
    assert embedded.stat().st_size <= 13_000_000
    assert embedded.stat().st_size + graph.stat().st_size <= 26_000_000


def test_prediction_on_a_cpu_runs_without_torch(
    embedded: Path, make_scene: Any, tmp_path: Path
) -> None:
    scene, out = make_scene(height=70, width=60), tmp_path / "map.tif"
    absent = ["torch", "timm", "onnx", "safetensors", "lightning"]
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({absent}))\n"  # importing them now fails
        "from rsseg.prediction import PredictOptions, predict\n"
        "options = PredictOptions(tile_size=64, device='cpu', engine='openvino')\n"
        f"print(predict({str(scene)!r}, {str(out)!r}, options=options).engine)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert child.stderr == ""
    assert child.stdout == "openvino\n"
    assert out.is_file()


def test_a_batch_is_scored_window_by_window(embedded: Path) -> None:
    windows = raw_windows("uint8", count=3, side=64)
    ours = OpenVINOEngine(onnx_graph(embedded), read_bundle(embedded), 64, windows.dtype, "fp32")
    together = ours(windows)
    for window, scores in zip(windows, together, strict=True):
        np.testing.assert_array_equal(ours(window[None])[0], scores)


def test_threads_get_the_scores_of_one(embedded: Path) -> None:
    """Whatever the streams; results last as long as promised, and time is counted once."""
    windows = raw_windows("uint8", count=12, side=64)
    graph, bundle = onnx_graph(embedded), read_bundle(embedded)
    alone = OpenVINOEngine(graph, bundle, 64, windows.dtype, "fp32")
    expected = alone(windows)
    shared = OpenVINOEngine(graph, bundle, 64, windows.dtype, "fp32", streams=2)

    def score(share: np.ndarray) -> list[tuple[int, np.ndarray]]:
        kept: list[tuple[int, np.ndarray]] = []
        for number in share:
            kept.append((number, shared(windows[number, None])))
            for earlier, scores in kept[-(shared.streams + 1) :]:
                np.testing.assert_array_equal(scores[0], expected[earlier])
        return kept

    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(score, np.split(np.arange(12), 2)))) == 2
    assert 0 < shared.seconds <= time.perf_counter() - began


def test_a_graph_of_other_classes_is_refused(embedded: Path, make_bundle: Any) -> None:
    graph = onnx_graph(embedded)
    with pytest.raises(BundleError, match="expected 4 classes, got 5"):
        OpenVINOEngine(graph, make_bundle(4), 64, np.dtype("uint8"), "fp32")
    with pytest.raises(BundleError, match="cannot be used"):
        OpenVINOEngine(embedded, read_bundle(embedded), 64, np.dtype("uint8"), "fp32")


# Torch


@pytest.mark.parametrize("dtype", TYPES)
def test_torch_takes_every_pixel_type(make_bundle: Any, pointwise: Any, dtype: str) -> None:
    network, bundle = pointwise(), make_bundle()
    windows = raw_windows(dtype, side=16)
    scores = TorchEngine(network, bundle, 16, ON_CPU)(windows)
    scaling = bundle.normalisation
    images = windows.astype(np.float64) / 255 - np.array(scaling.mean)[:, None, None]
    images /= np.array(scaling.std)[:, None, None]
    with torch.inference_mode():
        expected = network(torch.from_numpy(images).float()).softmax(dim=1)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(scores.sum(dim=1), 1, atol=1e-5)


def test_torch_scores_do_not_depend_on_the_neighbours(make_bundle: Any, local: Any) -> None:
    windows = raw_windows("uint8", count=5, side=16)
    scorer = TorchEngine(local(), make_bundle(), 16, ON_CPU)
    together = scorer.to_host(scorer(windows))
    for window, scores in zip(windows, together, strict=True):
        np.testing.assert_array_equal(scorer(window[None])[0], scores)


def test_torch_runs_networks_as_in_evaluation(make_bundle: Any, pointwise: Any) -> None:
    network = nn.Sequential(pointwise(), nn.Dropout(0.9)).train()
    windows = raw_windows("uint8", side=16)
    scorer = TorchEngine(network, make_bundle(), 16, ON_CPU)
    np.testing.assert_array_equal(scorer(windows), scorer(windows))


# Which engine runs where


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let ``find_spec`` say that a package is not installed."""
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else there(name)
    )


@pytest.mark.parametrize(
    ("choices", "own", "cuda", "expected"),
    [
        ({}, False, False, ("openvino", "cpu")),
        ({}, False, True, ("torch", "cuda")),
        ({}, True, False, ("torch", "cpu")),
        ({}, True, True, ("torch", "cuda")),
        ({"device": "cpu"}, False, True, ("openvino", "cpu")),
        ({"engine": "openvino"}, False, True, ("openvino", "cpu")),
        ({"engine": "torch"}, False, False, ("torch", "cpu")),
        ({"engine": "torch"}, False, True, ("torch", "cuda")),
        ({"device": "cuda:1"}, False, True, ("torch", "cuda:1")),
        ({"device": "mps"}, False, False, ("torch", "mps")),
    ],
)
def test_auto_means_the_fastest_that_is_there(
    monkeypatch: pytest.MonkeyPatch,
    choices: dict[str, Any],
    own: bool,
    cuda: bool,
    expected: tuple[str, str],
) -> None:
    monkeypatch.setattr(engine, "_has_cuda", lambda: cuda)
    placement = place(PredictOptions(precision="fp32", **choices), own_network=own)
    assert placement == Placement(*expected, "fp32")


def test_a_network_passed_in_runs_in_fp32() -> None:
    assert place(PredictOptions(), own_network=True).precision == "fp32"


@pytest.mark.parametrize(
    ("choices", "own", "message"),
    [
        ({"precision": "int8", "engine": "torch"}, False, "only the engine openvino"),
        ({"precision": "int8"}, True, "only the engine openvino"),
        ({"compile": True, "device": "cpu"}, False, "only networks on a GPU are compiled"),
        ({"engine": "openvino", "device": "cuda"}, False, "the device cuda"),
        ({"engine": "openvino", "device": "mps"}, False, "the device mps"),
        ({"precision": "fp16", "device": "cpu"}, False, "do not compute in fp16"),
    ],
)
def test_choices_that_exclude_each_other_are_refused(
    choices: dict[str, Any], own: bool, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        place(PredictOptions(**choices), own_network=own)


def test_networks_on_a_gpu_are_compiled_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_has_cuda", lambda: True)
    options = PredictOptions(compile=True, device="cuda", precision="bf16")
    assert place(options, own_network=True) == Placement("torch", "cuda", "bf16", compiled=True)


def test_a_compiled_network_is_the_one_that_runs(
    make_bundle: Any, pointwise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU a compiler would be needed, so another network stands for what it makes."""
    compiled, modes = pointwise(seed=1), []

    def compile_network(network: nn.Module, mode: str) -> nn.Module:
        modes.append(mode)
        return compiled

    monkeypatch.setattr(torch, "compile", compile_network)
    placement = Placement("torch", "cpu", "fp32", compiled=True)
    windows = raw_windows("uint8", side=16)
    scores = TorchEngine(pointwise(seed=0), make_bundle(), 16, placement)(windows)
    expected = TorchEngine(pointwise(seed=1), make_bundle(), 16, ON_CPU)(windows)
    np.testing.assert_array_equal(scores, expected)
    assert modes == ["reduce-overhead"]


def test_torch_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "torch")
    assert place(PredictOptions(precision="fp32"), own_network=False).engine == "openvino"
    for choices in ({"engine": "torch"}, {"device": "cuda"}):
        with pytest.raises(MissingExtra, match=r"rsseg\[torch\]"):
            place(PredictOptions(**choices), own_network=False)
