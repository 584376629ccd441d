import numpy as np
import pytest

from rsseg.legend import LAND_COVER, NODATA
from rsseg.report.pictures import class_picture, colour_picture, fitted, reduced


def test_classes_keep_their_exact_colours(seen):
    codes = np.arange(6, dtype=np.uint8).reshape(2, 3)
    codes[1, 2] = NODATA
    picture = class_picture(codes, LAND_COVER, "a map")
    expected = [(*known.colour, 255) for known in LAND_COVER] + [(0, 0, 0, 0)]
    assert seen(picture.uri).reshape(-1, 4).tolist() == [list(rgba) for rgba in expected]
    assert (picture.width, picture.height, picture.alt) == (3, 2, "a map")


def test_scenes_look_as_they_are_and_are_clear_where_invalid(seen):
    rows, columns = np.mgrid[:40, :60].astype(np.uint8)
    colours = np.stack([rows * 4, columns * 4, rows + columns])
    valid = np.ones((40, 60), bool)
    assert (seen(colour_picture(colours, valid, "").uri)[..., 3] == 255).all()
    valid[:, :30] = False
    found = seen(colour_picture(colours, valid, "").uri)
    assert ((found[..., 3] > 0) == valid).all()
    difference = np.abs(found[:, 30:, :3] - np.moveaxis(colours, 0, -1)[:, 30:].astype(int))
    assert difference.mean() < 6


def test_one_pixel_is_a_picture(seen):
    assert seen(class_picture(np.zeros((1, 1), np.uint8), LAND_COVER, "").uri).shape == (1, 1, 4)
    pixel = np.full((3, 1, 1), 9, np.uint8)
    assert seen(colour_picture(pixel, np.ones((1, 1), bool), "").uri).shape == (1, 1, 4)


@pytest.mark.parametrize("limit", [3_000, 100_000])
def test_noise_is_made_smaller_until_it_fits(limit):
    def make(shape):
        noise = np.random.default_rng(0).integers(0, 5, shape, dtype=np.uint8)
        return class_picture(noise, LAND_COVER, "")

    picture = fitted(make, 900, 300, 600, limit)
    assert len(picture.uri) * 3 // 4 <= limit
    assert picture.height == pytest.approx(3 * picture.width, abs=2)
    assert picture.height <= 600


def test_what_is_small_is_not_enlarged():
    assert reduced(7, 5, 100) == (7, 5)
    assert reduced(1, 20_000, 100) == (1, 100)
