"""Small class maps made in code, and pictures of pages read back."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.io import MemoryFile

from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA, Legend

UTM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)


@pytest.fixture
def make_map(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a class raster into ``tmp_path`` and returns its path."""

    def make(
        codes: np.ndarray,
        name: str = "map.tif",
        *,
        crs: str | None = "EPSG:32633",
        transform: Affine = UTM,
        legend: Legend | None = LAND_COVER,
        nodata: float | None = NODATA,
    ) -> Path:
        place = None if crs is None else CRS.from_string(crs)
        grid = Grid(*codes.shape, transform, place)
        path = tmp_path / name
        write_raster(path, codes[None], grid, nodata=nodata, legend=legend)
        return path

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
