"""Networks whose maps are known in advance, and Bundles that describe them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from torch import Tensor, nn

from rsseg.bundle import Bundle
from rsseg.legend import LandClass, Legend
from rsseg.normalise import Normalisation

CODES = (7, 0, 254, 31, 100, 3)
"""File codes that are neither ascending nor equal to the indices."""
SCALES = {"uint8": 255.0, "uint16": 10_000.0, "float32": 1.0}


class Stopped(Exception):
    """What a network of these tests raises in the middle of a scene."""


class Counting(nn.Module):
    """A network that counts its calls, the engine's own check among them, and may fail.

    Args:
        inner: Does the work.
        fail_at: The call that raises `Stopped`, counted from 1.
    """

    def __init__(self, inner: nn.Module, fail_at: int | None = None) -> None:
        super().__init__()
        self.inner, self.fail_at, self.calls = inner, fail_at, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.fail_at:
            raise Stopped("the power went out")
        return self.inner(images)


@pytest.fixture
def scene(make_scene: Any) -> Path:
    """A scene of 500 x 500 pixels, some of them invalid."""
    valid = np.ones((500, 500), bool)
    valid[:100, 200:] = False
    made: Path = make_scene(valid=valid, validity="mask")
    return made


@pytest.fixture
def make_bundle() -> Callable[..., Bundle]:
    """A function that describes a network of a caller's."""

    def make(
        classes: int = 4,
        bands: tuple[str, ...] = ("red", "green", "blue"),
        dtype: str = "uint8",
        window: int = 64,
    ) -> Bundle:
        legend = Legend(
            tuple(
                LandClass(code, f"class of {code}", (code, 255 - code, 90))
                for code in CODES[:classes]
            )
        )
        count = len(bands)
        scaling = Normalisation(
            (SCALES[dtype],) * count,
            tuple(0.4 + 0.05 * i for i in range(count)),
            tuple(0.2 + 0.05 * i for i in range(count)),
        )
        return Bundle("of the tests", legend, bands, scaling, window=window)

    return make


@pytest.fixture
def pointwise() -> Callable[..., Counting]:
    """A function that makes a 1x1 convolution with random weights: a pixel sees itself only."""
    return lambda classes=4, bands=3, seed=0: Counting(_convolution(bands, classes, 1, seed))


@pytest.fixture
def local() -> Callable[..., Counting]:
    """A function that makes a 3x3 convolution: pixels at the border of a window differ."""
    return lambda seed=0, fail_at=None: Counting(_convolution(3, 4, 3, seed), fail_at)


@pytest.fixture
def stopped() -> type[Stopped]:
    """`Stopped`, for test modules."""
    return Stopped


@pytest.fixture
def truth() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """A function that works out the map of a pointwise network pixel by pixel.

    It returns the file codes ``(h, w)``, and where the two best classes are too near to call.
    """

    def work_out(scene: Path, network: nn.Module, bundle: Bundle) -> tuple[np.ndarray, np.ndarray]:
        with rasterio.open(scene) as dataset:
            raw = dataset.read(range(1, len(bundle.bands) + 1)).astype(np.float64)
        scaling = bundle.normalisation
        scale, mean, std = (
            np.array(values)[:, None, None] for values in (scaling.scale, scaling.mean, scaling.std)
        )
        images = torch.from_numpy(((raw / scale - mean) / std).astype(np.float32))
        with torch.inference_mode():
            scores = network(images[None])[0].float().softmax(dim=0).numpy()
        best = np.sort(scores, axis=0)
        near = best[-1] - best[-2] <= 1e-6
        return bundle.legend.codes[scores.argmax(axis=0)], near

    return work_out


@pytest.fixture
def read() -> Callable[[Path], np.ndarray]:
    """A function that reads the first band of a raster."""

    def read_band(path: Path) -> np.ndarray:
        with rasterio.open(path) as dataset:
            return dataset.read(1)

    return read_band


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small windows are scored faster by one thread, all the more on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep converted graphs out of the home of whoever runs the tests."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("RSSEG_CACHE", str(folder))
    return folder


@pytest.fixture
def cheap_model(cache: Path, tmp_path_factory: pytest.TempPathFactory, make_bundle: Any) -> Path:
    """A model file whose network is a 3x3 convolution, with its graph in the cache.

    Any process predicts with it by OpenVINO, without torch.
    """
    import hashlib
    import json

    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from rsseg import __version__

    header = json.dumps({"__metadata__": {"rsseg": make_bundle().to_json()}}).encode()
    path = tmp_path_factory.mktemp("model") / "cheap.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    weights = np.random.default_rng(3).normal(size=(4, 3, 3, 3)).astype(np.float32)
    images, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", bands, "h", "w"])
        for name, bands in (("images", 3), ("logits", 4))
    )
    node = helper.make_node("Conv", ["images", "weights"], ["logits"], pads=[1, 1, 1, 1])
    graph = helper.make_graph(
        [node], "cheap", [images], [logits], [numpy_helper.from_array(weights, "weights")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    identity = hashlib.sha256(path.read_bytes()).hexdigest()
    (cache / "onnx").mkdir(parents=True)
    onnx.save(model, cache / "onnx" / f"{identity}-{__version__}.onnx")
    return path


def _convolution(bands: int, classes: int, side: int, seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Conv2d(bands, classes, side, padding=side // 2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return layer.eval()
