import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.data.repeated import RepeatedScenes
from rsseg.data.samplers import GridWindows, RandomWindows
from rsseg.errors import OptionError


@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(1, 4)), min_size=1, max_size=5
    )
)
def test_every_window_comes_as_often_as_its_scene(scenes):
    shapes, times = [scene[:2] for scene in scenes], tuple(scene[2] for scene in scenes)
    once = list(GridWindows(16, 16).over(shapes))
    repeated = list(RepeatedScenes(GridWindows(16, 16), times).over(shapes))
    assert sorted(map(str, repeated)) == sorted(str(p) for p in once for _ in range(times[p[0]]))


def test_scenes_listed_once_are_drawn_as_without():
    shapes, zooms = [(40, 50), (90, 30), (20, 20)], [1.0, 0.5, 2.0]
    sampler = RandomWindows(16, 100, seed=3, scale=(0.5, 2.0))
    repeated = RepeatedScenes(sampler, (1, 1, 1))
    assert list(repeated.over(shapes, zooms)) == list(sampler.over(shapes, zooms))
    assert (repeated.size, len(repeated.over(shapes))) == (16, 100)


def test_zooms_stay_with_their_scenes():
    places = RepeatedScenes(GridWindows(8, 8), (3, 2)).over([(16, 16), (16, 16)], [1.0, 0.5])
    assert {(scene, int(window.height)) for scene, window in places} == {(0, 8), (1, 16)}


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(OptionError, match="once or more, got 0"):
        RepeatedScenes(GridWindows(8, 8), (1, 0))
    with pytest.raises(OptionError, match="expected 2, got 1"):
        RepeatedScenes(GridWindows(8, 8), (1, 2)).over([(9, 9)])
