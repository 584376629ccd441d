"""Blocks of a raster become one file, wherever they are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from rsseg.errors import OutputError
from rsseg.geo.grid import Grid
from rsseg.geo.overviews import commonest, mean
from rsseg.geo.strips import ONE, Strip, assemble, assemble_shares, write_strip
from rsseg.legend import LAND_COVER, NODATA

GRID = Grid(70, 90, Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
CUTS = {
    "whole": ([0, 70], [0, 90]),
    "rows": ([0, 1, 33, 70], [0, 90]),
    "columns": ([0, 70], [0, 40, 89, 90]),
    "blocks": ([0, 20, 69, 70], [0, 1, 50, 90]),
}


def cut(folder: Path, layers: np.ndarray, rows: list[int], columns: list[int]) -> list[Strip]:
    """Blocks of ``(B, H, W)``, in no particular order."""
    made = []
    for top, bottom in zip(rows, rows[1:], strict=False):
        for left, right in zip(columns, columns[1:], strict=False):
            path = folder / f"{top}_{left}.tif"
            write_strip(path, layers[:, top:bottom, left:right])
            made.append(Strip(path, top, bottom, left, right))
    return made[::-1]


@pytest.fixture
def layers() -> np.ndarray:
    random = np.random.default_rng(0)
    found = random.integers(0, ONE + 1, (3, 70, 90)).astype(np.uint8)
    found[0] = random.choice([*LAND_COVER.codes, NODATA], (70, 90))
    return found


@pytest.mark.parametrize("name", CUTS)
def test_codes_and_shares_are_those_of_the_blocks(
    tmp_path: Path, layers: np.ndarray, name: str
) -> None:
    blocks = cut(tmp_path, layers, *CUTS[name])
    assemble(blocks, tmp_path / "map.tif", GRID, LAND_COVER, {}, {})
    assemble_shares(blocks, tmp_path / "shares.tif", GRID, {3: "third", 2: "second"}, {})
    with rasterio.open(tmp_path / "map.tif") as codes:
        np.testing.assert_array_equal(codes.read(1), layers[0])
        assert codes.transform == GRID.transform
    with rasterio.open(tmp_path / "shares.tif") as shares:
        np.testing.assert_array_equal(shares.read(), layers[[2, 1]])
        assert shares.descriptions == ("third", "second")


def test_cuts_change_no_byte(tmp_path: Path, layers: np.ndarray) -> None:
    made = set()
    for name, cuts in CUTS.items():
        folder = tmp_path / name
        folder.mkdir()
        assemble(cut(folder, layers, *cuts), folder / "map.tif", GRID, LAND_COVER, {}, {})
        made.add((folder / "map.tif").read_bytes())
    assert len(made) == 1


def test_a_strip_without_columns_is_as_wide_as_the_raster(
    tmp_path: Path, layers: np.ndarray
) -> None:
    write_strip(tmp_path / "strip.tif", layers)
    assemble([Strip(tmp_path / "strip.tif", 0, 70)], tmp_path / "map.tif", GRID, LAND_COVER, {}, {})
    with rasterio.open(tmp_path / "map.tif") as codes:
        np.testing.assert_array_equal(codes.read(1), layers[0])


def test_what_is_given_up_does_not_take_its_name(tmp_path: Path, layers: np.ndarray) -> None:
    blocks = cut(tmp_path, layers, *CUTS["blocks"])
    out = tmp_path / "map.tif"
    out.write_bytes(b"the old map")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match="given up"):
        assemble(blocks, out, GRID, LAND_COVER, {}, {}, lambda: True)
    with pytest.raises(OutputError, match="given up"):
        assemble_shares(blocks, out, GRID, {2: "second"}, {}, lambda: True)
    assert out.read_bytes() == b"the old map"
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("shape", [(1, 2600), (2600, 1), (1030, 700)])
def test_overviews_are_those_of_all_levels(tmp_path: Path, shape: tuple[int, int]) -> None:
    """Made level by level until one fits into a tile, and nothing of them is left."""
    codes = np.random.default_rng(0).choice([*LAND_COVER.codes, NODATA], shape).astype(np.uint8)
    write_strip(tmp_path / "strip.tif", np.stack([codes, codes]))
    strips = [Strip(tmp_path / "strip.tif", 0, shape[0])]
    grid = Grid(*shape, GRID.transform, GRID.crs)
    assemble(strips, tmp_path / "map.tif", grid, LAND_COVER, {}, {})
    assemble_shares(strips, tmp_path / "shares.tif", grid, {2: "second"}, {})
    for name, shrink in (("map.tif", commonest), ("shares.tif", mean)):
        out, expected = tmp_path / name, codes
        with rasterio.open(out) as dataset:
            levels = len(dataset.overviews(1))
        for level in range(levels):
            pads = [(0, length % 2) for length in expected.shape]
            expected = shrink(np.pad(expected, pads, constant_values=NODATA))
            with rasterio.open(out, overview_level=level) as dataset:
                np.testing.assert_array_equal(dataset.read(1), expected)
        assert max(expected.shape) <= 512
    assert not list(tmp_path.glob(".*"))
