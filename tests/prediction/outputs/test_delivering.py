"""Outputs for object stores: made here, there when whole, and not made twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rsseg import vectorise
from rsseg.errors import OptionError, OutputError
from rsseg.prediction import PredictOptions
from rsseg.prediction.many_scenes import scenes as tool
from rsseg.prediction.many_scenes.outcomes import SceneOutcome
from rsseg.prediction.many_scenes.results_index import index_results
from rsseg.prediction.many_scenes.scenes import predict_scenes
from rsseg.prediction.outputs.delivering import asked_journal, deliver

Run = Callable[..., list[SceneOutcome]]
MAPS = "s3://maps/deep"


@pytest.fixture
def bucket(tmp_path: Path, makers: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A running store; ``files`` are the objects below ``deep``."""
    (tmp_path / "store" / "maps").mkdir(parents=True)
    with makers("geo").storing(tmp_path / "store", monkeypatch) as server:
        place = tmp_path / "store" / "maps" / "deep"
        server.files = lambda: {
            str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()
        }
        yield server


@pytest.fixture
def run(tmp_path: Path, make_bundle: Any, pointwise: Any) -> Run:
    network = pointwise()

    def start(*files: Any, out: Any = MAPS, scratch: str = "scratch", **more: Any) -> Any:
        options = PredictOptions(tile_size=32, **more.pop("options", {}))
        given = {"bundle": make_bundle(), "network": network, "scratch": tmp_path / scratch} | more
        return list(predict_scenes(files, out, options=options, **given))

    start.network = network  # type: ignore[attr-defined]
    return start


def states(outcomes: list[SceneOutcome]) -> list[str]:
    return [f"{outcome.state} {outcome.error or ''}".strip() for outcome in outcomes]


def left(scratch: Path) -> list[str]:
    """Files in the scratch folder, less records."""
    files = (path for path in scratch.rglob("*") if path.is_file())
    return sorted(path.name for path in files if path.parent.name != ".rsseg")


def test_maps_in_a_store_are_those_of_a_folder(
    run: Run, make_scene: Any, bucket: Any, tmp_path: Path
) -> None:
    scenes = [make_scene(f"in/{n}.tif", 40 + n, 70, seed=n) for n in range(2)]
    beside = {"confidence": "s3://maps/sure"}
    outcomes = run(*scenes, polygons=MAPS, options=beside)
    assert states(outcomes) == ["done", "done"]
    assert outcomes[0].out == outcomes[0].result["out"] == f"{MAPS}/0.tif"
    assert outcomes[0].result["polygons"] == f"{MAPS}/0.gpkg"
    run(*scenes, out=tmp_path / "near", polygons=tmp_path / "near")
    there = bucket.files()
    for name in ("0.tif", "1.tif", "0.qml", "0.tif.aux.xml"):
        assert there[name] == (tmp_path / "near" / name).read_bytes()
    assert {"0.gpkg", "1.gpkg", ".rsseg/0.json"} <= there.keys()
    assert (tmp_path / "store" / "maps" / "sure" / "0.tif").is_file()
    assert left(tmp_path / "scratch") == []
    written = [name for name in bucket.written if name.startswith("/maps/deep/0")]
    assert written[-1] == "/maps/deep/0.tif", "the map is there when all else is"


def test_what_is_in_the_store_is_skipped_from_any_machine(
    run: Run, make_scene: Any, bucket: Any
) -> None:
    scenes = [make_scene(f"in/{n}.tif", seed=n) for n in range(2)]
    first = run(*scenes)
    calls = run.network.calls  # type: ignore[attr-defined]
    for scratch in ("scratch", "of another machine"):
        again = run(*scenes, scratch=scratch)
        assert states(again) == ["skipped"] * 2
        assert [each.item for each in again] == [each.item for each in first]
    assert run.network.calls == calls  # type: ignore[attr-defined]
    other = run(scenes[0], options={"tta": "flip"})
    assert "differs in tta; add --overwrite" in states(other)[0]
    assert states(run(scenes[0], options={"tta": "flip", "overwrite": True})) == ["done"]


def test_a_map_that_is_not_ours_is_kept(
    run: Run, make_scene: Any, bucket: Any, tmp_path: Path
) -> None:
    there = tmp_path / "store" / "maps" / "deep" / "0.tif"
    there.parent.mkdir()
    there.write_bytes(b"precious")
    scene = make_scene("in/0.tif")
    assert f"{MAPS}/0.tif is already there; add --overwrite" in states(run(scene))[0]
    assert there.read_bytes() == b"precious"
    assert states(run(scene, options={"overwrite": True})) == ["done"]
    assert states(run(scene)) == ["skipped"]


def test_what_did_not_get_there_is_not_made_again(
    run: Run, make_scene: Any, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene("in/0.tif")
    real = tool.carry_out

    def then_refused(*work: Any, **rest: Any) -> Any:
        made = real(*work, **rest)
        bucket.refuse(500, times=-1)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(tool, "carry_out", then_refused)
        (outcome,) = run(scene)
    assert "cannot be written, tried 3 times" in str(outcome.error)
    assert not any(name.endswith("0.tif") for name in bucket.files())
    assert "0.tif" in left(tmp_path / "scratch")
    calls = run.network.calls  # type: ignore[attr-defined]
    bucket.refuse(500, times=1)
    assert states(run(scene)) == ["done"]
    assert run.network.calls == calls  # type: ignore[attr-defined]
    assert "0.tif" in bucket.files()
    assert left(tmp_path / "scratch") == []
    assert states(run(scene)) == ["skipped"]


def test_polygons_of_a_stored_map_can_come_later(
    run: Run, make_scene: Any, bucket: Any, tmp_path: Path
) -> None:
    scene = make_scene("in/0.tif")
    run(scene)
    calls = run.network.calls  # type: ignore[attr-defined]
    assert states(run(scene, polygons=MAPS, scratch="another")) == ["done"]
    assert run.network.calls == calls  # type: ignore[attr-defined]
    assert "0.gpkg" in bucket.files()
    assert left(tmp_path / "another") == []
    assert states(run(scene, polygons=MAPS)) == ["skipped"]


def test_a_map_that_waits_for_its_polygons_is_not_made_again(
    run: Run, make_scene: Any, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the scratch folder, as nothing is sent before all is there."""
    scene = make_scene("in/0.tif")

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(vectorise, "vectorise", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(scene, polygons=MAPS)
    assert "0.tif" in left(tmp_path / "scratch")
    assert bucket.files() == {}
    calls = run.network.calls  # type: ignore[attr-defined]
    assert states(run(scene, polygons=MAPS)) == ["done"]
    assert run.network.calls == calls  # type: ignore[attr-defined]
    assert {"0.tif", "0.gpkg"} <= bucket.files().keys()
    assert left(tmp_path / "scratch") == []


def test_polygons_of_someone_else_are_kept(
    run: Run, make_scene: Any, bucket: Any, tmp_path: Path
) -> None:
    scene = make_scene("in/0.tif")
    run(scene)
    there = tmp_path / "store" / "maps" / "deep" / "0.gpkg"
    there.write_bytes(b"precious")
    for choice in ({}, {"restart": True}):
        (state,) = states(run(scene, polygons=MAPS, options=choice))
        assert f"{MAPS}/0.gpkg is already there; add --overwrite" in state
        assert there.read_bytes() == b"precious"
    assert states(run(scene, polygons=MAPS, options={"overwrite": True})) == ["done"]
    assert there.read_bytes() != b"precious"


def test_the_index_lies_in_the_store(
    run: Run, make_scene: Any, bucket: Any, tmp_path: Path
) -> None:
    scenes = [make_scene(f"in/{n}.tif", seed=n) for n in range(2)]
    run(*scenes)
    index = index_results(MAPS, names=["0", "1"], vrt=True, scratch=tmp_path / "scratch")
    assert index.files == tuple(f"{MAPS}/{n}" for n in ("items.json", "index.parquet", "index.vrt"))
    features = json.loads(bucket.files()["items.json"])["features"]
    assert [item["assets"]["map"]["href"] for item in features] == ["./0.tif", "./1.tif"]


def test_stores_and_folders_are_not_mixed(run: Run, make_scene: Any, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="folders or to object stores"):
        run(make_scene("in/0.tif"), polygons=tmp_path)
    with pytest.raises(OptionError, match="need a folder each"):
        run(make_scene("in/0.tif"), options={"confidence": "/vsis3/maps/deep"})


def test_a_store_that_takes_nothing_is_told_before_any_work(
    run: Run, make_scene: Any, bucket: Any
) -> None:
    bucket.refuse(403, times=-1)
    with pytest.raises(OutputError, match="cannot be written, tried 3 times"):
        run(make_scene("in/0.tif"))
    assert run.network.calls == 0  # type: ignore[attr-defined]


def test_one_delivery(bucket: Any, tmp_path: Path) -> None:
    """A map in a store and its polygons on a disk."""
    made: list[bool] = []

    def make(near: dict[str, Path], *, overwrite: bool) -> dict[str, Any]:
        made.append(overwrite)
        near["map"].write_bytes(b"map")
        near["map"].with_suffix(".qml").write_bytes(b"style")
        near["polygons"].write_bytes(b"polygons")
        return {"out": str(near["map"]), "polygons": str(near["polygons"]), "width": 7}

    places = {"map": f"{MAPS}/a.tif", "polygons": tmp_path / "a.gpkg"}
    given = {"scratch": tmp_path / "scratch"}
    result = deliver(places, make, {"model": "x"}, **given)
    assert result == {"out": f"{MAPS}/a.tif", "polygons": str(tmp_path / "a.gpkg"), "width": 7}
    assert bucket.files() == {"a.tif": b"map", "a.qml": b"style"}
    assert (tmp_path / "a.gpkg").read_bytes() == b"polygons"
    assert not any(path.is_file() for path in (tmp_path / "scratch").rglob("*"))
    with pytest.raises(OutputError, match="already there; add --overwrite"):
        deliver(places, make, {"model": "x"}, **given)
    assert len(made) == 1


def test_a_delivery_replaces_no_file_of_the_disk(bucket: Any, tmp_path: Path) -> None:
    own = tmp_path / "a.gpkg"
    own.write_bytes(b"precious")
    made: list[bool] = []

    def make(near: dict[str, Path], *, overwrite: bool) -> dict[str, Any]:
        made.append(overwrite)
        return {}

    places = {"map": f"{MAPS}/a.tif", "polygons": own}
    with pytest.raises(OutputError, match=r"a\.gpkg is already there; add --overwrite"):
        deliver(places, make, {"model": "x"}, scratch=tmp_path / "scratch")
    assert not made
    assert bucket.files() == {}
    deliver(places, make, {"model": "x"}, scratch=tmp_path / "scratch", overwrite=True)
    assert made == [True]


@pytest.mark.parametrize(("restart", "times"), [(False, 1), (True, 2)])
def test_a_delivery_that_failed_goes_on_unless_restarted(
    bucket: Any, tmp_path: Path, restart: bool, times: int
) -> None:
    made: list[bool] = []

    def make(near: dict[str, Path], *, overwrite: bool) -> dict[str, Any]:
        made.append(overwrite)
        near["map"].write_bytes(b"map")
        bucket.refuse(500, times=-1)
        return {"out": str(near["map"])}

    places, given = {"map": f"{MAPS}/a.tif"}, {"scratch": tmp_path / "scratch"}
    with pytest.raises(OutputError, match="cannot be written") as caught:
        deliver(places, make, {"model": "x"}, **given)
    assert "the same command goes on" in caught.value.__notes__[0]
    assert bucket.files() == {}
    bucket.refuse(500, times=0)

    def again(near: dict[str, Path], *, overwrite: bool) -> dict[str, Any]:
        made.append(overwrite)
        near["map"].write_bytes(b"new")
        return {"out": str(near["map"])}

    result = deliver(places, again, {"model": "x"}, restart=restart, **given)
    assert result == {"out": f"{MAPS}/a.tif"}
    assert len(made) == times
    assert bucket.files() == {"a.tif": b"new" if restart else b"map"}


def test_a_restart_that_is_broken_off_still_forgets(bucket: Any, tmp_path: Path) -> None:
    places, given = {"map": f"{MAPS}/a.tif"}, {"scratch": tmp_path / "scratch"}
    content = [b"old", None, b"new"]

    def make(near: dict[str, Path], *, overwrite: bool) -> dict[str, Any]:
        now = content.pop(0)
        if now is None:
            raise KeyboardInterrupt
        near["map"].write_bytes(now)
        if now == b"old":
            bucket.refuse(500, times=-1)
        return {"out": str(near["map"])}

    with pytest.raises(OutputError, match="cannot be written"):
        deliver(places, make, {"model": "x"}, **given)
    bucket.refuse(500, times=0)
    with pytest.raises(KeyboardInterrupt):
        deliver(places, make, {"model": "x"}, restart=True, **given)
    deliver(places, make, {"model": "x"}, **given)
    assert bucket.files() == {"a.tif": b"new"}


def test_a_delivery_keeps_its_map_when_polygons_fail(bucket: Any, tmp_path: Path) -> None:
    made: list[str] = []

    def make(near: dict[str, Path], *, overwrite: bool) -> dict[str, Any]:
        made.append("map")
        for kind in ("map", "confidence"):
            near[kind].write_bytes(kind.encode())
        return {"out": str(near["map"]), "width": 7}

    def complete(
        near: dict[str, Path], result: dict[str, Any], *, overwrite: bool
    ) -> dict[str, Any]:
        made.append("polygons")
        if len(made) == 2:
            raise KeyboardInterrupt
        near["polygons"].write_bytes(near["map"].read_bytes())
        return result | {"polygons": str(near["polygons"])}

    places = {
        "map": f"{MAPS}/a.tif",
        "confidence": tmp_path / "sure.tif",
        "polygons": f"{MAPS}/a.gpkg",
    }
    given: dict[str, Any] = {"complete": complete, "scratch": tmp_path / "scratch"}
    with pytest.raises(KeyboardInterrupt) as caught:
        deliver(places, make, {"model": "x"}, **given)
    assert "the same command goes on" in caught.value.__notes__[0]
    assert bucket.files() == {}
    result = deliver(places, make, {"model": "x"}, **given)
    assert result == {"out": f"{MAPS}/a.tif", "polygons": f"{MAPS}/a.gpkg", "width": 7}
    assert made == ["map", "polygons", "polygons"]
    assert bucket.files() == {"a.tif": b"map", "a.gpkg": b"map"}
    assert not any(path.is_file() for path in (tmp_path / "scratch").rglob("*"))


def test_a_delivery_makes_nothing_by_another_plan(bucket: Any, tmp_path: Path) -> None:
    """Of a map that was made by other choices no polygons are made."""

    def make(near: dict[str, Path], *, overwrite: bool) -> dict[str, Any]:
        near["map"].write_bytes(choice.encode())
        return {"out": str(near["map"])}

    def complete(near: dict[str, Path], result: dict[str, Any], **_: bool) -> dict[str, Any]:
        if choice == "old":
            raise KeyboardInterrupt
        near["polygons"].write_bytes(near["map"].read_bytes())
        return result

    places = {"map": f"{MAPS}/a.tif", "polygons": f"{MAPS}/a.gpkg"}
    given: dict[str, Any] = {"complete": complete, "scratch": tmp_path / "scratch"}
    choice = "old"
    with pytest.raises(KeyboardInterrupt):
        deliver(places, make, {"model": choice}, **given)
    choice = "new"
    deliver(places, make, {"model": choice}, **given)
    assert bucket.files() == {"a.tif": b"new", "a.gpkg": b"new"}


def test_what_was_asked_for_is_known_again_without_its_device(
    make_scene: Any, cheap_model: Path, tmp_path: Path
) -> None:
    """Where the command runs there need be no GPU: workers of a cluster have it."""
    scene, other = str(make_scene("in/0.tif")), str(make_scene("in/1.tif", seed=1))
    asked = asked_journal(scene, cheap_model, PredictOptions(device="cuda:7", precision="fp16"))
    assert json.loads(json.dumps(asked)) == asked
    plain = PredictOptions()
    alike = PredictOptions(memory=2**33, batch_size=3, overwrite=True, confidence=tmp_path / "c")
    assert asked_journal(scene, None, plain) == asked_journal(scene, None, alike)
    area = tmp_path / "area.geojson"
    area.write_text("{}")
    journals = [
        asked,
        asked_journal(scene, None, plain),
        asked_journal(other, None, plain),
        asked_journal(scene, cheap_model, plain),
        asked_journal(scene, None, PredictOptions(tta="flip")),
        asked_journal(scene, None, PredictOptions(aoi=area)),
    ]
    area.write_text("{ }")
    journals.append(asked_journal(scene, None, PredictOptions(aoi=area)))
    told = [json.dumps(each, sort_keys=True) for each in journals]
    assert len(set(told)) == len(told)
