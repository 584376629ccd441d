"""Real processes on loopback, and a class map of several strips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA

SLOW = """
import time
import rsseg.vectorise_cluster.worker as worker
def slower(function):
    def polygons(*arguments):
        time.sleep({seconds})
        return function(*arguments)
    return polygons
if worker.require_same.__name__ == "require_same":  # Dask may run this twice
    worker.require_same = slower(worker.require_same)
"""


@pytest.fixture
def processes(tmp_path: Path, makers: Any) -> Iterator[Any]:
    """A starter of processes that end with the test, see `Processes` of ``cluster``."""
    (tmp_path / "processes").mkdir()
    made = makers("cluster").Processes(tmp_path / "processes")
    yield made
    made.end()


@pytest.fixture
def land_map(tmp_path: Path) -> Path:
    """A map of twelve rows of blocks, with noise, a region through all of it, and a confidence."""
    random = np.random.default_rng(0)
    array = random.integers(0, 6, (301, 40), dtype=np.uint8)
    array = array.repeat(10, axis=0).repeat(10, axis=1)[:3001]
    array[array == 5] = NODATA
    noise = random.random(array.shape) < 0.02
    array[noise] = random.integers(0, 5, noise.sum())
    array[:, 50:53] = 1
    grid = Grid(*array.shape, Affine(0.5, 0, 4e5, 0, -0.5, 5e6), CRS.from_epsg(32633))
    path = tmp_path / "map.tif"
    write_raster(path, array[None], grid, nodata=NODATA, legend=LAND_COVER)
    sure = random.integers(0, 256, array.shape, dtype=np.uint8)
    write_raster(tmp_path / "sure.tif", sure[None], grid, nodata=NODATA)
    return path


@pytest.fixture
def slow() -> str:
    """The code that makes every task take longer."""
    return SLOW.format(seconds=0.4)
