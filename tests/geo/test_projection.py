"""Grids as STAC tells them, and back."""

from __future__ import annotations

import json

import pytest
import rasterio
from affine import Affine

from rsseg.geo.grid import Grid
from rsseg.geo.projection import grid_of_projection, projection_of

CUSTOM = "+proj=laea +lat_0=10 +lon_0=20 +units=m +datum=WGS84"


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "ESRI:54009", CUSTOM, None])
def test_a_grid_and_back(crs: str | None) -> None:
    known = None if crs is None else rasterio.CRS.from_string(crs)
    grid = Grid(20, 30, Affine(0.5, 0.1, 400_000, 0.1, -0.5, 5_000_000), known)
    told = json.loads(json.dumps(projection_of(grid)))
    assert grid_of_projection(told) == grid
    assert told["proj:code"] == (None if crs in (None, CUSTOM) else crs)
    assert ("proj:wkt2" in told) == (crs == CUSTOM)
    assert told["proj:shape"] == [20, 30]
