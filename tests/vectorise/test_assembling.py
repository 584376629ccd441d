"""`Assembler`: the same polygons whatever the strips, and the same as GDAL's."""

import tracemalloc

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.features import shapes
from scipy import ndimage
from shapely.geometry import shape

from rsseg.vectorise import assembling
from rsseg.vectorise.assembling import Assembler
from rsseg.vectorise.polygons import build

sides = st.integers(1, 12)
maps = st.tuples(sides, sides).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 255]))
)
coarse = maps.map(lambda array: np.kron(array, np.ones((2, 3), np.uint8)))
connectivities = st.sampled_from([4, 8])

DIAGONAL = np.where(np.eye(7), 1, 0).astype(np.uint8)
FRAMES = np.array([[min(x, y, 8 - x, 8 - y) % 2 for x in range(9)] for y in range(9)], np.uint8)
CHESS = np.indices((6, 7)).sum(axis=0).astype(np.uint8) % 2
LINE = np.array([[0, 0, 1, 255, 1, 1, 2]], np.uint8)
ONE_CLASS = np.zeros((5, 8), np.uint8)
# A region that meets itself at a corner, around a hole, before and after it is known to.
RING = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 1]], np.uint8)
KNOT = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)


def assemble(array, rows, **options):
    """Geometries in pixel coordinates, codes and confidence of a map taken so many rows at once."""
    confidence = options.pop("confidence", None)
    assembler = Assembler(*array.shape, void=255, **options)
    batches = []
    for row in range(0, len(array), rows):
        shares = None if confidence is None else confidence[row : row + rows]
        batches += assembler.add(array[row : row + rows], shares)
    batches += assembler.finish()
    polygons = np.concatenate([np.empty(0, object), *map(build, batches)])
    codes = np.concatenate([np.empty(0, int), *(batch.codes for batch in batches)])
    means = np.concatenate([np.empty(0), *(batch.confidence for batch in batches)])
    return polygons, codes, means


def by_gdal(array, connectivity):
    """WKT of GDAL's polygons with their codes; outlines that touch themselves cut there."""
    found = shapes(array, array != 255, connectivity)
    polygons, codes = zip(*((shape(polygon), int(code)) for polygon, code in found), strict=True)
    return normal(shapely.make_valid(np.array(polygons, object)), codes)


def normal(polygons, codes):
    """A list that does not depend on order, starts of rings and points on straight lines."""
    straight = shapely.normalize(shapely.simplify(polygons, 0, preserve_topology=False))
    return sorted(zip(shapely.to_wkt(straight), codes, strict=True))


@pytest.fixture(autouse=True)
def _let_go_early(monkeypatch):
    """Small maps must take the ways of large ones: polygons go as soon as they are complete."""
    monkeypatch.setattr(assembling, "_WORTH", 0)
    monkeypatch.setattr(assembling, "_POINTS", 20)


@pytest.mark.parametrize("rows", [1, 2, 5, 50])
@given(array=st.one_of(maps, coarse), connectivity=connectivities)
@example(array=DIAGONAL, connectivity=8)
@example(array=DIAGONAL, connectivity=4)
@example(array=FRAMES, connectivity=4)
@example(array=CHESS, connectivity=8)
@example(array=CHESS, connectivity=4)
@example(array=LINE, connectivity=4)
@example(array=LINE.T, connectivity=8)
@example(array=ONE_CLASS, connectivity=4)
@example(array=RING, connectivity=4)
@example(array=RING[::-1], connectivity=4)
@example(array=KNOT, connectivity=4)
@example(array=KNOT[:, ::-1], connectivity=8)
def test_polygons_are_those_of_gdal(rows, array, connectivity):
    polygons, codes, _ = assemble(array, rows, connectivity=connectivity)
    assert shapely.is_valid(polygons).all()
    if (array == 255).all():
        assert len(polygons) == 0
    else:
        assert normal(polygons, codes) == by_gdal(array, connectivity)


@settings(max_examples=50)
@given(maps, connectivities, st.integers(1, 12), st.sampled_from([0, 1.5]), st.booleans())
def test_strips_change_nothing(array, connectivity, rows, simplify, smooth):
    options = {"connectivity": connectivity, "simplify": simplify, "smooth": smooth}
    whole, codes, _ = assemble(array, 100, **options)
    strips, strip_codes, _ = assemble(array, rows, **options)
    assert shapely.equals_identical(whole, strips).all()
    assert np.array_equal(codes, strip_codes)


@given(maps)
def test_neighbours_share_whole_edges(array):
    polygons, _, _ = assemble(array, 3)
    assert shapely.coverage_is_valid(polygons)
    assert shapely.union_all(polygons).area == (array != 255).sum()


@given(maps)
def test_outer_rings_run_counter_clockwise_on_the_map(array):
    polygons, _, _ = assemble(array, 4)
    for polygon in polygons:
        assert not polygon.exterior.is_ccw  # y grows downward
        assert all(hole.is_ccw for hole in polygon.interiors)


@given(maps, connectivities, st.integers(1, 12), st.randoms(use_true_random=False))
def test_confidence_is_the_mean_of_the_pixels_that_have_one(array, connectivity, rows, random):
    confidence = np.array(
        [random.choice([0, 7, 254, 255]) for _ in range(array.size)], np.uint8
    ).reshape(array.shape)
    _, codes, means = assemble(array, rows, connectivity=connectivity, confidence=confidence)
    expected = []
    structure = np.ones((3, 3)) if connectivity == 8 else None
    for code in (0, 1, 2):
        labels, count = ndimage.label(array == code, structure)
        for label in range(1, count + 1):
            known = confidence[(labels == label) & (confidence != 255)]
            expected.append((code, known.mean() if len(known) else np.nan))
    found = sorted(zip(codes.tolist(), means.tolist(), strict=True), key=str)
    assert str(found) == str(sorted(((c, float(m)) for c, m in expected), key=str))


def test_polygons_come_in_the_order_in_which_they_end():
    array = np.array([[0, 1, 2], [0, 3, 2], [0, 3, 3]], np.uint8)
    assert assemble(array, 1)[1].tolist() == [1, 2, 0, 3]


def test_what_is_complete_is_let_go():
    """Memory is for what is open: stripes across the map, each let go after it ends."""
    assembler = Assembler(40, 10, void=255)
    array = np.repeat(np.arange(40, dtype=np.uint8)[:, None], 10, axis=1)
    given = [sum(len(batch.codes) for batch in assembler.add(row[None])) for row in array]
    assert sum(given) >= 36
    assert max(given[20:]) <= 4
    assert sum(len(batch.codes) for batch in assembler.finish()) == 40 - sum(given)


def test_memory_does_not_grow_with_height():
    """No polygon of such a map is long, so what is held is that of a few strips."""
    random = np.random.default_rng(0)
    strip = random.integers(0, 8, (8, 40), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    peaks = []
    for strips in (10, 30):
        assembler = Assembler(64 * strips, 320, void=255, simplify=1.5)
        tracemalloc.start()
        polygons = 0
        for turn in range(strips):
            polygons += sum(len(batch.codes) for batch in assembler.add(np.roll(strip, turn * 24)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert polygons > 150 * (strips - 1)
    assert peaks[1] < 1.1 * peaks[0]
