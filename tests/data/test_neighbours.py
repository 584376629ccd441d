"""Blocks of adjoining, overlapping and distant scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from affine import Affine
from rasterio.warp import transform as project
from rasterio.windows import Window

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.neighbours import neighbour_groups
from rsseg.data.splits import by_block

HALVES = {"train": 0.5, "val": 0.5}
Tile = Callable[..., LabelledScene]


@pytest.fixture
def tile(make_scene: Callable[..., Path]) -> Tile:
    def make(name: str, east: float, north: float = 0, **options: object) -> LabelledScene:
        """A tile of 80 x 60 pixels of 2 m."""
        place = {"transform": Affine(2, 0, 400_000 + east, 0, -2, 5_000_000 + north)} | options
        image, label = (
            make_scene(f"{name}{kind}.tif", height=60, width=80, bands=1, **place)
            for kind in ("", "_label")
        )
        return LabelledScene(image, label, "all", name)

    return make


def _distance(one: LabelledScene, other: LabelledScene) -> float:
    """Largest of the distances along rows and columns, in pixels; below 0 where they overlap."""
    sides = []
    for row in (one, other):
        grid = row.footprint()
        left, top = (~Affine(2, 0, 400_000, 0, -2, 5_000_000)) @ (grid.transform @ (0, 0))
        sides.append(((left, left + grid.width), (top, top + grid.height)))
    return max(
        max(first[0], second[0]) - min(first[1], second[1])
        for first, second in zip(*sides, strict=True)
    )


@pytest.mark.parametrize("shift", [(160, 0), (0, -120), (150, -100), (162, 0), (164, -7)])
@pytest.mark.parametrize("seed", range(4))
def test_no_two_splits_come_nearer_than_the_gap(
    tile: Tile, shift: tuple[int, int], seed: int
) -> None:
    scenes = Catalogue((tile("a", 0), tile("b", *shift)))
    done = by_block(scenes, HALVES, size=20, gap=4, seed=seed)
    assert len(done) == 2 * 12
    assert done.splits == ("train", "val")
    for one, other in combinations(done, 2):
        assert one.split == other.split or _distance(one, other) >= 4 - 1e-6


def test_distant_tiles_and_pictures_without_a_place_stay_apart(tile: Tile) -> None:
    rows = [tile("a", 0), tile("b", 170), tile("c", 0, crs=None), tile("d", 0, crs=None)]
    grids = [row.footprint() for row in rows]
    assert neighbour_groups(rows, grids, range(4), 4) == [0, 1, 2, 3]
    assert neighbour_groups(rows, grids, range(4), 6) == [0, 0, 2, 3]


def test_parts_of_one_picture_are_compared(tile: Tile) -> None:
    whole = tile("a", 0, crs=None)
    parts = [replace(whole, window=Window(*w)) for w in ((0, 0, 20, 20), (20, 0, 9, 9))]
    grids = [part.footprint() for part in parts]
    assert neighbour_groups(parts, grids, (0, 1), 1) == [0, 0]
    assert neighbour_groups(parts, grids, (0, 0), 1) == [0, 1]
    assert neighbour_groups(parts, grids, (0, 1), 0) == [0, 1]


def test_tiles_of_two_zones_are_compared_on_the_ground(tile: Tile) -> None:
    (east,), (north,) = project("EPSG:32633", "EPSG:32632", [400_080], [4_999_940])
    there = {"transform": Affine(2, 0, east, 0, -2, north), "crs": "EPSG:32632"}
    rows = [tile("a", 0), tile("b", 0, **there)]
    grids = [row.footprint() for row in rows]
    assert neighbour_groups(rows, grids, (0, 1), 4) == [0, 0]
