"""The law of the mosaic: a network that sees single pixels gives its own per-pixel map.

And its corollary: how the work is cut up changes no byte of the output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.shutil
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rsseg.prediction.planning.plan as planning
from rsseg.errors import PlanChanged
from rsseg.geo.shards import swaths
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.blending.mosaic import Mosaic
from rsseg.prediction.computing import pipeline
from rsseg.prediction.planning.budget import LEAST_CACHE, widest
from rsseg.prediction.planning.plan import Plan, make_plan

SIZES = [(1, 1), (1, 700), (300, 300), (400, 2000), (513, 1025)]
BLENDINGS = [("taper", 0), ("taper", 0.25), ("taper", 0.5), ("uniform", None)]
any_case = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def obeys(
    tmp_path: Path, make_scene: Any, make_bundle: Any, pointwise: Any, truth: Any, read: Any
) -> Callable[..., None]:
    """A function that holds one prediction against the law."""

    def check(
        size: tuple[int, int],
        options: PredictOptions,
        *,
        dtype: str = "uint8",
        classes: int = 4,
        bands: int = 3,
        seed: int = 0,
    ) -> None:
        scene = make_scene(height=size[0], width=size[1], bands=bands, dtype=dtype, seed=seed)
        names = tuple(f"band {number}" for number in range(bands))
        bundle = make_bundle(classes, names, dtype)
        network = pointwise(classes, bands, seed)
        out = tmp_path / "map.tif"
        out.unlink(missing_ok=True)
        result = predict(scene, out, bundle=bundle, network=network, options=options)

        codes, near = truth(scene, network, bundle)
        found = read(out)
        assert found.shape == size
        assert np.count_nonzero((found != codes) & ~near) == 0
        assert near.mean() < 0.01, "a law with that many exceptions is none"
        assert result.nodata_pixels == 0
        counts = {c.name: int((found == c.code).sum()) for c in bundle.legend}
        assert result.classes == counts
        assert sum(counts.values()) == size[0] * size[1]

    return check


@pytest.mark.parametrize(("blend", "overlap"), BLENDINGS)
@pytest.mark.parametrize("window", [64, 256, 512])
@pytest.mark.parametrize("size", SIZES)
def test_law(
    obeys: Any, size: tuple[int, int], window: int, blend: Any, overlap: float | None
) -> None:
    obeys(size, PredictOptions(tile_size=window, overlap=overlap, blend=blend))


@pytest.mark.parametrize("size", [(1, 1), (150, 333)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_law_for_pixel_types(obeys: Any, size: tuple[int, int], dtype: str) -> None:
    obeys(size, PredictOptions(tile_size=64), dtype=dtype, classes=6, seed=3)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_law_for_any_number_of_threads(obeys: Any, threads: int) -> None:
    torch.set_num_threads(threads)
    obeys((300, 140), PredictOptions(tile_size=96, overlap=0.5), seed=6)


def test_law_for_many_shards(obeys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_SHARD_PIXELS", 1)
    obeys((300, 140), PredictOptions(tile_size=64, overlap=0.5, batch_size=3), seed=5)


def memory_for(work: Plan, count: int) -> int:
    """The least memory with which a plan has so many swaths, or fewer if there are not so many."""
    most = len({shard.left for shard in work.shards})
    width = widest(swaths(work.tiling, work.shards, min(count, most)))
    return work.budget.fixed + work.budget.column * width + LEAST_CACHE


@dataclass(frozen=True)
class Case:
    """A scene, how it is predicted, and how the work is cut up."""

    size: tuple[int, int]
    options: PredictOptions
    bands: int
    classes: int
    seed: int
    threads: int
    shard: tuple[int, int]
    swaths: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    window = draw(st.integers(1, 48))
    overlap = draw(st.none() | st.integers(0, 47) | st.floats(0, 0.875, width=16))
    if isinstance(overlap, int):
        overlap %= window
    return Case(
        (draw(st.integers(1, 70)), draw(st.integers(1, 70))),
        PredictOptions(
            tile_size=window,
            overlap=overlap,
            blend=draw(st.sampled_from(["taper", "uniform"])),
            batch_size=draw(st.none() | st.integers(1, 5)),
        ),
        bands=draw(st.integers(1, 4)),
        classes=draw(st.integers(2, 6)),
        seed=draw(st.integers(0, 9)),
        threads=draw(st.integers(1, 3)),
        shard=(draw(st.integers(1, 2000)), draw(st.integers(1, 70))),
        swaths=draw(st.integers(1, 6)),
    )


@pytest.fixture
def obeys_in(obeys: Any, make_scene: Any, make_bundle: Any) -> Callable[[Case], None]:
    """A function that holds a case against the law."""

    def check(case: Case) -> None:
        names = tuple(f"band {number}" for number in range(case.bands))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(planning, "_SHARD_PIXELS", case.shard[0])
            patch.setattr(planning, "_SHARD_COLUMNS", case.shard[1])
            torch.set_num_threads(case.threads)
            scene = make_scene(height=case.size[0], width=case.size[1], bands=case.bands)
            bundle = make_bundle(case.classes, names)
            work = make_plan(scene, bundle, None, torch.nn.Identity(), case.options)
            options = replace(case.options, memory=memory_for(work, case.swaths))
            obeys(case.size, options, bands=case.bands, classes=case.classes, seed=case.seed)

    return check


@settings(any_case, max_examples=50)
@given(case=cases())
def test_law_for_any_case(obeys_in: Callable[[Case], None], case: Case) -> None:
    obeys_in(case)


@pytest.mark.slow
@settings(any_case, max_examples=500)
@given(case=cases())
def test_law_for_500_cases(obeys_in: Callable[[Case], None], case: Case) -> None:
    obeys_in(case)


@pytest.fixture
def mapped(tmp_path: Path, make_bundle: Any) -> Callable[..., bytes]:
    """A function that predicts and returns the bytes of the map; the map is removed."""

    def run(scene: Path, network: Any, **choices: Any) -> bytes:
        out = tmp_path / "map.tif"
        options = PredictOptions(**{"tile_size": 32, "overlap": 0.5} | choices)
        predict(scene, out, bundle=make_bundle(), network=network, options=options)
        content = out.read_bytes()
        out.unlink()
        assert not out.with_name("map.tif.parts").exists()
        return content

    return run


@pytest.fixture
def many_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row of windows finishes a strip of its own."""
    monkeypatch.setattr(planning, "_SHARD_PIXELS", 1)


@pytest.fixture
def many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each window finishes a block of its own."""
    monkeypatch.setattr(planning, "_SHARD_PIXELS", 1)
    monkeypatch.setattr(planning, "_SHARD_COLUMNS", 1)


def patchy(height: int, width: int) -> np.ndarray:
    """Validity with holes of every size, whole windows among them."""
    valid = np.random.default_rng(8).random((height, width)) > 0.02
    valid[: height // 3, : width // 2] = False
    return valid


@pytest.fixture
def swathed(make_bundle: Any) -> Callable[..., int]:
    """A function that gives the memory with which a scene has so many swaths."""

    def memory(scene: Path, count: int, **choices: Any) -> int:
        options = PredictOptions(**{"tile_size": 32, "overlap": 0.5} | choices)
        work = make_plan(scene, make_bundle(), None, torch.nn.Identity(), options)
        limit = memory_for(work, count)
        bound = replace(options, memory=limit)
        found = make_plan(scene, make_bundle(), None, torch.nn.Identity(), bound).swaths
        assert (len(found) > 1) == (count > 1)
        return limit

    return memory


@pytest.mark.parametrize(("blend", "validity"), [("taper", "nodata"), ("uniform", "mask")])
def test_nothing_but_the_plan_changes_a_byte(
    tmp_path: Path,
    make_scene: Any,
    local: Any,
    mapped: Any,
    swathed: Any,
    monkeypatch: pytest.MonkeyPatch,
    blend: Any,
    validity: str,
) -> None:
    """Map, confidence and probabilities for any shards, memory, batch and threads."""
    scene = make_scene(height=90, width=140, valid=patchy(90, 140), validity=validity)
    shares = {name: tmp_path / f"{name}.tif" for name in ("confidence", "probabilities")}
    choices: dict[str, Any] = {"blend": blend, "overwrite": True, **shares}

    def all_bytes(**more: Any) -> list[bytes]:
        return [mapped(scene, local(), **choices, **more)] + [
            path.read_bytes() for path in shares.values()
        ]

    whole = all_bytes()
    for pixels, columns in ((1, 1), (1, 10**9), (5_000, 50)):
        monkeypatch.setattr(planning, "_SHARD_PIXELS", pixels)
        monkeypatch.setattr(planning, "_SHARD_COLUMNS", columns)
        assert all_bytes(batch_size=3) == whole
        if columns == 10**9:
            continue
        for count, batch in ((2, None), (5, 64)):
            torch.set_num_threads(count)
            limit = swathed(scene, count, **choices | {"batch_size": batch})
            assert all_bytes(batch_size=batch, memory=limit) == whole
    monkeypatch.setattr(Plan, "readers", 5)
    assert all_bytes() == whole
    # as on a GPU
    monkeypatch.setattr(pipeline, "Mosaic", lambda *all_, collect: Mosaic(*all_, collect=True))
    assert all_bytes(memory=swathed(scene, 3, **choices)) == whole


@pytest.mark.usefixtures("many_blocks")
def test_another_memory_goes_on_with_the_same_parts(
    tmp_path: Path, make_scene: Any, local: Any, stopped: Any, mapped: Any, swathed: Any
) -> None:
    """Shards are cut alike, whatever the swaths: a rerun with more or less memory uses them."""
    scene = make_scene(height=130, width=130)
    whole = mapped(scene, local())
    limits = [swathed(scene, count) for count in (1, 2, 8)]
    for before in limits:
        for after in limits:
            with pytest.raises(stopped):
                mapped(scene, local(fail_at=60), memory=before)
            kept = {
                path: path.stat().st_mtime_ns
                for path in (tmp_path / "map.tif.parts").glob("part_*.tif")
            }
            assert kept
            network = local()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(rasterio.shutil, "copy", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    mapped(scene, network, memory=after)
            assert network.calls <= 1 + (64 - len(kept)) * 9
            assert {path: path.stat().st_mtime_ns for path in kept} == kept
            assert mapped(scene, local(), memory=after) == whole


@pytest.mark.usefixtures("many_shards")
@pytest.mark.parametrize("fail_at", [2, 30, 80, 139])
def test_a_stopped_run_goes_on_and_changes_no_byte(
    tmp_path: Path,
    make_scene: Any,
    local: Any,
    stopped: type[Exception],
    mapped: Any,
    fail_at: int,
) -> None:
    """Of 12 x 12 windows some 144 calls are made, the engine's own check included."""
    scene = make_scene(height=208, width=208)
    undisturbed = local()
    whole = mapped(scene, undisturbed)
    assert undisturbed.calls == 145

    out, parts = tmp_path / "map.tif", tmp_path / "map.tif.parts"
    with pytest.raises(stopped) as caught:
        mapped(scene, local(fail_at=fail_at))
    assert not out.exists()
    kept = sorted(path.name for path in parts.glob("part_*.tif"))
    assert [path for path in tmp_path.glob("*") if "unfinished" in path.name] == []
    notes = "; ".join(getattr(caught.value, "__notes__", []))
    if not kept:
        assert fail_at < 30
        assert not parts.exists()
        assert notes == ""
    else:
        assert str(parts) in notes
        assert "the same command goes on" in notes

    again = local()
    assert mapped(scene, again) == whole
    if fail_at > 30:
        assert again.calls < undisturbed.calls - 12


@pytest.mark.usefixtures("many_shards")
def test_a_run_goes_on_from_any_set_of_parts(
    tmp_path: Path,
    make_scene: Any,
    local: Any,
    mapped: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Parts vanish after an interrupted finish; what is left is used, the rest recomputed."""
    scene = make_scene(height=208, width=64)
    whole = mapped(scene, local())
    out, parts = tmp_path / "map.tif", tmp_path / "map.tif.parts"
    for gone in ([0], [5], [11], [3, 4], [1, 3, 8], range(12)):
        with monkeypatch.context() as patch:
            patch.setattr(rasterio.shutil, "copy", interrupt)
            with pytest.raises(KeyboardInterrupt):
                mapped(scene, local())
        assert not out.exists()
        names = sorted(parts.glob("part_*.tif"))
        assert len(names) == 12
        for index in gone:
            names[index].unlink()
        network = local()
        assert mapped(scene, network) == whole
        assert network.calls <= 1 + 3 * 2 * len(gone)


@pytest.mark.usefixtures("many_shards")
def test_another_batch_size_goes_on_with_the_same_parts(
    make_scene: Any, local: Any, stopped: type[Exception], mapped: Any
) -> None:
    """What cannot change a byte is no part of the plan."""
    scene = make_scene(height=208, width=64)
    whole = mapped(scene, local())
    with pytest.raises(stopped):
        mapped(scene, local(fail_at=20))
    assert mapped(scene, local(), batch_size=5, memory=2**32) == whole


@pytest.mark.usefixtures("many_shards")
def test_another_network_does_not_go_on_with_the_parts(
    make_scene: Any, local: Any, stopped: type[Exception], mapped: Any
) -> None:
    scene = make_scene(height=208, width=64)
    with pytest.raises(stopped):
        mapped(scene, local(fail_at=20))
    with pytest.raises(PlanChanged, match="differs in model"):
        mapped(scene, local(seed=1))


def test_parts_of_another_size_are_not_gone_on_with(
    make_scene: Any,
    local: Any,
    stopped: type[Exception],
    mapped: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many as wanted, but cut in other places, as another version may have done."""
    scene = make_scene(height=208, width=64)
    monkeypatch.setattr(planning, "_SHARD_PIXELS", 64 * 80)
    with pytest.raises(stopped):
        mapped(scene, local(fail_at=33))
    monkeypatch.setattr(planning, "_SHARD_PIXELS", 64 * 96)
    with pytest.raises(
        PlanChanged, match="differs in shards, expected shards 2 of 80 x .* got 2 of 96"
    ):
        mapped(scene, local())


def interrupt(*arguments: object, **more: object) -> None:
    raise KeyboardInterrupt
