"""A grid as STAC's projection extension tells it, version 2.0.

https://github.com/stac-extensions/projection
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from affine import Affine
from rasterio.crs import CRS

from rsseg.geo.grid import Grid


def projection_of(grid: Grid) -> dict[str, Any]:
    """The fields ``proj:...`` of a grid; WKT stands for the CRS that has no code."""
    known = grid.crs.to_authority() if grid.crs is not None else None
    told: dict[str, Any] = {"proj:code": ":".join(known) if known else None}
    if grid.crs is not None and not known:
        told["proj:wkt2"] = grid.crs.to_wkt(version="WKT2_2019")
    shape, transform = [grid.height, grid.width], list(grid.transform)[:6]
    return told | {"proj:shape": shape, "proj:transform": transform}


def grid_of_projection(told: Mapping[str, Any]) -> Grid:
    """The grid of what `projection_of` gave."""
    height, width = told["proj:shape"]
    name = told.get("proj:code") or told.get("proj:wkt2")
    return Grid(
        height, width, Affine(*told["proj:transform"]), None if name is None else _crs(name)
    )


@lru_cache(maxsize=100)
def _crs(name: str) -> CRS:
    return CRS.from_string(name)
