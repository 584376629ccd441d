"""Samples of a scene cover it, hold valid pixels and are always the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from rsseg.errors import SceneError
from rsseg.geo.scene import Scene
from rsseg.prediction.planning.sampling import sample_windows, spread

FILL = np.full(3, 9.0)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 80), st.integers(1, 60))
def test_windows_differ_and_lie_inside(height: int, width: int, size: int, count: int) -> None:
    places = list(spread(height, width, size, count))
    assert 1 <= len(places) <= count
    assert len(set(places)) == len(places)
    for row, column in places:
        assert 0 <= row <= max(0, height - size)
        assert 0 <= column <= max(0, width - size)
    assert places == list(spread(height, width, size, count))


def test_few_windows_cover_the_scene() -> None:
    places = np.array(list(spread(1064, 1064, 64, 36)))
    counts = np.histogram2d(*places.T, bins=3, range=[(0, 1000)] * 2)[0]
    assert counts.min() >= 2
    assert counts.max() <= 6


def test_samples_are_pixels_of_the_scene(make_scene: Any) -> None:
    scene = make_scene(height=100, width=90)
    with Scene(scene) as opened:
        windows = sample_windows(opened, 32, 32, 5, FILL)
        places = list(spread(100, 90, 32, 5))
        for window, place in zip(windows, places, strict=True):
            expected = opened.read(Window(place[1], place[0], 32, 32))[0]
            np.testing.assert_array_equal(window, expected)
        assert sample_windows(opened, 32, 16, 5, FILL).shape == (5, 3, 16, 16)
        assert len(sample_windows(opened, 120, 120, 5, FILL)) == 1


def test_places_without_pixels_are_passed_over(make_scene: Any) -> None:
    valid = np.zeros((200, 200), bool)
    valid[150:, 100:] = True
    with Scene(make_scene(valid=valid, validity="nodata")) as opened:
        windows = sample_windows(opened, 40, 40, 4, FILL)
    assert (windows == 9).all(axis=1).mean() <= 0.5
    sliver = np.zeros((200, 200), bool)
    sliver[:, :5] = True
    with Scene(make_scene("sliver.tif", valid=sliver, validity="nodata")) as opened:
        assert 1 <= len(sample_windows(opened, 40, 40, 4, FILL)) <= 4


def test_a_scene_without_a_pixel_is_refused(make_scene: Any) -> None:
    nothing = np.zeros((100, 100), bool)
    with (
        Scene(make_scene(valid=nothing, validity="nodata")) as opened,
        pytest.raises(SceneError, match="no valid pixel was found in"),
    ):
        sample_windows(opened, 40, 40, 4, FILL)
