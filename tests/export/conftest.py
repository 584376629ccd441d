"""Small trained-looking models in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsseg import models
from rsseg.bundle import Bundle
from rsseg.legend import LandClass, Legend
from rsseg.normalise import Normalisation

BANDS = ("red", "green", "blue", "nir", "height")
WIDTHS = [4, 8, 8]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small images are scored faster by one thread, all the more on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """A function that saves a small U-Net with random weights whose classes are well apart."""

    def make(
        name: str = "model.safetensors", bands: int = 3, scale: float = 255.0, **changes: Any
    ) -> Path:
        torch.manual_seed(bands)
        network = models.create("unet", classes=4, bands=bands, widths=WIDTHS)
        with torch.no_grad():  # statistics of such images, so that no class wins everywhere
            for layer in network.modules():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.momentum = None
            images = 1 + torch.randn(4, bands, 48, 48)
            network.train()(images)
            logits = network.eval()(images)
            last = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)][-1]
            last.bias -= logits.mean(dim=(0, 2, 3))
            last.weight.mul_(4)
            last.bias.mul_(4)
        described = {
            "architecture": "unet",
            "options": {"widths": WIDTHS},
            "legend": Legend(
                tuple(LandClass(3 * i, f"class | {i}", (9 * i, 200, 255 - i)) for i in range(4))
            ),
            "bands": BANDS[:bands],
            "normalisation": Normalisation(
                (scale,) * bands,
                tuple(0.3 + 0.05 * i for i in range(bands)),
                tuple(0.2 + 0.1 * i for i in range(bands)),
            ),
            "window": 48,
            "gsd": 0.25,
        }
        path = tmp_path / name
        models.save(path, network, Bundle(**(described | changes)))
        return path

    return make


@pytest.fixture
def probabilities() -> Callable[[Path, np.ndarray], np.ndarray]:
    """A function that works out what a model file gives of raw pixels ``(N, B, h, w)``."""

    def work_out(model: Path, pixels: np.ndarray) -> np.ndarray:
        network, bundle = models.load(model)
        scaling = bundle.normalisation
        scale, mean, std = (
            np.array(values)[:, None, None] for values in (scaling.scale, scaling.mean, scaling.std)
        )
        images = ((pixels.astype(np.float64) / scale - mean) / std).astype(np.float32)
        with torch.inference_mode():
            return network(torch.from_numpy(images)).softmax(dim=1).numpy()

    return work_out


@pytest.fixture
def make_pixels() -> Callable[..., np.ndarray]:
    """A function that makes raw pixels ``(N, B, h, w)``, noise over waves, up to ``top``."""

    def make(
        bands: int = 3, side: int = 48, count: int = 1, top: int = 255, dtype: str = "uint8"
    ) -> np.ndarray:
        rows, columns = np.mgrid[:side, :side] / side
        waves = [np.sin((3 + i) * rows + (5 - i) * columns + i) + 1 for i in range(bands * count)]
        noise = np.random.default_rng(0).random((bands * count, side, side))
        pixels = (0.3 * np.array(waves) + 0.4 * noise) * top
        return pixels.reshape(count, bands, side, side).astype(dtype)

    return make
