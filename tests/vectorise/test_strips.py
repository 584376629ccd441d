"""Strips worked on each by itself: the rows, and the bytes, of one reading of the raster."""

import pickle

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.crs import CRS

from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA
from rsseg.vectorise import VectoriseOptions, adjacency, assembling, vectorise
from rsseg.vectorise.joined_rows import rows_in_strips
from rsseg.vectorise.outlines import outlines
from rsseg.vectorise.rows import joined
from rsseg.vectorise.strips import Work, strips_of
from rsseg.vectorise.table import Table
from rsseg.vectorise.tool import begin, write

UTM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
maps = st.tuples(st.integers(1, 24), st.integers(1, 16)).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 255]))
)
choices = st.fixed_dictionaries(
    {},
    optional={
        "connectivity": st.just(8),
        "sieve": st.integers(2, 8),
        "min_area": st.floats(0.3, 3),
        "simplify": st.sampled_from([0.6, 1.5]),
        "smooth": st.just(True),
        "classes": st.just(("building", "2")),
    },
)


def write_map(path, array, confidence=None, crs=32633, transform=UTM):
    grid = Grid(*array.shape, transform, CRS.from_epsg(crs))
    write_raster(path, array[None], grid, nodata=NODATA, legend=LAND_COVER)
    if confidence is not None:
        write_raster(path.with_name("sure.tif"), confidence[None], grid, nodata=NODATA)
    return path


def here(function, calls):
    """Results as if they came over a network."""
    for call in calls:
        yield pickle.loads(pickle.dumps(function(*pickle.loads(pickle.dumps(call)))))


def in_strips(path, options, cuts=None, lon_lat=False, on_pixels=lambda pixels: None):
    work = Work(str(path), options, lon_lat)
    table = Table(path, options, lon_lat=lon_lat)
    cuts = strips_of(str(path)) if cuts is None else cuts
    return list(table.counted(rows_in_strips(work, table, cuts, here, on_pixels))), table


def in_one(path, options, lon_lat=False):
    table = Table(path, options, lon_lat=lon_lat)
    shaping = {name: getattr(table.shaping, name) for name in table.shaping.__dataclass_fields__}
    batches = outlines(path, **shaping, confidence=options.confidence)
    return list(table.counted(map(table.rows, batches))), table


def require_same(found, expected):
    assert bool(found) == bool(expected)
    if found:
        one, other = joined(found), joined(expected)
        assert len(one) == len(other)
        assert shapely.equals_identical(one.polygons, other.polygons).all()
        for mine, theirs in zip(one.values, other.values, strict=True):
            assert mine.dtype == theirs.dtype
            assert mine.tobytes() == theirs.tobytes() or (mine == theirs).all()


@pytest.fixture
def _let_go_early(monkeypatch):
    monkeypatch.setattr(assembling, "_WORTH", 0)
    monkeypatch.setattr(assembling, "_POINTS", 20)
    monkeypatch.setattr(adjacency, "_WORTH", 0)


@pytest.mark.usefixtures("_let_go_early")
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(maps, choices, st.lists(st.integers(1, 9), min_size=1), st.booleans(), st.booleans())
def test_strips_give_the_rows_of_the_whole(tmp_path, array, chosen, sizes, sure, lon_lat):
    confidence = np.random.default_rng(0).choice(np.array([0, 9, 254, 255], np.uint8), array.shape)
    path = write_map(tmp_path / "map.tif", array, confidence if sure else None)
    if sure:
        chosen = chosen | {"confidence": str(tmp_path / "sure.tif")}
    options = VectoriseOptions(**chosen)
    ends = np.unique(np.minimum(np.cumsum(np.resize(sizes, len(array))), len(array))).tolist()
    cuts = list(zip([0, *ends[:-1]], ends, strict=True))
    found, table = in_strips(path, options, cuts, lon_lat)
    expected, other = in_one(path, options, lon_lat)
    require_same(found, expected)
    assert np.array_equal(table.counts, other.counts)


def noisy(shape, seed=0):
    """Blocks of five classes, some void, with noise on them; one region goes through all."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 6, (shape[0] // 10 + 1, shape[1] // 10 + 1), dtype=np.uint8)
    array = blocks.repeat(10, axis=0).repeat(10, axis=1)[: shape[0], : shape[1]].copy()
    array[array == 5] = NODATA
    noise = random.random(array.shape) < 0.05
    array[noise] = random.integers(0, 5, noise.sum())
    array[:, 50:53] = 1
    return array


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"sieve": 6, "min_area": 8.0, "simplify": 1.0, "smooth": True, "by_class": True},
        {"connectivity": 8, "min_area": 3.0},
    ],
)
def test_the_bytes_are_those_of_one_machine(tmp_path, suffix, chosen):
    if suffix == ".fgb":
        chosen = {**chosen, "by_class": False}
    path = write_map(tmp_path / "map.tif", noisy((700, 400)))
    assert len(strips_of(str(path), 1)) == 3
    options = VectoriseOptions(**chosen, layer=None if chosen.get("by_class") else "land")
    once, twice = tmp_path / f"one{suffix}", tmp_path / f"strips{suffix}"
    expected = vectorise(path, once, options=options)
    table = begin(path, twice, options)
    work, done = Work(str(path), options, lon_lat=False), []
    cuts = strips_of(str(path), 1)
    result = write(
        path, twice, options, table, rows_in_strips(work, table, cuts, here, done.append)
    )
    assert twice.read_bytes() == once.read_bytes()
    assert (result.polygons, result.classes) == (expected.polygons, expected.classes)
    passes = 1 + ("sieve" in chosen) + ("min_area" in chosen)
    assert sum(done) == passes * 700 * 400


def test_strips_are_rows_of_blocks_and_no_smaller_than_asked(tmp_path):
    path = str(write_map(tmp_path / "map.tif", np.zeros((700, 400), np.uint8)))
    assert strips_of(path) == [(0, 700)]
    assert strips_of(path, 256 * 400) == [(0, 256), (256, 512), (512, 700)]
    assert strips_of(path, 256 * 400 + 1) == [(0, 512), (512, 700)]


def test_degrees_and_an_empty_map(tmp_path):
    degrees = Affine(1e-5, 0, 14, 0, -1e-5, 48)
    path = write_map(tmp_path / "map.tif", noisy((90, 70)), crs=4326, transform=degrees)
    options = VectoriseOptions(min_area=4.0)
    cuts = [(0, 20), (20, 21), (21, 90)]
    require_same(in_strips(path, options, cuts)[0], in_one(path, options)[0])
    write_map(path, np.full((90, 70), NODATA, np.uint8))
    assert in_strips(path, options, cuts)[0] == []
