import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from rsseg.errors import LegendError, SceneError
from rsseg.geo.code_raster import CodeRaster
from rsseg.legend import NODATA

WHOLE = Window(0, 0, 64, 64)
CODES = np.random.default_rng(0).integers(0, 5, (64, 64), dtype=np.uint8)


def test_codes_are_read_as_they_are(make_map):
    codes = CODES.copy()
    codes[:9] = NODATA
    with CodeRaster(make_map(codes=codes)) as raster:
        assert (raster.read_window(WHOLE) == codes).all()
        assert (raster.read_window(Window(3, 5, 20, 10)) == codes[5:15, 3:23]).all()
        assert raster.coloured


def test_a_smaller_picture_has_the_class_that_is_most_of_it(make_map):
    codes = np.kron(np.arange(4, dtype=np.uint8).reshape(2, 2), np.ones((32, 32), np.uint8))
    codes[::3, ::3] = 4
    with CodeRaster(make_map(codes=codes)) as raster:
        assert raster.read_window(WHOLE, (2, 2)).tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("validity", ["nodata", "mask"])
def test_what_the_file_hides_has_no_class(make_scene, validity):
    valid = np.ones((64, 64), bool)
    valid[10:20] = False
    path = make_scene(pixels=CODES[None], valid=valid, validity=validity, nodata=200)
    with CodeRaster(path) as raster:
        assert (raster.read_window(WHOLE) == np.where(valid, CODES, NODATA)).all()
        assert not raster.coloured


def test_wide_integers_are_codes_too(make_scene):
    pixels = CODES[None].astype(np.int16)
    pixels[0, 0] = -9
    with CodeRaster(make_scene(pixels=pixels, validity="nodata", nodata=-9)) as raster:
        found = raster.read(0, 64)
    assert found.dtype == np.uint8
    assert (found[0] == NODATA).all()
    assert (found[1:] == CODES[1:]).all()


@pytest.mark.parametrize("value", [-1, 256, 300])
def test_what_is_no_code_is_refused(make_scene, value):
    pixels = CODES[None].astype(np.int16)
    pixels[0, 5, 5] = value
    with CodeRaster(make_scene(pixels=pixels)) as raster:
        assert (raster.read(0, 5) == CODES[:5]).all()
        with pytest.raises(LegendError, match=f"scene.tif holds the value {value}, expected codes"):
            raster.read(0, 6)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ({}, "got 3 bands of uint8$"),
        ({"bands": 1, "dtype": "float32"}, "got 1 band of float32; if .* gdal_translate -ot Byte"),
    ],
)
def test_other_rasters_are_refused(make_scene, kind, reason):
    expected = "not a class raster, expected one band of class codes"
    with pytest.raises(SceneError, match=f"{expected}, {reason}"):
        CodeRaster(make_scene(**kind))


def test_strips_make_up_the_raster(make_map):
    with CodeRaster(make_map(codes=CODES)) as raster:
        strips = [raster.read(start, min(start + 7, 64)) for start in range(0, 64, 7)]
        assert (np.concatenate(strips) == raster.read_window(WHOLE)).all()


def test_a_damaged_file_is_named_with_the_place(make_map):
    path = make_map(codes=CODES)
    with rasterio.open(path) as dataset:
        start = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[start : start + 20] = bytes(20)
    path.write_bytes(data)
    with (
        CodeRaster(path) as raster,
        pytest.raises(SceneError, match=r"map\.tif cannot be read at rows 3-6, columns 0-63; the"),
    ):
        raster.read(3, 7)


def test_names_and_colours_are_told_apart(make_map, make_scene):
    with CodeRaster(make_map(codes=CODES)) as raster:
        assert raster.named
        assert raster.coloured
    with CodeRaster(make_scene(pixels=CODES[None])) as raster:
        assert not raster.named
        assert not raster.coloured


def test_tags_are_told(make_map):
    path = make_map(codes=CODES)
    with rasterio.open(path, "r+") as target:
        target.update_tags(RSSEG_SCENE="a.tif")
    with CodeRaster(path) as raster:
        assert raster.tags["RSSEG_SCENE"] == "a.tif"
