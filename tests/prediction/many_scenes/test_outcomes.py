"""Sums of scenes: what each adds, whatever the order, and nothing of it is kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.prediction.many_scenes.outcomes import SceneOutcome, Totals


def share(worker: str, pixels: int, seconds: float) -> dict[str, Any]:
    return {"worker": worker, "host": "here", "tasks": 1, "pixels": pixels, "seconds": seconds}


def outcome(number: int) -> SceneOutcome:
    """Of a scene of 10 x 10 pixels; every third was there before, every fifth fails."""
    if number % 5 == 4:
        return SceneOutcome(f"{number}.tif", "failed", "out.tif", error="it is broken")
    result = {"width": 10, "height": 10, "classes": {"land": number, "water": 90 - number}}
    result |= {"nodata_pixels": 10, "forward_seconds": 0.5}
    result |= {"workers": [share("b", 60, 1.0), share("a", 40, 2.0)]}
    return SceneOutcome(
        f"{number}.tif", "skipped" if number % 3 == 2 else "done", "out.tif", result
    )


@given(st.permutations(range(15)))
def test_any_order_gives_the_same_sums(order: list[int]) -> None:
    totals = Totals()
    for number in order:
        totals.add(outcome(number))
    told = totals.to_json(10.0)
    outcomes = [outcome(number) for number in range(15)]
    done = [each for each in outcomes if each.state == "done"]
    whole = [each for each in outcomes if each.state != "failed"]
    assert (told["scenes"], told["failed"], told["done"]) == (15, 3, len(done))
    assert told["skipped"] == len(whole) - len(done)
    assert told["classes"]["land"] == sum(each.result["classes"]["land"] for each in whole)
    assert told["nodata_pixels"] == 10 * len(whole)
    assert told["forward_seconds"] == pytest.approx(0.5 * len(done))
    assert told["mpx_per_s"] == pytest.approx(1e-4 * len(done) / 10)
    first, second = told["workers"]
    assert (first["worker"], second["worker"]) == ("a", "b")
    assert first["pixels"] == 40 * len(done)
    assert second["tasks"] == len(done)
    assert first["busy"] == pytest.approx(min(1, 2.0 * len(done) / 10))


def test_without_a_cluster_nothing_is_told_of_workers() -> None:
    assert "workers" not in Totals().to_json(1.0)
    told = outcome(4).to_json()
    assert (told["state"], told["error"]) == ("failed", "it is broken")
    assert "item" not in told
