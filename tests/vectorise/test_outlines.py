"""`outlines`: polygons of files, in strips as small as memory asks for."""

import threading
import time

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.features import sieve
from shapely.geometry import box

from rsseg.errors import GridMismatch, OptionError, SceneError
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA
from rsseg.vectorise import assembling, polygonise
from rsseg.vectorise.outlines import outlines

TRANSFORM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
PIXELS = Affine.identity()


def noisy(shape=(300, 500), seed=0):
    """Blocks of five classes and a corner of nodata, with noise on them."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 5, (shape[0] // 10, shape[1] // 10), dtype=np.uint8)
    array = blocks.repeat(10, axis=0).repeat(10, axis=1)
    noise = random.random(array.shape) < 0.05
    array[noise] = random.integers(0, 5, noise.sum())
    array[:40, :60] = NODATA
    return array


@pytest.fixture
def make_map(tmp_path):
    """A function that writes bands as a raster on the grid of `TRANSFORM`."""

    def make(array, name="map.tif", transform=TRANSFORM, **options):
        bands = array[None] if array.ndim == 2 else array
        grid = Grid(*bands.shape[1:], transform, CRS.from_epsg(32633))
        write_raster(tmp_path / name, bands, grid, nodata=NODATA, **options)
        return tmp_path / name

    return make


def collect(path, **options):
    batches = list(outlines(path, **options))
    polygons = np.concatenate([np.empty(0, object), *(batch.outlines for batch in batches)])
    codes = np.concatenate([np.empty(0, int), *(batch.codes for batch in batches)])
    confidence = [batch.confidence for batch in batches]
    return polygons, codes, confidence


def test_a_file_gives_the_polygons_of_its_pixels(make_map):
    array = noisy()
    polygons, codes, confidence = collect(make_map(array, legend=LAND_COVER))
    expected, values = polygonise(array, Affine.scale(1, 1))
    assert codes.dtype == np.int64
    assert confidence == [None] * len(confidence)
    same = shapely.equals_identical(polygons, shapely.orient_polygons(expected, exterior_cw=True))
    assert np.array_equal(codes, values)
    assert shapely.equals(polygons, expected).all()
    assert same.all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"connectivity": 8},
        {"sieve": 6},
        {"min_area": 12.5},
        {"sieve": 4, "min_area": 9, "simplify": 1.5, "smooth": True},
        {"simplify": 2, "connectivity": 8},
    ],
)
def test_memory_changes_nothing(make_map, monkeypatch, options):
    path = make_map(noisy())
    polygons, codes, _ = collect(path, **options)
    monkeypatch.setattr(assembling, "_WORTH", 0)
    monkeypatch.setattr(assembling, "_POINTS", 100)
    few, few_codes, batches = collect(path, memory=1_000_000, **options)
    assert len(batches) > 8
    assert shapely.equals_identical(polygons, few).all()
    assert np.array_equal(codes, few_codes)


def test_sieved_polygons_are_those_of_the_sieved_raster(make_map):
    array = noisy()
    polygons, codes, _ = collect(make_map(array), sieve=8)
    expected, values = polygonise(sieve(array, 8, mask=array != NODATA), PIXELS)
    assert np.array_equal(codes, values)
    assert shapely.equals(polygons, expected).all()


def test_min_area_leaves_no_hole(make_map):
    array = noisy()
    array[5, 5] = 1  # an island in nodata
    polygons, _, _ = collect(make_map(array), min_area=30)
    areas = shapely.area(polygons)
    assert areas.sum() == (array != NODATA).sum()
    assert sorted(areas)[0] == 1
    assert sorted(areas)[1] >= 30
    assert shapely.coverage_is_valid(polygons)


@pytest.mark.parametrize("options", [{"simplify": 1.5}, {"smooth": True, "simplify": 3}])
def test_the_coverage_stays_valid_across_strips(make_map, options):
    array = noisy()
    array[array == NODATA] = 0
    polygons, _, _ = collect(make_map(array), min_area=12, memory=500_000, **options)
    assert shapely.is_valid(polygons).all()
    assert shapely.coverage_is_valid(polygons)
    assert shapely.area(polygons).sum() == pytest.approx(array.size)
    assert shapely.union_all(polygons, grid_size=2**-20).equals(box(0, 0, 500, 300))


def test_confidence_is_the_mean_of_final_polygons(make_map):
    array = np.array([[0, 0, 1, 0], [0, 0, 2, 2]], np.uint8)
    confidence = np.array([[254, 127, 0, 255], [255, 254, 255, 255]], np.uint8)
    raster, shares = make_map(array), make_map(confidence, "confidence.tif")
    polygons, codes, found = collect(raster, confidence=shares)
    assert codes.tolist() == [1, 0, 0, 2]
    assert np.concatenate(found) == pytest.approx([0, np.nan, 2.5 / 3, np.nan], nan_ok=True)
    _, codes, found = collect(raster, confidence=shares, sieve=2)
    assert codes.tolist() == [0, 2]
    assert np.concatenate(found) == pytest.approx([2.5 / 4, np.nan], nan_ok=True)


def test_nodata_and_masks_get_no_polygon(make_map, tmp_path):
    array = noisy((80, 120))
    path = tmp_path / "masked.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 120, "height": 80}
    hidden = np.random.default_rng(1).random(array.shape) < 0.2
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", **profile, transform=TRANSFORM, nodata=None) as target,
    ):
        target.write(array, 1)
        target.write_mask(~hidden)
    assert shapely.area(collect(path)[0]).sum() == ((array != NODATA) & ~hidden).sum()
    with rasterio.open(tmp_path / "zero.tif", "w", **profile, nodata=0) as target:
        target.write(array, 1)
    _, codes, _ = collect(tmp_path / "zero.tif")
    assert set(codes.tolist()) == {1, 2, 3, 4}


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 2)])
def test_small_and_thin_rasters(make_map, shape):
    array = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8) // 3 % 5
    polygons, _, _ = collect(make_map(array), sieve=2, min_area=2, simplify=2, smooth=True)
    assert shapely.area(polygons).sum() == array.size
    assert shapely.coverage_is_valid(polygons)


def test_without_valid_pixels_there_is_nothing(make_map):
    path = make_map(np.full((30, 40), NODATA, np.uint8))
    assert collect(path, sieve=3, min_area=3, simplify=1, smooth=True)[0].shape == (0,)


def test_progress_counts_the_pixels_of_all_readings(make_map):
    told = []
    collect(
        make_map(noisy()),
        sieve=5,
        min_area=5,
        memory=1_000_000,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (450_000, 450_000)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) > 100


def test_a_reader_that_stops_early_leaves_no_thread_waiting(make_map, monkeypatch):
    monkeypatch.setattr(assembling, "_WORTH", 0)
    batches = outlines(make_map(noisy()), memory=125_000)
    next(batches)
    batches.close()
    assert list(batches) == []
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("read", "outlines"))]


@pytest.mark.parametrize("pass_", [1, 2, 3])
def test_a_reader_that_fails_does_not_wait_for_the_rest(make_map, pass_):
    """The first error of any pass ends all; the pixels after it are not read."""
    seen = []

    def fail(done, total):
        seen.append(done)
        if done > (pass_ - 1) * total / 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(make_map(noisy()), sieve=3, min_area=9, memory=125_000, on_progress=fail)
    assert seen[-1] == (pass_ - 1) * 150_000 + 500
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("read", "outlines"))]


def test_one_who_leaves_early_stops_the_reading(make_map, monkeypatch):
    seen = []

    def slowly(done, total):
        seen.append(done)
        time.sleep(0.005)

    monkeypatch.setattr(assembling, "_WORTH", 0)
    batches = outlines(make_map(noisy()), memory=125_000, on_progress=slowly)
    next(batches)
    monkeypatch.setattr(assembling, "_WORTH", 1 << 40)  # the next batch would be all the rest
    batches.close()
    assert 0 < seen[-1] < 100_000


# --- what is refused


@pytest.mark.parametrize(
    "options",
    [{"connectivity": 6}, {"sieve": -1}, {"min_area": np.nan}, {"simplify": np.inf}],
)
def test_options_out_of_range_are_refused(make_map, options):
    with pytest.raises(OptionError, match="unusable"):
        collect(make_map(noisy()), **options)


def test_too_little_memory_for_a_row_is_refused(make_map):
    path = make_map(noisy())
    with pytest.raises(OptionError, match=r"a row of .*at least 125000 bytes, got 124999"):
        collect(path, memory=124_999)
    assert len(collect(path, memory=125_000)[0]) == len(collect(path)[0])


def test_another_kind_of_raster_is_refused(make_map):
    floats = make_map(np.zeros((4, 4), np.float32))
    with pytest.raises(SceneError, match="is not a class raster, expected one band of 8-bit codes"):
        collect(floats)
    with pytest.raises(SceneError, match="got 2 bands of uint8"):
        collect(make_map(np.zeros((2, 4, 4), np.uint8)))
    with pytest.raises(SceneError, match="is not a confidence raster"):
        collect(
            make_map(np.zeros((4, 4), np.uint8), "codes.tif"),
            confidence=make_map(np.zeros((4, 4), np.float32), "floats.tif"),
        )


def test_confidence_on_another_grid_is_refused(make_map):
    array = np.zeros((4, 4), np.uint8)
    moved = make_map(array, "moved.tif", transform=TRANSFORM @ Affine.translation(1, 0))
    with pytest.raises(GridMismatch, match="warp one of them"):
        collect(make_map(array), confidence=moved)


@pytest.mark.parametrize("options", [{}, {"sieve": 3}])
def test_a_damaged_file_is_an_error(make_map, options):
    path = make_map(np.random.default_rng(0).integers(0, 5, (600, 300), dtype=np.uint8))
    content = bytearray(path.read_bytes())
    quarter = len(content) // 4
    content[quarter : 3 * quarter] = bytes(2 * quarter)
    path.write_bytes(content)
    with pytest.raises(SceneError, match="cannot be read near row .*; the file is damaged"):
        collect(path, **options)
