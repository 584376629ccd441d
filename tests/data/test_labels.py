import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from rsseg.data import labels
from rsseg.data.labels import LabelRaster
from rsseg.errors import LegendError, OptionError, SceneError
from rsseg.geo.opening import open_raster
from rsseg.legend import NODATA, LandClass, Legend

LEGEND = Legend((LandClass(7, "a", (1, 1, 1)), LandClass(2, "b", (2, 2, 2))))
CODES = np.random.default_rng(0).choice([7, 2, NODATA], (20, 30)).astype(np.uint8)
INDICES = np.select([CODES == 7, CODES == 2], [0, 1], NODATA)


def _read(path, window, shape=None):
    raster = LabelRaster(path, LEGEND)
    try:
        return raster.read(window, shape or (int(window.height), int(window.width)))
    finally:
        raster.close()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32"])
def test_codes_become_indices_whatever_the_type(make_scene, dtype):
    path = make_scene(pixels=CODES[None].astype(dtype))
    indices = _read(path, Window(3, 4, 20, 10))
    assert indices.dtype == np.uint8
    assert np.array_equal(indices, INDICES[4:14, 3:23])


def test_unlabelled_beyond_the_raster(make_scene):
    indices = _read(make_scene(pixels=CODES[None]), Window(-5, -4, 40, 32))
    expected = np.full((32, 40), NODATA)
    expected[4:24, 5:35] = INDICES
    assert np.array_equal(indices, expected)


@pytest.mark.parametrize("factor", [2, 3])
def test_resampling_invents_no_class(make_scene, factor):
    path = make_scene(pixels=CODES[None])
    larger = _read(path, Window(0, 0, 30, 20), (20 * factor, 30 * factor))
    assert np.array_equal(larger, INDICES.repeat(factor, 0).repeat(factor, 1))
    smaller = _read(path, Window(0, 0, 30, 20), (10, 15))
    blocks = INDICES.reshape(10, 2, 15, 2).swapaxes(1, 2).reshape(10, 15, 4)
    assert (blocks == smaller[..., None]).any(axis=2).all()


@pytest.mark.parametrize(
    ("dtype", "code"),
    [("uint8", 3), ("uint16", 300), ("uint16", 255 + 256), ("int16", -1), ("int32", -500)]
    + [("float32", 2.5), ("uint32", 2**31)],
)
def test_unknown_codes_are_refused_by_file_and_code(make_scene, dtype, code):
    pixels = CODES[None].astype(dtype)
    pixels[0, 5, 6] = code
    path = make_scene("label.tif", pixels=pixels)
    with pytest.raises(LegendError, match=rf"label\.tif holds the code {code}, expected 7 \w+, 2 "):
        _read(path, Window(0, 0, 30, 20))
    _read(path, Window(0, 0, 5, 5))


def test_a_picture_is_no_label(make_scene):
    with pytest.raises((LegendError, SceneError), match=r"picture\.tif.*band"):
        LabelRaster(make_scene("picture.tif", bands=3), LEGEND)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(SceneError, match="there is no file"):
        LabelRaster(tmp_path / "nowhere.tif", LEGEND)


def test_coarse_labels_and_parts(make_scene):
    path = make_scene(pixels=CODES[None])  # 20 x 30 pixels, each of 3 x 3 of the scene
    labels = LabelRaster(path, LEGEND, Window(6, 9, 60, 45), stride=3)
    try:
        assert labels.shape == (45, 60)
        assert np.array_equal(labels.read(Window(0, 0, 60, 45)), INDICES[3:18, 2:22])
        assert np.array_equal(labels.read(Window(3, 6, 9, 12)), INDICES[5:9, 3:6])
        larger = labels.read(Window(3, 6, 9, 12), (12, 9))
        assert np.array_equal(larger, INDICES[5:9, 3:6].repeat(3, 0).repeat(3, 1))
        beyond = labels.read(Window(-3, -3, 66, 51))
        assert (beyond[0] == NODATA).all()
        assert (beyond[:, -1] == NODATA).all()
        assert np.array_equal(beyond[1:-1, 1:-1], INDICES[3:18, 2:22])
        with pytest.raises(OptionError, match="cuts pixels of .*multiples of 3"):
            labels.read(Window(1, 0, 9, 12))
        with pytest.raises(OptionError, match="cuts pixels"):
            labels.read(Window(0, 0, 9, 11))
    finally:
        labels.close()


def test_overviews_that_mix_classes_are_not_read(tmp_path):
    legend = Legend(tuple(LandClass(code, f"c{code}", (code,) * 3) for code in (0, 9, 4)))
    codes = np.where(np.add.outer(np.arange(1100) // 3, np.arange(1100) // 3) % 2, 9, 0)
    profile = {"driver": "COG", "count": 1, "height": 1100, "width": 1100, "dtype": "uint8"}
    profile |= {"crs": "EPSG:32633", "transform": Affine(1, 0, 9, 0, -1, 9), "blocksize": 128}
    with rasterio.open(tmp_path / "l.tif", "w", **profile) as target:
        target.write(codes.astype(np.uint8)[None])
    with rasterio.open(tmp_path / "l.tif") as stored:
        shrunk = stored.read(1, out_shape=(300, 500))
    assert not set(np.unique(shrunk)) <= {0, 9}  # what the driver has made of them
    raster = LabelRaster(tmp_path / "l.tif", legend)
    for shape in ((550, 550), (300, 500), (1400, 2200)):
        indices = raster.read(Window(0, 0, 1100, 1100), shape)
        rows, columns = (((np.arange(n) + 0.5) * 1100 / n).astype(int) for n in shape)
        assert np.array_equal(indices, legend.indices[codes[rows[:, None], columns]])
    raster.close()


def test_what_is_no_number_is_no_class(make_scene):
    pixels = np.full((1, 4, 5), 7, np.float32)
    pixels[0, 1, 2] = np.nan
    with pytest.raises(
        LegendError, match=r"holds the code nan, expected 7 .*, or 255 for unlabelled"
    ):
        _read(make_scene(pixels=pixels), Window(0, 0, 5, 4))


def test_a_truncated_raster_is_named_with_the_place(make_scene):
    path = make_scene(pixels=CODES[None])
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(SceneError, match="cannot be read near row 2, column 1; the file is dam"):
        _read(path, Window(1, 2, 20, 18))


@pytest.mark.parametrize(("compress", "directly"), [(None, True), ("deflate", False)])
def test_only_uncompressed_labels_are_read_directly(make_scene, monkeypatch, compress, directly):
    creation = {"compress": compress} if compress else {}
    path = make_scene(pixels=CODES[None], **creation)
    ways = []

    def opened(path, *, scattered=False):
        ways.append(scattered)
        return open_raster(path, scattered=scattered)

    monkeypatch.setattr(labels, "open_raster", opened)
    here, plain = LabelRaster(path, LEGEND, scattered=True), LabelRaster(path, LEGEND)
    assert ways[-2] is directly
    window = Window(3, 2, 20, 10)
    assert np.array_equal(here.read(window), plain.read(window))
    here.close()
    plain.close()
