"""Many scenes: each as if it were alone, skipped when done, and no failure stops the others."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsseg import vectorise
from rsseg.errors import BundleError, OptionError, OutputError
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.many_scenes import last_engine
from rsseg.prediction.many_scenes import scenes as tool
from rsseg.prediction.many_scenes.outcomes import SceneOutcome, Totals
from rsseg.prediction.many_scenes.results_index import index_results
from rsseg.prediction.many_scenes.scene_run import SceneRun
from rsseg.prediction.many_scenes.scenes import predict_scenes
from rsseg.prediction.outputs.records import read_record
from rsseg.prediction.predict import plan

Run = Callable[..., list[SceneOutcome]]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "maps"


@pytest.fixture
def run(out: Path, make_bundle: Any, pointwise: Any) -> Run:
    """A function that maps scenes with a pointwise network and small windows."""
    network = pointwise()

    def start(*files: Path, polygons: Path | None = None, **options: Any) -> list[SceneOutcome]:
        chosen = PredictOptions(**{"tile_size": 32} | options)
        given = {"bundle": make_bundle(), "network": network}
        return list(predict_scenes(files, out, options=chosen, polygons=polygons, **given))

    start.network = network  # type: ignore[attr-defined]
    return start


@pytest.fixture
def three(make_scene: Any) -> list[Path]:
    return [make_scene(f"in/{n}.tif", 40 + 10 * n, 70, seed=n) for n in range(3)]


def states(outcomes: list[SceneOutcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]


def test_each_map_is_that_of_its_scene_alone(
    run: Run, three: list[Path], out: Path, tmp_path: Path, make_bundle: Any
) -> None:
    outcomes = run(*three)
    assert states(outcomes) == ["done"] * 3
    for path in three:
        alone = tmp_path / "alone.tif"
        predict(
            path,
            alone,
            bundle=make_bundle(),
            network=run.network,  # type: ignore[attr-defined]
            options=PredictOptions(tile_size=32, overwrite=True),
        )
        assert (out / path.name).read_bytes() == alone.read_bytes()


def test_the_engine_is_loaded_once_for_scenes_of_a_kind(
    run: Run, make_scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    real = last_engine.load_engine

    def load(work: Any, *rest: Any) -> Any:
        loaded.append(work.dtype)
        return real(work, *rest)

    monkeypatch.setattr(last_engine, "load_engine", load)
    kinds = ("uint8", "uint8", "uint16", "uint16", "uint8")
    files = [make_scene(f"in/{n}.tif", dtype=kind) for n, kind in enumerate(kinds)]
    assert states(run(*files)) == ["done"] * 5
    assert loaded == [np.uint8, np.uint16, np.uint8]


def test_on_a_gpu_a_wider_scene_gets_an_engine_that_leaves_it_room(
    make_scene: Any, make_bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def load(work: Any, *rest: Any) -> Any:
        loaded.append(work.grid.width)
        return object()

    monkeypatch.setattr(last_engine, "load_engine", load)
    plans = [
        plan(
            make_scene(f"{width}.tif", width=width),
            bundle=make_bundle(),
            network=torch.nn.Identity(),
            options=PredictOptions(device="cpu", memory=2**33),
        )
        for width in (70, 80, 60, 80)
    ]
    for device, expected in (("cpu", [70]), ("cuda", [70, 80])):
        loaded.clear()
        engines = last_engine.LastEngine()
        for work in plans:
            engines(replace(work, placement=replace(work.placement, device=device)))
        assert loaded == expected


def test_what_is_done_is_skipped_and_its_counts_stay(run: Run, three: list[Path]) -> None:
    first = run(*three[:2])
    calls = run.network.calls  # type: ignore[attr-defined]
    again = run(*three[:2])
    assert states(again) == ["skipped", "skipped"]
    assert run.network.calls == calls  # type: ignore[attr-defined]
    assert [each.result for each in again] == [json.loads(json.dumps(e.result)) for e in first]
    assert states(run(*three)) == ["skipped", "skipped", "done"]
    assert states(run(*three, memory=2**40, batch_size=2, overwrite=True)) == ["skipped"] * 3
    assert states(run(*three, restart=True, overwrite=True)) == ["done"] * 3
    assert states(run(three[0], restart=True)) == ["done"], "it is its own"


def test_another_plan_needs_overwrite(run: Run, three: list[Path], out: Path) -> None:
    run(three[0])
    before = (out / "0.tif").read_bytes()
    (outcome,) = run(three[0], tile_size=16)
    assert outcome.state == "failed"
    assert "differs in footprint of the windows, stride, window; add --overwrite" in str(
        outcome.error
    )
    assert (out / "0.tif").read_bytes() == before
    assert states(run(three[0], tile_size=16, overwrite=True)) == ["done"]
    assert states(run(three[0], tile_size=16)) == ["skipped"]


def test_a_scene_that_changed_is_another_plan(run: Run, three: list[Path]) -> None:
    run(three[0])
    status = three[0].stat()
    os.utime(three[0], ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    assert "differs in scene" in str(run(three[0])[0].error)


@pytest.mark.parametrize("kind", ["foreign", "edited", "damaged record"])
def test_a_map_that_is_not_ours_is_kept(run: Run, three: list[Path], out: Path, kind: str) -> None:
    if kind == "foreign":
        out.mkdir()
    else:
        run(three[0])
    if kind == "damaged record":
        (out / ".rsseg" / "0.json").write_text("{")
    else:
        (out / "0.tif").write_bytes(b"precious")
    (outcome,) = run(three[0])
    assert outcome.state == "failed"
    assert "already there; add --overwrite" in str(outcome.error)
    assert states(run(three[0], overwrite=True)) == ["done"]
    assert states(run(three[0])) == ["skipped"]


def test_a_failing_scene_does_not_stop_the_others(
    run: Run, three: list[Path], make_scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = make_scene("in/two.tif", bands=2)
    missing = tmp_path / "in" / "none.tif"
    outcomes = run(three[0], two, missing, three[1])
    assert states(outcomes) == ["done", "failed", "failed", "done"]
    assert "too few bands" in str(outcomes[1].error)
    assert "there is no file" in str(outcomes[2].error)
    real = tool.carry_out

    def odd(work: Any, out: Path, **rest: Any) -> Any:
        if "2.tif" in work.scene:
            raise ZeroDivisionError("nobody has thought of this")
        return real(work, out, **rest)

    monkeypatch.setattr(tool, "carry_out", odd)
    outcomes = run(three[2], make_scene("in/4.tif"))
    assert states(outcomes) == ["failed", "done"]
    assert outcomes[0].error == "ZeroDivisionError: nobody has thought of this"


def test_reasons_of_failures_hold_no_key(
    run: Run, three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(work: Any, out: Path, **rest: Any) -> Any:
        raise OSError("cannot read '/vsicurl/https://me:pw@host/a.tif?X-Amz-Signature=abc' now")

    monkeypatch.setattr(tool, "carry_out", odd)
    (outcome,) = run(three[0])
    assert outcome.error == "OSError: cannot read '/vsicurl/https://host/a.tif' now"


def test_a_killed_run_goes_on_in_the_scene_it_was_in(
    run: Run, three: list[Path], stopped: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tool.carry_out

    def killed(work: Any, out: Path, **rest: Any) -> Any:
        if "1.tif" in work.scene:
            raise KeyboardInterrupt
        return real(work, out, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(tool, "carry_out", killed)
        with pytest.raises(KeyboardInterrupt):
            run(*three)
    assert states(run(*three)) == ["skipped", "done", "done"]


def test_a_map_that_was_made_when_the_process_was_killed_is_its_own(
    run: Run, three: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no record of it yet."""

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SceneRun, "finished", killed)
        with pytest.raises(KeyboardInterrupt):
            run(three[0])
    before = (out / "0.tif").read_bytes()
    assert states(run(three[0])) == ["done"]
    assert (out / "0.tif").read_bytes() == before


def test_a_map_that_failed_is_not_its_own(
    run: Run, three: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OutputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["rsseg.prediction.predict"], "finish", full)
        assert "the disk is full; finished shards are kept" in str(run(three[0])[0].error)
    (out / "0.tif").write_bytes(b"precious")
    assert "already there; add --overwrite" in str(run(three[0])[0].error)
    assert (out / "0.tif").read_bytes() == b"precious"


def test_what_goes_beside_the_maps_has_folders(
    run: Run, three: list[Path], out: Path, tmp_path: Path
) -> None:
    more = {"confidence": tmp_path / "sure", "probabilities": tmp_path / "all"}
    outcomes = run(*three[:2], polygons=out, **more)
    assert states(outcomes) == ["done"] * 2
    for folder in (out, *more.values()):
        assert {"0.tif", "1.tif"} <= {path.name for path in folder.iterdir()}
    assert (out / "0.gpkg").is_file()
    assert outcomes[0].result["polygon_count"] > 0
    assert states(run(*three[:2], polygons=out, **more)) == ["skipped"] * 2
    (more["confidence"] / "0.tif").unlink()
    assert states(run(*three[:2], polygons=out, **more, overwrite=True)) == ["done", "skipped"]
    assert (more["confidence"] / "0.tif").is_file()


def test_polygons_can_come_later(run: Run, three: list[Path], out: Path) -> None:
    run(three[0])
    calls = run.network.calls  # type: ignore[attr-defined]
    assert states(run(three[0], polygons=out)) == ["done"]
    assert run.network.calls == calls  # type: ignore[attr-defined]
    assert (out / "0.gpkg").is_file()
    assert states(run(three[0], polygons=out)) == ["skipped"]
    assert states(run(three[0])) == ["skipped"], "fewer outputs are there as well"
    assert states(run(three[0], polygons=out)) == ["skipped"]


def test_polygons_of_someone_else_are_kept(run: Run, three: list[Path], out: Path) -> None:
    """Also where the map is its own: done anew, or on its way when the process was killed."""
    run(three[0])
    theirs = out / "0.gpkg"
    theirs.write_bytes(b"precious")
    for choice in ({}, {"restart": True}):
        (outcome,) = run(three[0], polygons=out, **choice)
        assert "0.gpkg is already there; add --overwrite" in str(outcome.error)
        assert theirs.read_bytes() == b"precious"
    record = read_record(out / "0.tif")
    assert record is not None
    replace(record, sizes={}, result={}).write(out / "0.tif")  # as `SceneRun.begun` leaves it
    (outcome,) = run(three[0], polygons=out)
    assert "0.gpkg is already there; add --overwrite" in str(outcome.error)
    assert theirs.read_bytes() == b"precious"
    assert states(run(three[0], polygons=out, overwrite=True)) == ["done"]
    assert states(run(three[0], polygons=out, restart=True)) == ["done"], "they are its own now"


def test_polygons_that_failed_are_told_nowhere(
    run: Run, three: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by the index nor when the map is skipped later."""

    def full(*_: Any, **__: Any) -> Any:
        raise OutputError("the disk is full")

    def told() -> tuple[bool, bool]:
        (outcome,) = run(three[0])
        index_results(out)
        (item,) = json.loads((out / "items.json").read_text())["features"]
        assert (outcome.state, outcome.item) == ("skipped", item)
        keys = {"polygons", "polygon_count"} & outcome.result.keys()
        assert len(keys) in (0, 2)
        return bool(keys), "polygons" in item["assets"]

    for _ in range(2):  # the second time they have been there
        with monkeypatch.context() as patch:
            patch.setattr(vectorise, "vectorise", full)
            assert run(three[0], polygons=out)[0].error == "the disk is full"
        assert told() == (False, False)
        assert states(run(three[0], polygons=out)) == ["done"]
        assert told() == (True, True)
        (out / "0.gpkg").unlink()


def test_polygons_of_nowhere_are_refused_before_the_map(
    run: Run, make_scene: Any, out: Path
) -> None:
    (outcome,) = run(make_scene("in/0.tif", crs=None), polygons=out)
    assert "no place on the ground" in str(outcome.error)
    assert not (out / "0.tif").exists()


def test_records_hold_no_key(run: Run, three: list[Path], out: Path) -> None:
    run(three[0])
    record = read_record(out / "0.tif")
    assert record is not None
    assert record.sizes == {"map": (out / "0.tif").stat().st_size}
    assert str(three[0]) not in json.dumps(record.plan)


def test_the_totals_add_up(run: Run, three: list[Path], make_scene: Any) -> None:
    run(three[0])
    outcomes = run(*three, make_scene("in/two.tif", bands=2))
    added = Totals()
    for outcome in outcomes:
        added.add(outcome)
    sums = added.to_json(2.0)
    assert (sums["scenes"], sums["done"], sums["skipped"], sums["failed"]) == (4, 2, 1, 1)
    assert sum(sums["classes"].values()) + sums["nodata_pixels"] == 70 * (40 + 50 + 60)
    assert sums["mpx_per_s"] == pytest.approx(70 * (50 + 60) / 2e6)
    told = outcomes[3].to_json()
    assert (told["state"], told["scene"]) == ("failed", str(outcomes[3].scene))
    assert "too few bands" in told["error"]


def test_progress_goes_up_to_the_end(
    three: list[Path], out: Path, make_bundle: Any, pointwise: Any
) -> None:
    steps: list[tuple[int, int]] = []
    given = {"bundle": make_bundle(), "network": pointwise()}
    list(predict_scenes(three, out, on_progress=lambda *step: steps.append(step), **given))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1] == (3000, 3000)


def test_folders_that_cannot_be_are_refused(
    run: Run, three: list[Path], out: Path, tmp_path: Path, make_bundle: Any, pointwise: Any
) -> None:
    with pytest.raises(OptionError, match="a folder for --confidence, got sure.tif"):
        run(three[0], confidence=Path("sure.tif"))
    with pytest.raises(OptionError, match="need a folder each"):
        run(three[0], probabilities=out)
    given = {"bundle": make_bundle(), "network": pointwise()}
    with pytest.raises(OptionError, match="is a folder of the scenes"):
        list(predict_scenes(three, three[0].parent, **given))
    with pytest.raises(OptionError, match="a folder for --out"):
        list(predict_scenes(three, tmp_path / "map.tif", **given))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        list(predict_scenes(three, tmp_path / "file" / "maps", **given))


def test_a_model_that_cannot_be_used_stops_at_once(three: list[Path], out: Path) -> None:
    with pytest.raises(BundleError, match="there is no model file"):
        list(predict_scenes(three, out, bundle="none.safetensors"))
