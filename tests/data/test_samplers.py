import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.data.samplers import GridWindows, RandomWindows
from rsseg.errors import OptionError

shapes = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=1, max_size=4)
scales = st.tuples(st.floats(0.25, 1), st.floats(1, 4))


@given(shapes, st.integers(1, 64), scales, st.floats(1, 3), st.integers(0, 2**40))
def test_no_random_window_leaves_a_scene_it_can_fit_into_and_magnification_stays_in_range(
    shapes, size, scale, aspect, seed
):
    sampler = RandomWindows(size, 20, seed, scale, aspect)
    places = sampler.over(shapes)
    assert len(places) == len(list(places)) == 20
    for number, window in places:
        rows, columns = shapes[number]
        assert all(value == int(value) for value in window.flatten())
        high, wide = int(window.height), int(window.width)
        for longer, shorter in ((high, wide), (wide, high)):  # each rounded
            assert longer - 0.5 <= aspect * (shorter + 0.5) + 1e-6
        assert min(window.row_off, window.col_off) >= 0
        for side, length, offset in (
            (high, rows, window.row_off),
            (wide, columns, window.col_off),
        ):
            assert side <= size * aspect**0.5 / scale[0] + 1
            assert offset + side <= length or side > length
        if max(high - rows, wide - columns) > 0:  # the scene is too small at any magnification
            assert min(rows, columns) <= size * aspect**0.5 / scale[1] + 1
            assert high * wide <= (size / scale[1]) ** 2 * 1.5 + 2 * size + 2


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 5), st.integers(0, 99))
def test_windows_keep_to_their_step(rows, columns, step, seed):
    shape = (rows * step, columns * step)
    sampler = RandomWindows(8 * step, 10, seed, (0.5, 2), step=step)
    for _, window in sampler.over([shape]):
        assert all(value % step == 0 for value in window.flatten())


@given(st.floats(0.3, 3), st.integers(0, 99))
def test_a_zoom_is_magnification_before_all_else(zoom, seed):
    plain = RandomWindows(64, 5, seed).over([(1000, 1000)], [zoom])
    assert {round(64 / zoom)} == {w.height for _, w in plain} == {w.width for _, w in plain}
    tiles = GridWindows(64, 64).over([(1000, 1000)], [zoom])
    assert {w.height for _, w in tiles} == {round(64 / zoom)}


def test_any_window_can_be_had_without_those_before_it():
    places = RandomWindows(8, 10, 3, (0.5, 2)).over([(50, 60), (20, 30)])
    assert [places[number] for number in (25, 3, 25)] == [
        list(places.epoch(2))[5],
        list(places)[3],
        places[25],
    ]


@given(shapes, st.integers(0, 2**40), st.integers(0, 100))
def test_seed_and_epoch_decide_the_windows(shapes, seed, epoch):
    sampler = RandomWindows(8, 10, seed, (0.5, 2.0))
    assert list(sampler.over(shapes).epoch(epoch)) == list(sampler.over(shapes).epoch(epoch))


def test_seeds_and_epochs_differ():
    shapes = [(500, 500)] * 3
    drawn = [
        tuple(RandomWindows(32, 10, seed).over(shapes).epoch(epoch))
        for seed in range(3)
        for epoch in range(3)
    ]
    assert len(set(map(str, drawn))) == len(drawn)


def test_every_pixel_of_small_scenes_and_the_whole_range_of_scales_are_drawn():
    seen = np.zeros((10, 14), bool)
    for _, window in RandomWindows(4, 2000).over([(10, 14)]):
        seen[window.toslices()] = True
    assert seen.all()
    sides = [w.height for _, w in RandomWindows(64, 2000, scale=(0.5, 2)).over([(500, 500)])]
    assert (min(sides), max(sides)) == (32, 128)
    assert np.median(sides) == pytest.approx(64, rel=0.05)  # as often larger as smaller


def test_scenes_are_drawn_in_proportion_to_their_area():
    shapes = [(100, 100), (100, 300), (200, 300)]
    drawn = [scene for scene, _ in RandomWindows(16, 4000).over(shapes)]
    assert np.bincount(drawn) / 4000 == pytest.approx([0.1, 0.3, 0.6], abs=0.03)


@pytest.mark.parametrize(
    "arguments",
    [(0, 1), (1, 0), (1, 1, 0, (0.0, 1.0)), (1, 1, 0, (2.0, 1.0)), (1, 1, 0, (-1.0, 1.0))]
    + [(1, 1, 0, (1.0, 1.0), 0.5), (1, 1, 0, (1.0, 1.0), 1.0, 0)],
)
def test_impossible_samplers_are_refused(arguments):
    with pytest.raises(OptionError):
        RandomWindows(*arguments)


@given(shapes, st.integers(1, 40), st.data())
def test_grid_windows_cover_every_scene_and_are_the_same_each_epoch(shapes, size, data):
    sampler = GridWindows(size, data.draw(st.integers(1, size)))
    places = list(sampler.over(shapes))
    assert places == list(sampler.over(shapes).epoch(1))
    seen = [np.zeros(shape, bool) for shape in shapes]
    for scene, window in places:
        assert (window.height, window.width) == (size, size)
        seen[scene][window.toslices()] = True
    assert all(mask.all() for mask in seen)


def test_a_grid_with_gaps_is_refused():
    with pytest.raises(OptionError, match="gaps"):
        list(GridWindows(8, 9).over([(100, 100)]))
