import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from rsseg.legend import LAND_COVER, NODATA, LandClass, Legend
from rsseg.report.classes import ClassMap, shown_classes, spare_colours

WHOLE = Window(0, 0, 64, 64)
CODES = np.random.default_rng(0).integers(0, 5, (64, 64), dtype=np.uint8)


def counts(*codes):
    return np.bincount(codes, minlength=256).astype(np.int64)


def test_codes_are_read_as_they_are(make_map):
    codes = CODES.copy()
    codes[:9] = NODATA
    with ClassMap(make_map(codes)) as raster:
        assert (raster.read(WHOLE) == codes).all()
        assert (raster.read(Window(3, 5, 20, 10)) == codes[5:15, 3:23]).all()
        assert raster.coloured


def test_a_smaller_picture_has_the_class_that_is_most_of_it(make_map):
    codes = np.kron(np.arange(4, dtype=np.uint8).reshape(2, 2), np.ones((32, 32), np.uint8))
    codes[::3, ::3] = 4
    with ClassMap(make_map(codes)) as raster:
        assert raster.read(WHOLE, (2, 2)).tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("validity", ["nodata", "mask"])
def test_what_the_file_hides_has_no_class(make_scene, validity):
    valid = np.ones((64, 64), bool)
    valid[10:20] = False
    path = make_scene(pixels=CODES[None], valid=valid, validity=validity, nodata=200)
    with ClassMap(path) as raster:
        assert (raster.read(WHOLE) == np.where(valid, CODES, NODATA)).all()
        assert not raster.coloured


def test_wide_integers_are_codes_too(make_scene):
    pixels = CODES[None].astype(np.int16)
    pixels[0, 0] = -1, *[300] * 63
    with ClassMap(make_scene(pixels=pixels)) as raster:
        found = raster.read(WHOLE)
    assert (found[0] == NODATA).all()
    assert (found[1:] == CODES[1:]).all()


def test_classes_keep_the_colours_and_order_of_their_legend():
    shown = shown_classes(LAND_COVER, counts(3, 3, 0), coloured=True)
    assert shown == LAND_COVER.classes


def test_codes_without_a_class_are_shown_as_such():
    shown = shown_classes(LAND_COVER, counts(1, 77, NODATA), coloured=True)
    assert shown[:-1] == LAND_COVER.classes
    assert (shown[-1].code, shown[-1].name) == (77, "class 77")


def test_a_map_without_colours_gets_some_that_differ(make_scene):
    with ClassMap(make_scene(pixels=CODES[None])) as raster:
        shown = shown_classes(raster.legend, counts(0, 1, 4), coloured=raster.coloured)
    assert [known.code for known in shown] == [0, 1, 4]
    assert len({known.colour for known in shown}) == 3


def test_long_legends_are_told_as_far_as_they_occur():
    legend = Legend(tuple(LandClass(n, f"kind {n}", (n, n, n)) for n in range(200)))
    assert [known.code for known in shown_classes(legend, counts(7, 9), coloured=True)] == [7, 9]


def test_spare_colours_differ():
    colours = [colour for colour, _ in zip(spare_colours(), range(60), strict=False)]
    assert len(set(colours)) == 60
    assert all(0 <= part <= 255 for colour in colours for part in colour)


def test_tags_are_told(make_map):
    path = make_map(CODES)
    with rasterio.open(path, "r+") as target:
        target.update_tags(RSSEG_SCENE="a.tif")
    with ClassMap(path) as raster:
        assert raster.tags["RSSEG_SCENE"] == "a.tif"
