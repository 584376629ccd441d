"""`simplify` and `smooth`: neighbours go on sharing their edges, nothing is torn or crossed."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from shapely.geometry import box

from rsseg.vectorise.assembling import Assembler
from rsseg.vectorise.polygons import build

sides = st.integers(1, 14)
classes = st.sampled_from([[0, 1], [0, 1, 2, 3], [0, 1, 255]])
maps = st.tuples(sides, sides, classes).flatmap(
    lambda drawn: hnp.arrays(np.uint8, drawn[:2], elements=st.sampled_from(drawn[2]))
)
coarse = maps.map(lambda array: np.kron(array, np.ones((3, 2), np.uint8)))
tolerances = st.sampled_from([0, 0.8, 1.5, 3, 30])


def polygons_of(array, **options):
    assembler = Assembler(*array.shape, void=255, **options)
    batches = [*assembler.add(array), *assembler.finish()]
    return np.concatenate([np.empty(0, object), *map(build, batches)])


def circles(size=120):
    """Discs and half planes, as smooth as pixels can be."""
    y, x = np.mgrid[:size, :size]
    array = (x + 2 * y > 1.6 * size).astype(np.uint8)
    array[np.hypot(x - 40, y - 45) < 25] = 2
    array[np.hypot(x - 80, y - 70) < 30] = 3
    array[np.hypot(x - 80, y - 70) < 9] = 1
    return array


@settings(max_examples=200)
@given(st.one_of(maps, coarse), tolerances, st.booleans(), st.sampled_from([4, 8]))
def test_it_stays_a_coverage(array, simplify, smooth, connectivity):
    polygons = polygons_of(array, simplify=simplify, smooth=smooth, connectivity=connectivity)
    exact = polygons_of(array, connectivity=connectivity)
    assert len(polygons) == len(exact)
    assert shapely.is_valid(polygons).all()
    assert (shapely.area(polygons) > 0).all()
    assert shapely.coverage_is_valid(shapely.get_parts(polygons))
    if (array != 255).all():
        assert shapely.area(polygons).sum() == pytest.approx(array.size)
        assert shapely.union_all(polygons, grid_size=2**-20).area == pytest.approx(array.size)


@given(coarse, tolerances, st.booleans())
def test_nodes_and_the_frame_stay(array, simplify, smooth):
    array[array == 255] = 0
    exact = polygons_of(array)
    changed = polygons_of(array, simplify=simplify, smooth=smooth)
    corners, counts = np.unique(
        np.concatenate([np.unique(shapely.get_coordinates(p), axis=0) for p in exact]),
        axis=0,
        return_counts=True,
    )
    nodes = corners[counts > 2].tolist()
    left = {tuple(point) for point in shapely.get_coordinates(changed)}
    assert {tuple(node) for node in nodes} <= left
    height, width = array.shape
    assert {(0, 0), (width, 0), (0, height), (width, height)} <= left


@pytest.mark.parametrize("tolerance", [1.0, 1.5, 3.0])
def test_it_leaves_as_few_corners_as_geos(tolerance):
    array = circles()
    exact = polygons_of(array)
    ours = shapely.get_num_coordinates(polygons_of(array, simplify=tolerance)).sum()
    theirs = shapely.get_num_coordinates(shapely.coverage_simplify(exact, tolerance)).sum()
    assert ours <= 1.1 * theirs
    assert ours < shapely.get_num_coordinates(exact).sum() / 2


def test_a_tolerance_moves_no_line_farther_than_its_triangles():
    array = circles()
    for before, after in zip(polygons_of(array), polygons_of(array, simplify=1.5), strict=True):
        assert shapely.hausdorff_distance(before, after) < 6
        assert before.area == pytest.approx(after.area, rel=0.1)


def test_a_square_stays_a_square_with_rounded_corners():
    array = np.zeros((40, 40), np.uint8)
    array[10:30, 10:30] = 1
    assert polygons_of(array, simplify=5)[0].equals(box(10, 10, 30, 30))
    smooth = polygons_of(array, smooth=True)[0]
    assert box(10, 10, 30, 30).covers(smooth)
    assert smooth.area == pytest.approx(400 - 4 * 9 / 6, abs=1.5)  # of each corner of 3 x 3 a sixth
    assert smooth.covers(box(13, 10, 27, 30))


def test_smoothing_takes_the_stairs_off_a_slope():
    array = np.tril(np.ones((30, 30), np.uint8))
    slope = polygons_of(array, smooth=True)[1]
    line = shapely.LineString([(0, 0), (30, 30)])
    points = shapely.points(shapely.get_coordinates(slope))
    near = points[(shapely.distance(points, line) < 1)]
    assert len(near) > 30
    assert shapely.distance(near, line).max() <= 0.75


def test_one_pixel_lines_keep_their_width():
    """What is between two near lines keeps them from moving into each other."""
    array = np.zeros((30, 60), np.uint8)
    for x in range(60):
        array[x // 3 : x // 3 + 2, x] = 1
    for options in ({"simplify": 1.5}, {"simplify": 3}, {"simplify": 1.5, "smooth": True}):
        polygons = polygons_of(array, **options)
        assert shapely.coverage_is_valid(polygons)
        assert shapely.area(polygons)[1] == pytest.approx(120, rel=0.2)
