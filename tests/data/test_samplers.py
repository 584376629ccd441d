import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.data.samplers import GridWindows, RandomWindows
from rsseg.errors import OptionError

shapes = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=1, max_size=4)
scales = st.tuples(st.floats(0.25, 1), st.floats(1, 4))


@given(shapes, st.integers(1, 64), scales, st.integers(0, 2**40))
def test_no_random_window_leaves_its_scene_and_magnification_stays_in_range(
    shapes, size, scale, seed
):
    sampler = RandomWindows(size, 20, seed, scale)
    places = list(sampler.places(shapes))
    assert len(places) == len(sampler) == 20
    for number, window in places:
        rows, columns = shapes[number]
        side = window.height
        assert side == window.width >= 1
        assert 0 <= window.row_off <= rows - side
        assert 0 <= window.col_off <= columns - side
        assert side == int(side)
        largest = round(size / scale[0])
        smallest = max(1, min(round(size / scale[1]), rows, columns))
        assert smallest <= side <= largest


@given(shapes, st.integers(0, 2**40), st.integers(0, 100))
def test_seed_and_epoch_decide_the_windows(shapes, seed, epoch):
    sampler = RandomWindows(8, 10, seed, (0.5, 2.0))
    assert list(sampler.places(shapes, epoch)) == list(sampler.places(shapes, epoch))


def test_seeds_and_epochs_differ():
    shapes = [(500, 500)] * 3
    drawn = [
        tuple(RandomWindows(32, 10, seed).places(shapes, epoch))
        for seed in range(3)
        for epoch in range(3)
    ]
    assert len(set(map(str, drawn))) == len(drawn)


def test_every_pixel_of_small_scenes_and_the_whole_range_of_scales_are_drawn():
    seen = np.zeros((10, 14), bool)
    for _, window in RandomWindows(4, 2000).places([(10, 14)]):
        seen[window.toslices()] = True
    assert seen.all()
    sides = [w.height for _, w in RandomWindows(64, 2000, scale=(0.5, 2)).places([(500, 500)])]
    assert (min(sides), max(sides)) == (32, 128)
    assert np.median(sides) == pytest.approx(64, rel=0.05)  # as often larger as smaller


def test_scenes_are_drawn_in_proportion_to_their_area():
    shapes = [(100, 100), (100, 300), (200, 300)]
    drawn = [scene for scene, _ in RandomWindows(16, 4000).places(shapes)]
    assert np.bincount(drawn) / 4000 == pytest.approx([0.1, 0.3, 0.6], abs=0.03)


@pytest.mark.parametrize(
    "arguments",
    [(0, 1), (1, 0), (1, 1, 0, (0.0, 1.0)), (1, 1, 0, (2.0, 1.0)), (1, 1, 0, (-1.0, 1.0))],
)
def test_impossible_samplers_are_refused(arguments):
    with pytest.raises(OptionError):
        RandomWindows(*arguments)


@given(shapes, st.integers(1, 40), st.data())
def test_grid_windows_cover_every_scene_and_are_the_same_each_epoch(shapes, size, data):
    sampler = GridWindows(size, data.draw(st.integers(1, size)))
    places = list(sampler.places(shapes))
    assert places == list(sampler.places(shapes, epoch=1))
    seen = [np.zeros(shape, bool) for shape in shapes]
    for scene, window in places:
        assert (window.height, window.width) == (size, size)
        seen[scene][window.toslices()] = True
    assert all(mask.all() for mask in seen)


def test_a_grid_with_gaps_is_refused():
    with pytest.raises(OptionError, match="gaps"):
        list(GridWindows(8, 9).places([(100, 100)]))
