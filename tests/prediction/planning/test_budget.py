"""Swaths are as wide as memory allows, and what is said to suffice does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

import rsseg.prediction.planning.plan as planning
from rsseg.bundle import Bundle
from rsseg.errors import OptionError
from rsseg.geo.shards import shards, swaths
from rsseg.geo.tiling import Tiling
from rsseg.prediction import PredictOptions
from rsseg.prediction.planning.budget import LEAST_CACHE, Budget, widest
from rsseg.prediction.planning.plan import Plan, make_plan

TILING = Tiling(512, 50_000, 512, 384)
BLOCKS = list(shards(TILING, Window(0, 0, 50_000, 512), 4_000_000, 4096))


def budget(limit: int, cached: int = 4096, window: int = 1408) -> Budget:
    return Budget(
        limit=limit,
        fixed=300_000_000,
        column=15_000,
        cached=cached,
        scene_width=50_000,
        margin=2048,
        window=window,
    )


@given(limit=st.integers(1, 2_000_000_000), striped=st.booleans())
def test_the_fewest_swaths_that_fit_are_taken(limit: int, striped: bool) -> None:
    held = budget(limit, window=50_000 if striped else 1408)
    chosen = held.choose(TILING, BLOCKS)
    memory = held.memory(widest(chosen))
    most = len({shard.left for shard in BLOCKS})
    least = 300_000_000 + 15_000 * widest(swaths(TILING, BLOCKS, most)) + LEAST_CACHE
    if limit < least:
        assert len(chosen) == most
        with pytest.raises(OptionError, match="raise --memory"):
            held.require(widest(chosen))
    else:
        held.require(widest(chosen))
        assert memory <= limit
        shared = 4096 * (50_000 if striped else 1408)
        room = limit - 300_000_000 - max(LEAST_CACHE, shared)
        assert len(chosen) == 1 or 15_000 * 50_000 / (len(chosen) - 1) > room - 15_000 * 5000


@given(st.integers(1, 2_000_000_000), st.integers(0, 2_000_000_000))
def test_more_memory_never_means_more_swaths_of_a_tiled_scene(limit: int, more: int) -> None:
    fewer = budget(limit + more).choose(TILING, BLOCKS)
    assert len(fewer) <= len(budget(limit).choose(TILING, BLOCKS))


def test_the_least_that_works_is_named() -> None:
    held = budget(10**6)
    with pytest.raises(OptionError) as caught:
        held.require(widest(held.choose(TILING, BLOCKS)))
    match = re.search(r"needs (\d+) MB", str(caught.value))
    assert match
    least = int(match[1]) * 10**6
    enough, less = budget(least), budget(least - 10**6)
    enough.require(widest(enough.choose(TILING, BLOCKS)))
    with pytest.raises(OptionError):
        less.require(widest(less.choose(TILING, BLOCKS)))


def test_blocks_as_wide_as_the_scene_are_not_decoded_for_each_window() -> None:
    """Room for the cache comes before the width of swaths."""
    tiled, striped = budget(800_000_000), budget(800_000_000, window=50_000)
    assert striped.cache(widest(striped.choose(TILING, BLOCKS))) >= 4096 * 50_000
    assert len(striped.choose(TILING, BLOCKS)) > len(tiled.choose(TILING, BLOCKS))
    assert not striped.thrashes(widest(striped.choose(TILING, BLOCKS)))
    tight = budget(450_000_000, window=50_000)
    assert tight.thrashes(widest(tight.choose(TILING, BLOCKS)))


def test_a_cache_takes_no_more_than_a_quarter_where_less_will_do() -> None:
    roomy = budget(1_200_000_000, cached=10_000)
    assert roomy.cache(20_000) == 10_000 * 22_048
    assert budget(800_000_000, cached=10_000).cache(20_000) == 200_000_000


def plan_of(scene: Path, bundle: Bundle, **choices: Any) -> Plan:
    options = PredictOptions(tile_size=64, **choices)
    return make_plan(scene, bundle, None, torch.nn.Identity(), options)


def test_a_second_reader_is_for_those_who_wait(make_scene: Any, make_bundle: Any) -> None:
    """It decodes the same blocks again, all of them where they are wider than windows."""
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    tiled = plan_of(make_scene("tiled.tif", height=70, width=600, **tiles), make_bundle())
    striped = plan_of(make_scene("strips.tif", height=70, width=600, blockysize=1), make_bundle())
    assert (tiled.block, striped.block) == ((64, 64), (1, 600))
    plans = tiled, far_away(tiled), on_gpu(tiled), striped, far_away(striped), on_gpu(striped)
    assert [plan.readers for plan in plans] == [1, 2, 2, 1, 1, 1]
    assert tiled.budget.cached == (64 + 64) * 4
    assert on_gpu(tiled).budget.cached == 2 * (64 + 64) * 4
    assert striped.budget.cached == (64 + 1) * 4


def far_away(plan: Plan) -> Plan:
    return replace(plan, scene="https://example.com/scene.tif")


def on_gpu(plan: Plan) -> Plan:
    return replace(plan, placement=replace(plan.placement, device="cuda"))


def test_a_plan_tells_of_its_swaths(
    make_scene: Any, make_bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_SHARD_COLUMNS", 1)
    scene, bundle = make_scene(height=70, width=600), make_bundle()
    roomy = plan_of(scene, bundle, memory=2**40)
    assert len(roomy.swaths) == 1
    assert roomy.passes == roomy.windows == 2 * 13
    assert not any("swaths" in note for note in roomy.notes)
    least = roomy.budget.fixed + roomy.budget.column * 300 + LEAST_CACHE
    tight = plan_of(scene, bundle, memory=least)
    assert tight.memory <= least
    assert len(tight.swaths) > 1
    assert tight.windows == 26 < tight.passes
    share = f"{100 * (tight.passes / 26 - 1):.1f} % of the windows are computed twice"
    assert any(share in note for note in tight.notes)
    assert tight.journal == roomy.journal
