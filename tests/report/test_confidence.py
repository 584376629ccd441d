import numpy as np
import pytest
import rasterio

from rsseg.errors import GridMismatch, SceneError
from rsseg.geo.grid import Grid
from rsseg.report.confidence import ConfidenceRaster

BYTES = np.random.default_rng(1).integers(0, 255, (64, 64), dtype=np.uint8)


def grid_of(path):
    with rasterio.open(path) as dataset:
        return Grid.of(dataset)


def read(path):
    with ConfidenceRaster(path, grid_of(path), "map.tif") as raster:
        return np.concatenate([raster.read(0, 40), raster.read(40, 64)])


@pytest.mark.parametrize("scaled", [True, False])
def test_bytes_are_parts_of_254_and_shares_are_of_1(make_scene, scaled):
    valid = np.ones((64, 64), bool)
    valid[3:9] = False
    expected = np.where(valid, BYTES, 255)
    path = make_scene(pixels=BYTES[None], valid=valid, validity="nodata", nodata=255)
    if scaled:
        with rasterio.open(path, "r+") as target:
            target.scales = (1 / 254,)
    assert (read(path) == expected).all()
    shares = (BYTES / 254).astype(np.float32)
    shares[~valid] = np.nan
    assert (read(make_scene("shares.tif", pixels=shares[None])) == expected).all()


def test_a_scale_of_the_file_counts(make_scene):
    path = make_scene(pixels=np.full((1, 64, 64), 5000, np.uint16))
    with rasterio.open(path, "r+") as target:
        target.scales = (1e-4,)
    assert (read(path) == 127).all()


def test_what_is_no_confidence_is_refused(make_scene):
    with pytest.raises(SceneError, match="expected values of 0-1"):
        read(make_scene(pixels=np.full((1, 64, 64), 40, np.float32)))
    with pytest.raises(SceneError, match="expected 1 band, got 3 bands"):
        read(make_scene())
    other = make_scene(bands=1)
    with pytest.raises(GridMismatch):
        ConfidenceRaster(other, grid_of(other).crop(rasterio.windows.Window(0, 0, 9, 9)), "map.tif")
