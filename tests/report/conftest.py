"""Small class maps made in code, and pictures of pages read back."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio.io import MemoryFile


@pytest.fixture
def make_map(make_map: Callable[..., Path]) -> Callable[..., Path]:
    """A function that writes a class raster of these codes into ``tmp_path``, of any name."""

    def make(codes: np.ndarray, name: str = "map.tif", **how: Any) -> Path:
        return make_map(name, codes, **how)

    return make


@pytest.fixture
def seen() -> Callable[[str], np.ndarray]:
    """A function that decodes a ``data:`` address into ``(h, w, 4)`` red, green, blue, opacity."""

    def decode(uri: str) -> np.ndarray:
        kind, _, data = uri.partition(";base64,")
        suffix = kind.removeprefix("data:image/")
        with MemoryFile(base64.b64decode(data), ext=f".{suffix}") as file, file.open() as dataset:
            pixels = dataset.read()
            if suffix == "png":
                table = np.array([dataset.colormap(1).get(i, (0, 0, 0, 255)) for i in range(256)])
                return table[pixels[0]]
            layers = pixels if len(pixels) == 4 else np.concatenate([pixels, 255 + 0 * pixels[:1]])
            return np.moveaxis(layers, 0, -1)

    return decode
