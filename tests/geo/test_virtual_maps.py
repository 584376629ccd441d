"""Many maps as one: each pixel that of the last map that has a class there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from rsseg.errors import GridMismatch
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.geo.virtual_maps import virtual_maps
from rsseg.legend import LAND_COVER, NODATA

CRS = rasterio.CRS.from_epsg(32633)


def at(column: float, row: float, height: int = 20, width: int = 30, pixel: float = 10) -> Grid:
    corner = 400_000 + 10 * column, 5_000_000 - 10 * row
    return Grid(height, width, Affine(pixel, 0, corner[0], 0, -pixel, corner[1]), CRS)


def test_a_pixel_is_of_the_last_map_that_has_a_class_there(tmp_path: Path) -> None:
    places = [(5, 3), (20, 0), (0, 15), (28, 14)]
    expected = np.full((35, 58), NODATA, np.uint8)
    maps, rng = {}, np.random.default_rng(0)
    (tmp_path / "maps").mkdir()
    for number, (column, row) in enumerate(places):
        codes = rng.choice(np.array([0, 1, 2, 3, 4, NODATA], np.uint8), (1, 20, 30))
        name = f"./{number}.tif"
        maps[name] = at(column, row)
        write_raster(tmp_path / "maps" / name, codes, maps[name], nodata=NODATA, legend=LAND_COVER)
        part = expected[row : row + 20, column : column + 30]
        np.copyto(part, codes[0], where=codes[0] != NODATA)
    (tmp_path / "maps" / "all.vrt").write_text(virtual_maps(maps, LAND_COVER))
    (tmp_path / "maps").rename(tmp_path / "moved")
    with rasterio.open(tmp_path / "moved" / "all.vrt") as whole:
        assert np.array_equal(whole.read(1), expected)
        assert Grid.of(whole) == at(0, 0, 35, 58)
        assert whole.nodata == NODATA
        assert whole.colormap(1)[2][:3] == LAND_COVER.by_code(2).colour  # type: ignore[union-attr]


def test_maps_beside_each_other_s_pixels_are_shown_at_the_nearest(tmp_path: Path) -> None:
    maps = {"./a.tif": at(0, 0), "./b.tif": at(30.3, 0)}
    for code, (name, grid) in enumerate(maps.items()):
        codes = np.full((1, 20, 30), code, np.uint8)
        write_raster(tmp_path / name, codes, grid, nodata=NODATA, legend=LAND_COVER)
    (tmp_path / "all.vrt").write_text(virtual_maps(maps, LAND_COVER))
    with rasterio.open(tmp_path / "all.vrt") as whole:
        assert whole.shape == (20, 61)
        row = whole.read(1)[7]
    assert row[:30].tolist() == [0] * 30
    assert set(row[31:60].tolist()) == {1}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (at(0, 0, pixel=20), "pixels of several sizes, expected 10 as a, got 20 of b"),
        (Grid(5, 5, at(0, 0).transform, rasterio.CRS.from_epsg(32632)), "several CRSs, expected "),
        (Grid(5, 5, at(0, 0).transform, None), "b has no place on the ground"),
    ],
)
def test_maps_that_do_not_fit_are_refused(other: Any, words: str) -> None:
    with pytest.raises(GridMismatch, match=words):
        virtual_maps({"a": at(0, 0), "b": other}, LAND_COVER)
