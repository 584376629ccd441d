import numpy as np
import pytest
from affine import Affine
from rasterio.windows import Window

from rsseg.errors import GridMismatch, OptionError
from rsseg.geo.grid import Grid
from rsseg.geo.scene import Scene
from rsseg.report.scenes import SceneBelow

PIXELS = np.broadcast_to(np.arange(64, dtype=np.uint8) * 3, (3, 64, 64))


def grid_of(path):
    with Scene(path) as scene:
        return scene.grid


def test_a_map_may_be_a_part_of_its_scene(make_scene, seen):
    path = make_scene(pixels=PIXELS)
    part = grid_of(path).crop(Window(20, 8, 30, 40))
    with SceneBelow(path, part, "map.tif") as below:
        found = seen(below.picture(Window(0, 0, 30, 40), "").uri)
    assert found.shape == (40, 30, 4)
    assert np.abs(found[..., 0].mean(axis=0) - PIXELS[0, 0, 20:50]).max() < 8


@pytest.mark.parametrize(
    "other",
    [
        Affine(0.5, 0, 400_000.2, 0, -0.5, 5_000_000),  # between pixels
        Affine(1, 0, 400_000, 0, -1, 5_000_000),
        Affine(0.5, 0, 400_010, 0, -0.5, 5_000_000),  # beyond the edge
    ],
)
def test_other_grids_are_refused_with_the_command_that_helps(make_scene, other):
    path = make_scene()
    place = Grid(64, 64, other, grid_of(path).crs)
    with pytest.raises(GridMismatch, match="rio warp .*scene.tif OUT.tif --like map.tif"):
        SceneBelow(path, place, "map.tif")


def test_without_a_place_sizes_must_be_equal(make_scene):
    path = make_scene(crs=None, transform=Affine.identity())
    SceneBelow(path, Grid(64, 64, Affine.identity(), None), "map.tif").__exit__(None, None, None)
    with pytest.raises(GridMismatch):
        SceneBelow(path, Grid(32, 64, Affine.identity(), None), "map.tif")


def test_other_values_than_bytes_are_stretched(make_scene, seen):
    pixels = np.broadcast_to(np.linspace(100, 900, 64).astype(np.uint16), (1, 64, 64))
    valid = np.ones((64, 64), bool)
    valid[:5] = False
    path = make_scene(pixels=pixels, valid=valid, validity="nodata")
    with SceneBelow(path, grid_of(path), "map.tif") as below:
        found = seen(below.picture(Window(0, 0, 64, 64), "").uri)
    assert found[30, 0, 0] < 12
    assert found[30, -1, 0] > 243
    assert ((found[..., 3] > 0) == valid).all()


def test_bands_are_those_of_the_eye_or_those_asked_for(make_scene, seen):
    pixels = np.stack([np.full((64, 64), v, np.uint8) for v in (10, 90, 160, 240)])
    names = ("nir", "blue", "green", "red")
    path = make_scene(pixels=pixels, descriptions=names)
    for bands, expected in (
        (None, (240, 160, 90)),
        ((1, "red", 2), (10, 240, 90)),
        ((1,), (10,) * 3),
    ):
        with SceneBelow(path, grid_of(path), "map.tif", bands) as below:
            found = seen(below.picture(Window(0, 0, 64, 64), "").uri)
        assert np.abs(found[32, 32, :3] - np.array(expected)).max() < 8
    with pytest.raises(OptionError):
        SceneBelow(path, grid_of(path), "map.tif", (1, 2))
