import shutil

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from rsseg.errors import BandError, SceneError
from rsseg.geo.opening import open_raster
from rsseg.geo.scene import Scene

SMALL = [(1, 1), (1, 7), (7, 1), (2, 3), (5, 64), (33, 20)]


def _hole(height=40, width=50, seed=1):
    """A validity mask with a block and some single pixels invalid."""
    valid = np.random.default_rng(seed).random((height, width)) > 0.05
    valid[3:12, 5:30] = False
    return valid


def _all(scene):
    return Window(0, 0, scene.grid.width, scene.grid.height)


# --- windows


def test_windows_inside_are_the_files_pixels(make_scene):
    path = make_scene(height=40, width=50, bands=4, dtype="uint16")
    with rasterio.open(path) as dataset:
        expected = dataset.read()
    with Scene(path) as scene:
        pixels, valid = scene.read(Window(11, 7, 20, 30))
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels, expected[:, 7:37, 11:31])
    assert valid.shape == (30, 20)
    assert valid.all()


@pytest.mark.parametrize(("row", "column"), [(-9, -15), (-9, 20), (25, 20), (25, -15), (-5, 3)])
def test_windows_beyond_the_edges_are_the_reflected_scene(make_scene, row, column):
    path = make_scene(height=40, width=40)
    with rasterio.open(path) as dataset:
        reflected = np.pad(dataset.read(), ((0, 0), (64, 64), (64, 64)), mode="reflect")
    with Scene(path) as scene:
        pixels, valid = scene.read(Window(column, row, 32, 24))
    expected = reflected[:, 64 + row :, 64 + column :][:, :24, :32]
    assert np.array_equal(pixels, expected)
    rows, columns = np.arange(row, row + 24), np.arange(column, column + 32)
    inside = ((rows >= 0) & (rows < 40))[:, None] & (columns >= 0) & (columns < 40)
    assert np.array_equal(valid, inside)


@pytest.mark.parametrize(("height", "width"), SMALL)
def test_scenes_smaller_than_the_window_are_reflected_as_often_as_needed(make_scene, height, width):
    path = make_scene(height=height, width=width)
    with rasterio.open(path) as dataset:
        pads = ((0, 0), (0, 64 - height), (0, 64 - width))
        expected = np.pad(dataset.read(), pads, mode="reflect")
    with Scene(path) as scene:
        pixels, valid = scene.read(Window(0, 0, 64, 64))
    assert np.array_equal(pixels, expected)
    assert valid.sum() == valid[:height, :width].sum() == height * width


@pytest.mark.parametrize("shape", [(16, 16), (80, 80), (7, 33)])
def test_resampled_windows_have_the_shape_asked_for_and_keep_constants(make_scene, shape):
    path = make_scene(pixels=np.full((3, 40, 40), 90, np.uint8))
    with Scene(path) as scene:
        for window in (Window(0, 0, 40, 40), Window(3, 5, 11, 8), Window(-8, 30, 30, 30)):
            pixels, valid = scene.read(window, shape)
            assert pixels.shape == (3, *shape)
            assert valid.shape == shape
            assert (pixels == 90).all()
    with Scene(path) as scene:
        assert scene.read(Window(0, 0, 40, 40), shape)[1].all()


# --- validity


@pytest.mark.parametrize(
    ("validity", "dtype", "bands"),
    [
        ("nodata", "uint8", 3),
        ("nodata", "uint16", 4),
        ("nodata", "float32", 1),
        ("alpha", "uint8", 3),
        ("alpha", "uint16", 1),
        ("mask", "uint8", 3),
        ("mask", "float32", 2),
    ],
)
def test_validity_is_what_the_file_says(make_scene, validity, dtype, bands):
    expected = _hole()
    path = make_scene(valid=expected, validity=validity, dtype=dtype, bands=bands)
    with Scene(path) as scene:
        pixels, valid = scene.read(_all(scene))
        assert np.array_equal(valid, expected)
        assert pixels.shape == (bands, 40, 50)  # alpha is no band
        assert np.array_equal(scene.read(Window(4, 2, 30, 8))[1], expected[2:10, 4:34])


def test_nodata_in_some_bands_only_is_valid(make_scene):
    pixels = np.full((3, 4, 4), 9, np.uint8)
    pixels[:2, 0, 0] = 0
    pixels[:, 1, 1] = 0
    path = make_scene(pixels=pixels, validity="nodata")
    expected = np.ones((4, 4), bool)
    expected[1, 1] = False
    with Scene(path) as scene:
        assert np.array_equal(scene.read(_all(scene))[1], expected)
    expected[0, 0] = False  # of the bands in use, all are nodata there
    with Scene(path, bands=[1, 2]) as scene:
        assert np.array_equal(scene.read(_all(scene))[1], expected)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("validity", ["none", "nodata", "mask"])
def test_floats_that_are_no_numbers_are_invalid(make_scene, odd, validity):
    pixels = np.random.default_rng(0).random((2, 6, 6)).astype(np.float32)
    pixels[1, 2, 3] = odd
    with Scene(make_scene(pixels=pixels, validity=validity)) as scene:
        valid = scene.read(_all(scene))[1]
    assert np.argwhere(~valid).tolist() == [[2, 3]]


def test_nan_as_nodata(make_scene):
    expected = _hole()
    path = make_scene(valid=expected, validity="nodata", dtype="float32", nodata=float("nan"))
    with Scene(path) as scene:
        assert np.array_equal(scene.read(_all(scene))[1], expected)


def test_fill_takes_the_place_of_invalid_pixels_before_reflection(make_scene):
    expected = _hole()
    path = make_scene(valid=expected, validity="nodata", dtype="uint16")
    fill = np.array([10.0, 20.0, 30.0])
    with Scene(path) as scene:
        raw, _ = scene.read(_all(scene))
        pixels, valid = scene.read(Window(0, 0, 64, 64), fill=fill)
    raw[:, ~expected] = fill.astype(np.uint16)[:, None]
    assert np.array_equal(pixels, np.pad(raw, ((0, 0), (0, 24), (0, 14)), mode="reflect"))
    assert np.array_equal(valid[:40, :50], expected)
    assert not valid[40:].any()


def test_fill_leaves_no_invalid_number_in_floats(make_scene):
    pixels = np.random.default_rng(0).random((1, 6, 6)).astype(np.float32)
    pixels[0, 2, 3] = np.nan
    with Scene(make_scene(pixels=pixels)) as scene:
        filled, _ = scene.read(_all(scene), fill=np.array([0.25]))
    assert filled[0, 2, 3] == 0.25
    assert np.isfinite(filled).all()


UNREADABLE = {"corrupt.tif"}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NodataShadowWarning")
def test_validity_is_rasterios_dataset_mask_on_real_files(real_data):
    files = sorted((real_data / "geotiff").glob("*/*.tif*"))
    assert len(files) > 30
    for path in files:
        if path.name in UNREADABLE:
            with pytest.raises(SceneError, match="damaged"), Scene(path) as scene:
                scene.read(_all(scene))
            continue
        with Scene(path) as scene:
            pixels, valid = scene.read(_all(scene))
        with open_raster(path) as dataset:
            expected = dataset.dataset_mask() > 0
        if pixels.dtype.kind == "f":
            expected &= np.isfinite(pixels).all(axis=0)
        assert np.array_equal(valid, expected), path


# --- bands


def test_bands_by_number_and_name(make_scene):
    path = make_scene(bands=4, descriptions=("", "", "", "NIR"))
    with rasterio.open(path) as dataset:
        expected = dataset.read()
    for bands in ([4, 1, 2], ["4", "1", "2"], ["nir", "Red", "green"], [4, "red", "2"]):
        with Scene(path, bands=bands) as scene:
            assert scene.bands == (4, 1, 2)
            assert scene.band_names == ("red", "green", "blue", "nir")
            assert np.array_equal(scene.read(_all(scene))[0], expected[[3, 0, 1]])


def test_all_bands_but_alpha_by_default(make_scene):
    with Scene(make_scene(bands=5)) as scene:
        assert scene.bands == (1, 2, 3, 4, 5)
        assert scene.band_names == ("red", "green", "blue", "4", "5")
    with Scene(make_scene(validity="alpha")) as scene:
        assert scene.bands == (1, 2, 3)


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ([4], r"scene\.tif has no band 4, expected 1-3"),
        ([0], r"scene\.tif has no band 0"),
        ([-1], r"scene\.tif has no band -1"),
        (["nir"], r"scene\.tif has no band 'nir', got red, green, blue"),
        ([], r"no band of .*scene\.tif"),
    ],
)
def test_other_bands_are_refused_in_one_sentence(make_scene, bands, message):
    with pytest.raises(BandError, match=message) as caught:
        Scene(make_scene(), bands=bands)
    assert "\n" not in str(caught.value)


# --- files that cannot be read


def test_missing_and_foreign_files_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(SceneError, match="there is no file .*nowhere"):
        Scene(tmp_path / "nowhere.tif")
    text = tmp_path / "text.tif"
    text.write_text("not a raster")
    with pytest.raises(SceneError, match=r"text\.tif cannot be opened as a raster"):
        Scene(text)


def test_complex_numbers_are_refused(make_scene):
    path = make_scene(pixels=np.ones((1, 4, 4), np.complex64))
    with pytest.raises(SceneError, match=r"scene\.tif holds complex numbers"):
        Scene(path)


def test_truncated_files_say_where_and_what_to_do(make_scene, tmp_path):
    path = make_scene(height=256, width=256, tiled=True, blockxsize=64, blockysize=64)
    short = tmp_path / "short.tif"
    shutil.copy(path, short)
    with short.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with (
        Scene(short) as scene,
        pytest.raises(SceneError, match=r"short\.tif .* rows 192-255, columns 128-191; .*download"),
    ):
        scene.read(Window(128, 192, 64, 64))


def test_closed_scenes_cannot_be_read(make_scene):
    with Scene(make_scene()) as scene:
        pass
    with pytest.raises(SceneError):
        scene.read(Window(0, 0, 8, 8))


def test_an_incomplete_png_is_an_error_and_no_noise(tmp_path):
    path = tmp_path / "scene.png"
    pixels = np.random.default_rng(0).integers(0, 255, (3, 200, 300), np.uint8)
    shape = {"count": 3, "height": 200, "width": 300, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="PNG", **shape) as target:
        target.write(pixels)
    whole = Window(0, 0, 300, 200)
    with Scene(path) as scene:
        assert np.array_equal(scene.read(whole)[0], pixels)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with Scene(path) as scene, pytest.raises(SceneError, match="damaged or incomplete"):
        scene.read(whole)


LAYOUTS = (
    {},
    {"tiled": True, "blockxsize": 16, "blockysize": 32},
    {"interleave": "band"},
    {"interleave": "band", "tiled": True, "blockxsize": 32, "blockysize": 16},
    {"compress": "deflate"},
    {"compress": "lzw", "predictor": 2},
    {"compress": "zstd", "tiled": True, "blockxsize": 16, "blockysize": 16},
)


@pytest.mark.parametrize("creation", LAYOUTS)
@pytest.mark.parametrize(
    ("dtype", "validity"),
    [("uint8", "alpha"), ("uint16", "mask"), ("float32", "nodata"), ("uint8", "none")],
)
def test_scattered_reading_gives_the_same(make_scene, creation, dtype, validity):
    valid = np.ones((61, 83), bool)
    valid[5:20, 30:50] = validity == "none"
    path = make_scene(valid=valid, validity=validity, dtype=dtype, **creation)
    generator = np.random.default_rng(0)
    with Scene(path) as plain, Scene(path, scattered=True) as scattered:
        for _ in range(12):
            left, top = generator.integers(-10, 70), generator.integers(-10, 50)
            width, height = generator.integers(12, 40, 2)
            window = Window(int(left), int(top), int(width), int(height))
            for shape in (None, (9, 14), (50, 60)):
                one, other = (scene.read(window, shape) for scene in (plain, scattered))
                assert np.array_equal(one[0], other[0])
                assert np.array_equal(one[1], other[1])


@pytest.mark.parametrize("creation", LAYOUTS[:4])
def test_scattered_reading_of_a_truncated_file_is_an_error(make_scene, creation):
    path = make_scene(height=200, width=100, **creation)
    path.write_bytes(path.read_bytes()[:30_000])
    try:
        scene = Scene(path, scattered=True)
    except SceneError:
        return
    with scene, pytest.raises(SceneError, match="damaged or incomplete"):
        scene.read(Window(0, 150, 100, 50))


def test_an_overview_is_the_whole_scene_reduced(make_scene):
    pixels = np.full((1, 100, 40), 200, np.uint8)
    pixels[:, :50] = 10
    with Scene(make_scene(pixels=pixels)) as scene:
        small, valid = scene.overview(20)
        assert small.shape == (1, 20, 8)
        assert valid.all()
        assert (small[0, :9] == 10).all()
        assert (small[0, 11:] == 200).all()
        assert np.array_equal(scene.overview(100)[0], pixels)
