"""`dissolved`: beside a slow and obvious version of its law."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from rsseg.vectorise.dissolving import dissolved

sides = st.integers(1, 9)
maps = st.tuples(sides, sides).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, 255]))
)


def dissolve(array, min_area, connectivity=4, rows=3):
    def read(on_pixels, *, confidence):
        for row in range(0, len(array), rows):
            codes = array[row : row + rows].copy()
            yield codes, None
            on_pixels(codes.size)

    strips = dissolved(read, min_area, connectivity, lambda pixels: None)
    return np.concatenate([codes for codes, _ in strips(lambda pixels: None, confidence=False)])


def label(array, connectivity):
    """Regions numbered by their first pixel, from 1; 0 is void."""
    structure = np.ones((3, 3)) if connectivity == 8 else None
    labels = np.zeros(array.shape, int)
    for code in set(array[array != 255].tolist()):
        found, _ = ndimage.label(array == code, structure)
        labels[found > 0] = found[found > 0] + labels.max()
    _, first = np.unique(labels[labels > 0], return_index=True)
    numbers = np.zeros(labels.max() + 1, int)
    numbers[labels[labels > 0][np.sort(first)]] = np.arange(1, len(first) + 1)
    return numbers[labels]


def one_by_one(array, min_area, connectivity):
    """The smallest region first, labelled anew after each."""
    array = array.copy()
    while True:
        labels = label(array, connectivity)
        area = np.bincount(labels.ravel())
        for region in sorted(range(1, len(area)), key=lambda region: (area[region], region)):
            border = borders(labels, region)
            if area[region] < min_area and border:
                best = min(border, key=lambda other: (-border[other], -area[other], other))
                array[labels == region] = array[labels == best][0]
                break
        else:
            return array


def borders(labels, region):
    """Edges of pixels that a region shares with each other one."""
    found = {}
    for one, other in (
        (labels[:, 1:], labels[:, :-1]),
        (labels[:, :-1], labels[:, 1:]),
        (labels[1:], labels[:-1]),
        (labels[:-1], labels[1:]),
    ):
        for neighbour in other[(one == region) & (other != region) & (other > 0)].tolist():
            found[neighbour] = found.get(neighbour, 0) + 1
    return found


@settings(max_examples=100, deadline=None)
@given(maps, st.integers(2, 10), st.sampled_from([4, 8]), st.integers(1, 9))
def test_it_is_as_if_done_one_by_one(array, min_area, connectivity, rows):
    expected = one_by_one(array, min_area, connectivity)
    assert np.array_equal(dissolve(array, min_area, connectivity, rows), expected)


@given(maps, st.floats(1.5, 20), st.integers(1, 9))
def test_nothing_small_is_left_but_islands_and_nothing_is_lost(array, min_area, rows):
    found = dissolve(array, min_area, rows=rows)
    assert np.array_equal(found == 255, array == 255)
    labels = label(found, 4)
    for region, area in enumerate(np.bincount(labels.ravel())[1:], 1):
        assert area >= min_area or not borders(labels, region)


def test_it_goes_to_the_longest_border_not_to_the_largest():
    array = np.zeros((4, 6), np.uint8)
    array[2:, :3] = 1
    array[2, 1] = 2
    assert dissolve(array, 3)[2, 1] == 1


def test_what_became_one_with_its_like_is_no_longer_small():
    """The middle pixel joins both of its neighbours: neither is dissolved."""
    array = np.array([[1, 1, 2, 1, 1], [255, 255, 255, 255, 255], [3, 3, 3, 3, 3]], np.uint8)
    assert dissolve(array, 3)[0].tolist() == [1] * 5


@pytest.mark.parametrize("connectivity", [4, 8])
def test_an_island_stays(connectivity):
    array = np.full((5, 5), 255, np.uint8)
    array[2, 2] = 1
    assert np.array_equal(dissolve(array, 4, connectivity), array)
