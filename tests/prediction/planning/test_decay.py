"""The overlap a network needs follows from how far borders reach into its windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.bundle import DECAY_BINS
from rsseg.geo.scene import Scene
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.options import parse_overlap
from rsseg.prediction.planning.decay import (
    MOST_OVERLAP,
    THRESHOLD,
    further_in,
    known_decay,
    least_overlap,
    measure_decay,
)
from rsseg.prediction.predict import plan

SIZE = 48
FILL = np.zeros(3)


def spoilt(reach: int, seed: int = 0) -> Any:
    """A scorer by pixel value that gives random classes within ``reach`` pixels of the border."""
    random = np.random.default_rng(seed)

    def score(windows: np.ndarray) -> np.ndarray:
        index = windows[:, 0] // 64
        side = index.shape[-1]
        inside = np.zeros((side, side), bool)
        inside[reach : side - reach, reach : side - reach] = True
        index = np.where(inside, index, random.integers(0, 4, index.shape))
        return (np.arange(4)[None, :, None, None] == index[:, None]).astype(np.float32)

    return score


def measured(scene: Path, reach: int) -> tuple[float, ...] | None:
    with Scene(scene) as opened:
        return measure_decay(spoilt(reach), opened, SIZE, SIZE, FILL)


@pytest.mark.parametrize("reach", [0, 2, 3, 5, 6])
def test_the_overlap_is_twice_the_reach_of_the_border(make_scene: Any, reach: int) -> None:
    decay = measured(make_scene(height=150, width=130), reach)
    assert decay is not None
    step = SIZE / 2 / DECAY_BINS
    assert least_overlap(decay) * SIZE == 2 * np.ceil(reach / step) * step


def test_shares_are_those_of_the_distance(make_scene: Any) -> None:
    decay = measured(make_scene(height=150, width=130), 6)
    assert decay is not None
    assert len(decay) == DECAY_BINS
    assert min(decay[:4]) > 0.5, "three of four random classes differ"
    assert max(decay[4:]) == 0


def test_invalid_pixels_do_not_count(make_scene: Any) -> None:
    valid = np.zeros((150, 150), bool)
    valid[40:, 20:] = True
    decay = measured(make_scene(valid=valid, validity="nodata"), 0)
    assert decay == (0.0,) * DECAY_BINS
    nothing = np.zeros((150, 150), bool)
    assert measured(make_scene("no.tif", valid=nothing, validity="nodata"), 0) is None


@pytest.mark.parametrize(("height", "width"), [(79, 200), (200, 79), (10, 10)])
def test_small_scenes_tell_nothing(make_scene: Any, height: int, width: int) -> None:
    assert measured(make_scene(height=height, width=width), 0) is None
    assert measured(make_scene("larger.tif", height=80, width=80), 0) is not None


@given(st.lists(st.floats(0, 1), min_size=DECAY_BINS, max_size=DECAY_BINS), st.floats(0, 0.2))
def test_beyond_half_the_overlap_all_is_as_further_in(decay: list[float], threshold: float) -> None:
    overlap = least_overlap(decay, threshold)
    assert 0 <= overlap <= MOST_OVERLAP
    # pixels of a window by their distance, one by one
    side = 2 * DECAY_BINS
    along = np.minimum(np.arange(side), np.arange(side)[::-1])
    step = np.minimum(along[:, None], along)
    inner = [float(np.array(decay)[step[step >= first]].mean()) for first in range(DECAY_BINS)]
    np.testing.assert_allclose(further_in(decay), inner, atol=1e-12)
    first, last = round(overlap * DECAY_BINS), round(MOST_OVERLAP * DECAY_BINS)
    assert all(decay[at] - inner[at] <= threshold + 1e-9 for at in range(first, last))
    if first:
        assert decay[first - 1] - inner[first - 1] > threshold - 1e-9


def test_a_slow_decline_to_the_middle_is_no_seam() -> None:
    """Of a network that looks at all of its window; one that errs at the border needs overlap."""
    slow = [0.2 - 0.004 * step for step in range(DECAY_BINS)]
    assert slow[0] - slow[-1] > THRESHOLD
    assert least_overlap(slow) == 0
    steep = [0.3, 0.25, 0.2] + [0.1] * (DECAY_BINS - 3)
    assert least_overlap(steep) == 3 / DECAY_BINS


def test_a_stricter_threshold_never_overlaps_less() -> None:
    decay = [0.2 / (1 + step) for step in range(DECAY_BINS)]
    overlaps = [least_overlap(decay, threshold) for threshold in (0.2, 0.05, 0.02, 0.001)]
    assert overlaps == sorted(overlaps)
    assert len(set(overlaps)) == 4


def test_what_was_measured_is_kept(cache: Path) -> None:
    calls = []

    def measure() -> tuple[float, ...]:
        calls.append(1)
        return (0.5, 0.25)

    assert known_decay(["a", 1], measure) == known_decay(["a", 1], measure) == (0.5, 0.25)
    assert len(calls) == 1
    assert known_decay(["a", 2], measure) == (0.5, 0.25)
    assert len(calls) == 2
    assert known_decay(["b"], lambda: None) is known_decay(["b"], measure) is None
    assert [path.parent for path in cache.rglob("*.json")] == [cache / "decay"] * 3


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RSSEG_CACHE", str(tmp_path / "file"))
    assert known_decay(["a"], lambda: (0.5, 0.25)) == (0.5, 0.25)


# Through the tool


def test_auto_measures_on_the_scene(
    make_scene: Any, make_bundle: Any, pointwise: Any, local: Any, tmp_path: Path
) -> None:
    scene, options = make_scene(height=200, width=190), PredictOptions(overlap="auto")
    for network, overlap in ((pointwise(), 0), (local(), 4)):
        work = plan(scene, bundle=make_bundle(), network=network, options=options)
        assert work.tiling.size - work.tiling.stride == overlap
        assert any(f"overlap by {100 * overlap / 64:.0f} %" in note for note in work.notes)
    asked = PredictOptions(overlap=0)
    maps = []
    for number, chosen in enumerate((options, asked)):
        out = tmp_path / f"{number}.tif"
        predict(scene, out, bundle=make_bundle(), network=pointwise(), options=chosen)
        maps.append(out.read_bytes())
    assert maps[0] == maps[1]


def test_auto_believes_the_bundle(make_scene: Any, make_bundle: Any, local: Any) -> None:
    from dataclasses import replace

    told = [0.5] * 8 + [0.0] * 8
    network, bundle = local(), replace(make_bundle(), decay=tuple(told))
    scene = make_scene(height=200, width=190)
    auto = PredictOptions(overlap="auto")
    work = plan(scene, bundle=bundle, network=network, options=auto)
    assert work.tiling.stride == 32
    assert network.calls == 0, "nothing to measure"
    smaller = PredictOptions(overlap="auto", tile_size=32)
    plan(scene, bundle=bundle, network=network, options=smaller)
    assert network.calls > 0, "what the bundle tells is of its own window"


def test_auto_on_a_small_scene_is_the_default(
    make_scene: Any, make_bundle: Any, pointwise: Any
) -> None:
    auto = PredictOptions(overlap="auto")
    work = plan(make_scene(height=70), bundle=make_bundle(), network=pointwise(), options=auto)
    assert work.tiling.stride == 48


def test_auto_is_a_word_of_the_command_line() -> None:
    assert parse_overlap("auto") == "auto"
