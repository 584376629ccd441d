"""Maps to be looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA

TRANSFORM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)


@pytest.fixture(scope="session")
def make_map() -> Callable[..., Path]:
    """A function that writes a class raster: of noise, unless codes are given."""

    def make(
        path: Path,
        codes: np.ndarray | None = None,
        crs: str | None = "EPSG:32633",
        transform: Affine = TRANSFORM,
        shape: tuple[int, int] = (60, 80),
    ) -> Path:
        if codes is None:
            generator = np.random.default_rng(0)
            codes = generator.choice([0, 1, 2, 3, 4, NODATA], shape).astype(np.uint8)
        grid = Grid(*codes.shape, transform, None if crs is None else CRS.from_user_input(crs))
        write_raster(path, codes[None], grid, nodata=NODATA, legend=LAND_COVER)
        return path

    return make
