import numpy as np

from rsseg.geo.class_colours import coloured_legend, doubts, shown_classes, spare_colours
from rsseg.geo.code_raster import CodeRaster
from rsseg.legend import LAND_COVER, NODATA, LandClass, Legend


def counts(*codes):
    return np.bincount(codes, minlength=256).astype(np.int64)


def test_classes_keep_the_colours_and_order_of_their_legend():
    shown = shown_classes(LAND_COVER, counts(3, 3, 0), coloured=True)
    assert shown == LAND_COVER.classes


def test_codes_without_a_class_are_shown_as_such():
    shown = shown_classes(LAND_COVER, counts(1, 77, NODATA), coloured=True)
    assert shown[:-1] == LAND_COVER.classes
    assert (shown[-1].code, shown[-1].name) == (77, "class 77")


def test_a_map_without_colours_gets_some_that_differ(make_scene):
    codes = np.zeros((1, 64, 64), np.int16)
    codes[0, 20:], codes[0, 50:], codes[0, 60:] = 7, 200, 3
    path = make_scene(pixels=codes, validity="nodata", nodata=3)
    with CodeRaster(path) as raster:
        legend = coloured_legend(raster)
        assert not doubts(raster, legend.classes)
    assert [(known.code, known.name) for known in legend] == [
        (0, "class 0"), (7, "class 7"), (200, "class 200"),
    ]  # fmt: skip
    assert len({known.colour for known in legend}) == 3


def test_a_map_with_colours_keeps_them(make_map):
    with CodeRaster(make_map()) as raster:
        assert coloured_legend(raster) == LAND_COVER


def test_a_map_of_nothing_has_a_legend(make_scene):
    path = make_scene(pixels=np.zeros((1, 9, 9), np.uint8), validity="nodata", nodata=0)
    with CodeRaster(path) as raster:
        assert len(coloured_legend(raster)) == NODATA - 1


def test_a_picture_in_grey_is_doubted(make_scene):
    with CodeRaster(make_scene(bands=1)) as raster:
        (doubt,) = doubts(raster, coloured_legend(raster).classes)
    assert "values without names or colours: is it a map of classes?" in doubt


def test_long_legends_are_told_as_far_as_they_occur():
    legend = Legend(tuple(LandClass(n, f"kind {n}", (n, n, n)) for n in range(200)))
    assert [known.code for known in shown_classes(legend, counts(7, 9), coloured=True)] == [7, 9]


def test_spare_colours_differ():
    colours = [colour for colour, _ in zip(spare_colours(), range(60), strict=False)]
    assert len(set(colours)) == 60
    assert all(0 <= part <= 255 for colour in colours for part in colour)
