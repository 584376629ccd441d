"""Orthorectification: known places of the ground land where they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import Resampling, reproject

from rsseg.data.gaofen1.orthorectification import common_grid, orthorectify, tiles, utm_zone
from rsseg.data.gaofen1.product import read_product
from rsseg.errors import SceneError
from rsseg.geo.grid import Grid

BLOBS = tuple((x, y) for x in (-150.0, 0.0, 150.0) for y in (-130.0, 5.0, 140.0))
"""East and north of known points, metres from the scene's centre."""


@pytest.fixture(scope="module", params=[0.0, 60.0], ids=["flat", "hills"])
def surveyed(request, miniature, tmp_path_factory):
    """A scene with known points on flat ground or on hills of 120 m, and its DEM."""
    folder = tmp_path_factory.mktemp("surveyed")
    scene = miniature(relief=request.param, blobs=BLOBS, crops=0.0)
    return scene, read_product(scene.deliver(folder)), scene.dem(folder / "dem.tif")


def misplaced(path: Path, centre: tuple[float, float]) -> np.ndarray:
    """Metres east and north that each known point was moved: by the centroid of its blob."""
    with rasterio.open(path) as dataset:
        pixels = dataset.read(1).astype(float)
        column, row = np.meshgrid(np.arange(dataset.width) + 0.5, np.arange(dataset.height) + 0.5)
        east, north = dataset.transform @ (column, row)
    moved = []
    for x, y in BLOBS:
        x, y = x + centre[0], y + centre[1]
        near = np.hypot(east - x, north - y) < 60
        weight = np.where(near & (pixels > 0), pixels - np.median(pixels[near]), 0).clip(30) - 30
        total = weight.sum()
        moved.append([(weight * east).sum() / total - x, (weight * north).sum() / total - y])
    return np.array(moved)


def orthoimages(product, dem, folder) -> tuple[Path, Path]:
    grid = common_grid(product, dem)
    coarse = grid.resized((grid.height // 4, grid.width // 4))
    paths = folder / "pan.tif", folder / "mss.tif"
    orthorectify(product.pan, grid, paths[0], dem=dem)
    orthorectify(product.mss, coarse, paths[1], dem=dem)
    return paths


def test_the_rational_model_is_the_camera(miniature, models) -> None:
    """The RPCs of the miniature are those of a pushbroom, to a millionth of a pixel."""
    generator = np.random.default_rng(0)
    lon = 116.8 + generator.uniform(-0.002, 0.002, 500)
    lat = 39.9 + generator.uniform(-0.002, 0.002, 500)
    height = 480 + generator.uniform(-250, 250, 500)
    for camera in (miniature().pan, miniature().mss):
        model = models[1].fit(camera)
        truth = camera.see(lon, lat, height)
        np.testing.assert_allclose(model.see(lon, lat, height), truth, atol=1e-6)
        lifted = camera.see(lon, lat, height + 100) - truth
        assert np.abs(lifted).max() > 20 / camera.gsd, "the camera looks aside"


def test_known_points_land_within_half_a_pixel(surveyed, centre, tmp_path) -> None:
    _, product, dem = surveyed
    pan, mss = orthoimages(product, dem, tmp_path)
    assert np.abs(misplaced(pan, centre)).max() < 0.5, "metres: a quarter of a pixel"
    assert np.abs(misplaced(mss, centre)).max() < 1.0, "metres: half a panchromatic pixel"


def test_without_a_dem_flat_ground_lands_right_and_hills_do_not(surveyed, centre, tmp_path) -> None:
    scene, product, _ = surveyed
    for path in orthoimages(product, None, tmp_path):
        worst = np.abs(misplaced(path, centre)).max()
        assert worst < 1 if scene.relief == 0 else worst > 5


def test_pixels_are_those_of_the_ground(miniature, centre, tmp_path) -> None:
    """All values, not only points: the difference to the ground is noise, not a shift."""
    scene = miniature(relief=30.0)
    product = read_product(scene.deliver(tmp_path))
    pan, _ = orthoimages(product, scene.dem(tmp_path / "dem.tif"), tmp_path)
    with rasterio.open(pan) as dataset:
        pixels, grid = dataset.read(1).astype(float), Grid.of(dataset)
    column, row = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    truth = scene.ground(*(grid.transform @ (column, row))).mean(axis=0)
    inner = np.zeros(pixels.shape, bool)
    inner[4:-4, 4:-4] = True
    for rows in (-4, 0, 4):
        for columns in (-4, 0, 4):
            inner &= np.roll(pixels, (rows, columns), (0, 1)) > 0
    assert inner.mean() > 0.6
    difference = (pixels - truth)[inner]
    slopes = np.stack([slope[inner] for slope in np.gradient(truth)], 1)
    shift = np.linalg.lstsq(slopes, difference, rcond=None)[0]
    assert np.abs(shift).max() < 0.02, "pixels"
    assert np.abs(difference).max() < 1.5, "digital numbers"


def test_one_warp_of_the_whole_gives_the_same(surveyed, tmp_path) -> None:
    """Against rasterio's own warp, not in tiles."""
    _, product, dem = surveyed
    pan, _ = orthoimages(product, dem, tmp_path)
    with rasterio.open(pan) as dataset, rasterio.open(product.pan.path) as source:
        ours, whole = dataset.read(1).astype(int), np.zeros(dataset.shape, np.uint16)
        reproject(
            rasterio.band(source, 1),
            whole,
            rpcs=source.rpcs,
            src_crs="EPSG:4326",
            src_nodata=0,
            dst_crs=dataset.crs,
            dst_transform=dataset.transform,
            dst_nodata=0,
            resampling=Resampling.cubic,
            RPC_DEM=str(dem),
        )
    assert ((ours > 0) != (whole > 0)).mean() < 0.001
    both = (ours > 0) & (whole > 0)
    assert both.mean() > 0.6
    assert np.abs(ours - whole)[both].max() <= 2


def test_the_grid_is_utm_and_cells_hold_four_by_four_pixels(surveyed) -> None:
    _, product, dem = surveyed
    for heights in (dem, None):
        grid = common_grid(product, heights)
        assert grid.crs.to_epsg() == 32650
        assert (grid.transform.a, grid.transform.e) == (2, -2)
        assert grid.transform.c % 8 == grid.transform.f % 8 == 0
        assert grid.height % 4 == grid.width % 4 == 0
        assert 250 < grid.height < 360


def test_utm_zones() -> None:
    places = [(-180, 1), (-0.1, 51), (0.1, 51), (116.8, 39.9), (179.99, -1), (180, -1)]
    codes = [32601, 32630, 32631, 32650, 32760, 32760]
    assert [utm_zone(*place).to_epsg() for place in places] == codes


@pytest.mark.parametrize("side", [1, 7, 16, 100])
def test_tiles_cover_a_grid_once(side) -> None:
    grid = Grid(33, 20, Affine.identity(), None)
    count = np.zeros((33, 20), int)
    for window in tiles(grid, side):
        count[window.toslices()] += 1
    assert (count == 1).all()


def test_a_dem_without_crs_is_refused(delivered, miniature, tmp_path) -> None:
    dem = miniature().dem(tmp_path / "dem.tif", crs=None)
    with pytest.raises(SceneError, match=r"dem.tif has no CRS; give it its place"):
        common_grid(read_product(delivered), dem)


@pytest.mark.parametrize("shift", [400.0, 1e5])
def test_a_dem_that_does_not_cover_the_scene_is_refused(
    delivered, miniature, tmp_path, shift
) -> None:
    dem = miniature().dem(tmp_path / "dem.tif", shift=shift)
    with pytest.raises(SceneError, match=r"dem.tif does not cover GF1_PMS1.*take a larger one"):
        common_grid(read_product(delivered), dem)


def test_a_dem_that_is_no_raster_is_refused(delivered, tmp_path) -> None:
    with pytest.raises(SceneError, match="there is no file"):
        common_grid(read_product(delivered), tmp_path / "none.tif")


def test_holes_of_a_dem_take_the_height_of_the_rpc(delivered, miniature, tmp_path) -> None:
    product = read_product(delivered)
    whole = miniature().dem(tmp_path / "whole.tif")
    with rasterio.open(whole) as dataset:
        heights, profile = dataset.read(), dataset.profile
    heights[:, 40:60, 40:60] = -9999
    with rasterio.open(tmp_path / "holes.tif", "w", **profile | {"nodata": -9999}) as target:
        target.write(heights)
    images = []
    for dem in (whole, tmp_path / "holes.tif"):
        grid = common_grid(product, whole)
        orthorectify(product.pan, grid, tmp_path / "pan.tif", dem=dem)
        with rasterio.open(tmp_path / "pan.tif") as dataset:
            images.append(dataset.read(1))
    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("kind", ["pan", "mss"])
def test_a_truncated_image_is_damaged(delivered, tmp_path, kind) -> None:
    import shutil

    folder = Path(shutil.copytree(delivered, tmp_path / delivered.name))
    image = getattr(read_product(folder), kind)
    content = image.path.read_bytes()
    image.path.write_bytes(content[: len(content) // 2])
    grid = common_grid(read_product(delivered))
    with pytest.raises(SceneError, match=r"tiff cannot be .*"):
        orthorectify(getattr(read_product(folder), kind), grid, tmp_path / "out.tif")
