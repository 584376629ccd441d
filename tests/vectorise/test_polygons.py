"""`polygonise`: the laws that make polygons and pixels say the same."""

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.features import rasterize
from scipy import ndimage
from shapely.geometry import MultiPolygon, Polygon, box

from rsseg.errors import OptionError
from rsseg.vectorise import polygonise, polygons

PIXELS = Affine.identity()
NORTH_UP = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
SOUTH_UP = Affine(0.5, 0, 400_000, 0, 0.5, 5_000_000)
ROTATED = NORTH_UP @ Affine.rotation(30) @ Affine.scale(1, 2)
TRANSFORMS = [PIXELS, NORTH_UP, SOUTH_UP, ROTATED]

sides = st.integers(1, 9)
maps = st.tuples(sides, sides).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 7, 255]))
)
connectivities = st.sampled_from([4, 8])


def components(array, value, connectivity):
    structure = np.ones((3, 3)) if connectivity == 8 else None
    return ndimage.label(array == value, structure)[1]


# --- laws


@given(maps, connectivities)
def test_area_of_a_class_is_its_pixels(array, connectivity):
    polygons, codes = polygonise(array, NORTH_UP, connectivity=connectivity)
    areas = shapely.area(polygons)
    for code in (0, 1, 7):
        assert areas[codes == code].sum() == (array == code).sum() * 0.25
        union = shapely.union_all(polygons[codes == code])
        assert union.area == (array == code).sum() * 0.25
    assert areas.sum() == (array != 255).sum() * 0.25


@given(maps, connectivities)
def test_one_valid_polygon_for_each_connected_component(array, connectivity):
    polygons, codes = polygonise(array, NORTH_UP, connectivity=connectivity)
    assert shapely.is_valid(polygons).all()
    assert {type(p) for p in polygons} <= {Polygon, MultiPolygon}
    if connectivity == 4:
        assert {type(p) for p in polygons} <= {Polygon}
    for code in (0, 1, 7):
        assert (codes == code).sum() == components(array, code, connectivity)


@given(maps, connectivities)
def test_interiors_are_disjoint(array, connectivity):
    polygons, _ = polygonise(array, PIXELS, connectivity=connectivity)
    tree = shapely.STRtree(polygons)
    first, second = tree.query(polygons, predicate="intersects")
    assert not shapely.area(shapely.intersection(polygons[first], polygons[second]))[
        first != second
    ].any()


@given(maps, connectivities)
def test_nodata_is_nowhere_covered(array, connectivity):
    polygons, codes = polygonise(array, PIXELS, connectivity=connectivity)
    assert 255 not in codes
    rows, columns = np.nonzero(array == 255)
    union = shapely.union_all(polygons)
    for row, column in zip(rows, columns, strict=True):
        assert union.intersection(box(column, row, column + 1, row + 1)).area == 0


@pytest.mark.parametrize("transform", TRANSFORMS)
@given(maps, connectivities)
def test_rasterised_back_it_is_the_map(transform, array, connectivity):
    polygons, codes = polygonise(array, transform, connectivity=connectivity)
    drawn = np.full_like(array, 255)
    if len(polygons):
        drawn = rasterize(
            zip(polygons, codes, strict=True), out=drawn, transform=transform, fill=255
        )
    assert np.array_equal(drawn, array)


@pytest.mark.parametrize("transform", TRANSFORMS)
@given(maps, connectivities)
def test_outer_rings_run_counter_clockwise_and_holes_clockwise(transform, array, connectivity):
    polygons, _ = polygonise(array, transform, connectivity=connectivity)
    for polygon in shapely.get_parts(polygons):
        assert polygon.exterior.is_ccw
        assert not any(hole.is_ccw for hole in polygon.interiors)


@given(maps, connectivities)
def test_any_strip_gives_the_same(array, connectivity):
    whole = polygonise(array, ROTATED, connectivity=connectivity)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polygons, "_STRIP", 1)
        pieces = polygonise(array, ROTATED, connectivity=connectivity)
    assert shapely.equals_identical(whole[0], pieces[0]).all()
    assert np.array_equal(whole[1], pieces[1])


def test_every_map_of_two_classes_on_3_x_4_pixels():
    for bits in range(0, 1 << 12, 3):
        array = ((bits >> np.arange(12, dtype=np.uint16)) & 1).astype(np.uint8).reshape(3, 4)
        for connectivity in (4, 8):
            polygons, codes = polygonise(array, PIXELS, connectivity=connectivity)
            assert shapely.is_valid(polygons).all()
            assert shapely.area(polygons)[codes == 1].sum() == array.sum()
            assert (codes == 1).sum() == components(array, 1, connectivity)


# --- single cases


def test_a_pixel_is_a_square_on_the_ground():
    polygons, codes = polygonise(np.array([[3]], np.uint8), NORTH_UP)
    assert codes.tolist() == [3]
    assert codes.dtype == np.uint8
    assert polygons[0].equals(box(400_000, 4_999_999.5, 400_000.5, 5_000_000))


def test_a_map_of_one_class_is_its_rectangle():
    polygons, codes = polygonise(np.full((3, 5), 4, np.uint8), PIXELS)
    assert codes.tolist() == [4]
    assert polygons[0].normalize() == box(0, 0, 5, 3).normalize()


def test_an_island_leaves_a_hole():
    array = np.zeros((5, 5), np.uint8)
    array[1:4, 1:4] = 1
    array[2, 2] = 0
    polygons, codes = polygonise(array, PIXELS)
    assert sorted(zip(codes.tolist(), shapely.area(polygons).tolist(), strict=True)) == [
        (0, 1),
        (0, 16),
        (1, 8),
    ]
    assert shapely.get_num_interior_rings(polygons).tolist().count(1) == 2


def test_diagonal_pixels_are_two_polygons_or_one_multipolygon():
    array = np.array([[1, 255], [255, 1]], np.uint8)
    four, _ = polygonise(array, PIXELS)
    eight, codes = polygonise(array, PIXELS, connectivity=8)
    assert [p.geom_type for p in four] == ["Polygon", "Polygon"]
    assert [p.geom_type for p in eight] == ["MultiPolygon"]
    assert codes.tolist() == [1]
    assert eight[0].equals(MultiPolygon([box(0, 0, 1, 1), box(1, 1, 2, 2)]))


@pytest.mark.parametrize("shape", [(2, 3), (1, 1), (0, 4), (0, 0)])
def test_without_valid_pixels_there_is_nothing(shape):
    polygons, codes = polygonise(np.full(shape, 255, np.uint8), PIXELS)
    assert polygons.shape == codes.shape == (0,)
    assert codes.dtype == np.uint8


def test_nodata_is_a_value_of_the_callers_or_none():
    array = np.array([[0, 255]], np.uint8)
    assert polygonise(array, PIXELS, nodata=0)[1].tolist() == [255]
    assert sorted(polygonise(array, PIXELS, nodata=None)[1].tolist()) == [0, 255]


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_values_keep_their_type(dtype):
    top = min(np.iinfo(dtype).max, 2**31 - 1)
    polygons, codes = polygonise(np.array([[1, top]], dtype), PIXELS)
    assert sorted(codes.tolist()) == [1, top]
    assert codes.dtype == dtype
    assert len(polygons) == 2


def test_bool_is_two_classes():
    _, codes = polygonise(np.array([[True, False]]), PIXELS)
    assert sorted(codes.tolist()) == [False, True]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), np.float32),
        np.zeros((1, 2, 2), np.uint8),
        np.array([[2**31]], np.int64),
        np.array([[-(2**31) - 1]], np.int64),
    ],
)
def test_what_gdal_would_round_is_refused(array):
    with pytest.raises(OptionError, match="array"):
        polygonise(array, PIXELS)


@pytest.mark.parametrize("connectivity", [0, 6])
def test_another_connectivity_is_refused(connectivity):
    with pytest.raises(OptionError, match="expected 4 or 8"):
        polygonise(np.zeros((2, 2), np.uint8), PIXELS, connectivity=connectivity)
