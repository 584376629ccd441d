"""Tiles hold what the raster holds at that place."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.io import MemoryFile
from rasterio.warp import transform

from rsseg.errors import SceneError
from rsseg.geo.grid import Grid
from rsseg.legend import NODATA
from rsseg.view.plane import TILE, Bounds, Plane
from rsseg.view.rasters import ClassTiles, PictureTiles, Raster

# rasterio's own way of making a transform
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

Make = Callable[..., Path]

UTM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
PLACES = {
    "north up": ("EPSG:32633", UTM),
    "rotated": ("EPSG:32633", UTM @ Affine.rotation(30)),
    "south up": ("EPSG:32633", Affine(0.5, 0, 400_000, 0, 0.5, 5_000_000)),
    "degrees": ("EPSG:4326", Affine(1e-5, 0, 5, 0, -1e-5, 52)),
    "mercator": ("EPSG:3857", Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)),
    "across 180": ("EPSG:32660", Affine(100, 0, 829_000, 0, -100, 100_000)),
    "nowhere": (None, Affine.identity()),
}


def _tiles(plane: Plane, zoom: int) -> list[Bounds]:
    """All tiles of a zoom that the map reaches."""
    left, bottom, right, top = plane.extent
    first = plane.tile(0, 0, 0)
    assert first is not None
    side = (first[2] - first[0]) / 2**zoom
    columns = range(int((left - first[0]) // side), int((right - first[0]) // side) + 1)
    rows = range(int((first[3] - top) // side), int((first[3] - bottom) // side) + 1)
    found = [plane.tile(zoom, column % 2**zoom, row) for column in columns for row in rows]
    return [bounds for bounds in found if bounds is not None]


@pytest.mark.parametrize("place", PLACES)
def test_codes_of_tiles_are_those_of_the_map(make_map: Make, tmp_path: Path, place: str) -> None:
    """But where a tile's pixel is so near to another of the map's that GDAL may take that."""
    crs, placed = PLACES[place]
    path = make_map(tmp_path / "map.tif", crs=crs, transform=placed)
    with rasterio.open(path) as dataset:
        codes, grid = dataset.read(1), Grid.of(dataset)
    plane = Plane.of(grid)
    tiles = ClassTiles(Raster(str(path), plane, (1,)))
    seen, compared = set(), 0
    for zoom in (plane.zoom, plane.deepest):
        for bounds in _tiles(plane, zoom):
            drawn = np.frombuffer(tiles.tile(bounds, TILE), np.uint8).reshape(TILE, TILE)
            steps = (np.arange(TILE) + 0.5) / TILE
            u = bounds[0] + steps * (bounds[2] - bounds[0])
            v = bounds[3] - steps * (bounds[3] - bounds[1])
            uu, vv = np.meshgrid(u, v)
            if plane.mercator:
                x, y = transform("EPSG:3857", crs, uu.ravel(), vv.ravel())
                column, row = ~placed @ (np.array(x), np.array(y))
            else:
                column, row = uu.ravel(), -vv.ravel()
            inside = (column > 0.2) & (row > 0.2) & (column < 79.8) & (row < 59.8)
            safe = (np.abs(column % 1 - 0.5) < 0.3) & (np.abs(row % 1 - 0.5) < 0.3) & inside
            wanted = codes[row[safe].astype(int), column[safe].astype(int)]
            assert np.array_equal(drawn.ravel()[safe], wanted)
            away = (column < -0.3) | (row < -0.3) | (column > 80.3) | (row > 60.3)
            assert (drawn.ravel()[away] == NODATA).all()
            seen.update(np.unique(wanted).tolist())
            compared += int(safe.sum())
    assert seen == {0, 1, 2, 3, 4, NODATA}
    assert compared > 10_000
    tiles.raster.close()


@pytest.mark.parametrize("place", PLACES)
def test_a_point_has_the_very_pixel_of_the_file(make_map: Make, tmp_path: Path, place: str) -> None:
    crs, placed = PLACES[place]
    path = make_map(tmp_path / "map.tif", crs=crs, transform=placed)
    with rasterio.open(path) as dataset:
        codes, grid = dataset.read(1), Grid.of(dataset)
    plane = Plane.of(grid)
    raster = Raster(str(path), plane, (1,))
    for row, column in ((0, 0), (59, 79), (17, 60), (30, 5)):
        for inside in (0.02, 0.98):
            x, y = placed @ (column + inside, row + inside)
            u, v = plane.from_ground(grid.crs, [x], [y])
            found = raster.at(float(u[0]), float(v[0]))
            code = int(codes[row, column])
            assert found == ((row, column), [None if code == NODATA else code])
    x, y = placed @ (80.5, 30)
    u, v = plane.from_ground(grid.crs, [x], [y])
    assert raster.at(float(u[0]), float(v[0])) is None
    raster.close()


def _png(data: bytes) -> np.ndarray:
    with MemoryFile(data) as file, file.open() as picture:
        assert picture.driver == "PNG"
        return picture.read()


@pytest.mark.parametrize("validity", ["none", "nodata", "alpha", "mask"])
def test_pictures_are_transparent_where_the_scene_is_invalid(
    make_scene: Make, validity: str
) -> None:
    valid = np.ones((64, 64), bool)
    valid[:, 32:] = validity == "none"
    path = make_scene(valid=valid, validity=validity)
    with rasterio.open(path) as dataset:
        pixels, grid = dataset.read((1, 2, 3)), Grid.of(dataset)
    plane = Plane.of(grid)
    tiles = PictureTiles(Raster(str(path), plane, (1, 2, 3)), ((0, 255),) * 3)
    opaque = 0
    for bounds in _tiles(plane, plane.deepest):
        picture = _png(tiles.tile(bounds, TILE, native=True))
        steps = (np.arange(TILE) + 0.5) / TILE
        uu, vv = np.meshgrid(
            bounds[0] + steps * (bounds[2] - bounds[0]), bounds[3] - steps * (bounds[3] - bounds[1])
        )
        x, y = transform("EPSG:3857", grid.crs, uu.ravel(), vv.ravel())
        column, row = ~grid.transform @ (np.array(x), np.array(y))
        safe = (np.abs(column % 1 - 0.5) < 0.3) & (np.abs(row % 1 - 0.5) < 0.3)
        safe &= (column > 0) & (column < 64) & (row > 0) & (row < 64)
        at = row[safe].astype(int), column[safe].astype(int)
        alpha = picture[3].ravel()[safe]
        assert np.array_equal(alpha, np.where(valid[at], 255, 0))
        seen = alpha == 255
        assert np.array_equal(picture[:3].reshape(3, -1)[:, safe][:, seen], pixels[:, *at][:, seen])
        opaque += int(seen.sum())
    assert opaque > 1000
    tiles.raster.close()


def test_values_are_drawn_between_their_limits(make_scene: Make) -> None:
    ramp = np.tile(np.linspace(100, 1100, 64).astype(np.uint16), (1, 64, 1))
    path = make_scene(pixels=ramp, crs=None, transform=Affine.identity())
    with rasterio.open(path) as dataset:
        plane = Plane.of(Grid.of(dataset))
    tiles = PictureTiles(Raster(str(path), plane, (1,)), ((200, 1000),))
    grey, alpha = _png(tiles.tile((0, -64, 64, 0), 64, native=True))
    wanted = np.round(np.clip((ramp[0] - 200.0) / 800, 0, 1) * 255)
    assert np.array_equal(grey, wanted)
    assert (alpha == 255).all()
    tiles.raster.close()


def test_what_is_not_finite_is_transparent(make_scene: Make) -> None:
    pixels = np.full((1, 64, 64), 5, np.float32)
    pixels[0, :10] = np.nan
    pixels[0, 10:20] = np.inf
    path = make_scene(pixels=pixels, crs=None, transform=Affine.identity())
    with rasterio.open(path) as dataset:
        plane = Plane.of(Grid.of(dataset))
    raster = Raster(str(path), plane, (1,))
    _, alpha = _png(PictureTiles(raster, ((0, 10),)).tile((0, -64, 64, 0), 64, native=True))
    assert (alpha[:20] == 0).all()
    assert (alpha[20:] == 255).all()
    assert raster.at(5, -5) == ((5, 5), [None])
    assert raster.at(5, -15) == ((15, 5), [None])
    assert raster.at(5, -25) == ((25, 5), [5.0])
    raster.close()


def test_threads_read_alike(make_map: Make, tmp_path: Path) -> None:
    path = make_map(tmp_path / "map.tif")
    with rasterio.open(path) as dataset:
        plane = Plane.of(Grid.of(dataset))
    tiles = ClassTiles(Raster(str(path), plane, (1,)))
    work = _tiles(plane, plane.deepest)
    alone = [tiles.tile(bounds, TILE) for bounds in work]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda b: tiles.tile(b, TILE), work * 3))
    assert together == alone * 3
    tiles.raster.close()


def test_a_damaged_file_is_named(make_map: Make, tmp_path: Path) -> None:
    path = make_map(tmp_path / "map.tif", shape=(600, 600))
    with rasterio.open(path) as dataset:
        plane = Plane.of(Grid.of(dataset))
        middle = int(dataset.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    with path.open("r+b") as file:
        file.seek(middle)
        file.write(bytes(1000))
    tiles = ClassTiles(Raster(str(path), plane, (1,)))
    with pytest.raises(SceneError, match=r"map.tif cannot be read"):
        _ = [tiles.tile(bounds, TILE) for bounds in _tiles(plane, plane.zoom)]
    tiles.raster.close()
