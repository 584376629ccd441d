"""Many scenes through a cluster: few open at a time, each the bytes of one machine.

Here the workers are this process; what they do is what real ones do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import rsseg.prediction.planning.plan as planning
from rsseg import late_files
from rsseg.cluster.failing import Failed
from rsseg.errors import ClusterError, OutputError, RssegError
from rsseg.prediction import PredictOptions, predict_scenes
from rsseg.prediction.cluster import scene_queue
from rsseg.prediction.cluster.job import Done, Joined, Outlined
from rsseg.prediction.cluster.predictor import Predictor
from rsseg.prediction.cluster.scene_queue import SceneQueue
from rsseg.prediction.many_scenes.outcomes import SceneOutcome
from rsseg.prediction.many_scenes.scene_entries import SceneEntries
from rsseg.prediction.many_scenes.scene_run import SceneRun
from rsseg.prediction.many_scenes.scenes import STEPS
from rsseg.prediction.outputs.records import Record, read_record
from rsseg.prediction.outputs.staging import Stage
from rsseg.prediction.parts.folder import Parts
from rsseg.vectorise_cluster.whole import WholeMap, whole_map

OPTIONS = PredictOptions(engine="openvino", tile_size=64)
Run = Callable[..., list[SceneOutcome]]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small shards."""
    monkeypatch.setattr(planning, "_SHARD_PIXELS", 1)
    monkeypatch.setattr(planning, "_SHARD_COLUMNS", 96)


@pytest.fixture
def scenes(make_scene: Any) -> list[Path]:
    return [make_scene(f"in/{n}.tif", 100 + 20 * n, 150, seed=n) for n in range(4)]


class Workers:
    """Answers orders, first come first served, a few on their way at a time."""

    def __init__(self, model: Path, threads: int = 2) -> None:
        self.model, self.predictor = model, Predictor()
        self.watch: Any = SimpleNamespace(threads=threads, workers={"a": 1, "b": 1}, notes=())
        self.orders: list[tuple[int, Any]] = []
        self.most_open = 0
        self.break_off: Callable[[int, Any], Any] = lambda number, indices: None

    def answer(self, number: int, job: Any, indices: Any) -> Any:
        self.orders.append((number, indices))
        if (told := self.break_off(number, indices)) is not None:
            return told
        try:
            if indices == "report":
                return self.predictor.report(job, "a")
            if indices == "join":
                return Joined(self.predictor.join(job, lambda: False))
            if isinstance(indices, WholeMap):
                return Outlined(*self.predictor.outline(indices, lambda: False))
            shards, pixels, windows, forward = self.predictor.compute(job, indices, lambda: False)
        except RssegError as error:
            return Failed("a", "here", str(error), isinstance(error, ClusterError))
        return Done("a", "here", shards, pixels, windows, 1.0, forward)

    def run(self, queue: SceneQueue) -> Iterator[SceneOutcome]:
        with queue:
            flying: list[Any] = []
            for order in queue.orders():
                self.most_open = max(self.most_open, len(queue._open))
                if order is None and not flying:
                    time.sleep(0.005)
                elif order is None or len(flying) == 3 * self.watch.threads:
                    number, job, indices = flying.pop(0)
                    queue.take(number, self.answer(number, job, indices))
                if order is not None:
                    flying.append(order)
                yield from queue.outcomes()
            assert queue.steps == STEPS * queue._count
            yield from queue.outcomes()


@pytest.fixture
def workers(cheap_model: Path) -> Workers:
    return Workers(cheap_model)


@pytest.fixture
def run(workers: Workers, tmp_path: Path) -> Run:
    """A function that maps scenes by these workers."""

    def start(
        *files: Any, out: str = "maps", polygons: Path | None = None, **choices: Any
    ) -> list[SceneOutcome]:
        given = replace(OPTIONS, **choices)
        entries = SceneEntries(files, tmp_path / out, given, polygons, Stage(tmp_path / "scratch"))
        queue = SceneQueue(entries, workers.model, (), workers.watch, "here")
        return list(workers.run(queue))

    return start


def shards(work: Any) -> bool:
    """Whether it is to compute some."""
    return isinstance(work, tuple)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_bytes_are_those_of_one_machine_and_are_made_once(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path
) -> None:
    outcomes = run(*scenes)
    assert [each.state for each in outcomes] == ["done"] * 4
    alone = list(predict_scenes(scenes, tmp_path / "one", bundle=workers.model, options=OPTIONS))
    assert files(tmp_path / "maps") == files(tmp_path / "one")
    by_out = {Path(each.out).name: each for each in outcomes}
    for one in alone:
        other = by_out[Path(one.out).name]
        for key in ("classes", "nodata_pixels", "windows", "precision"):
            assert one.result[key] == other.result[key]
        assert other.item is not None
        assert other.result["workers"][0]["pixels"] == sum(one.result["classes"].values())
    computed = [(number, i) for number, what in workers.orders if shards(what) for i in what]
    assert len(computed) == len(set(computed))
    # either finds done what the other has made
    asked = len(workers.orders)
    assert [each.state for each in run(*scenes)] == ["skipped"] * 4
    assert [each.state for each in run(*scenes, out="one")] == ["skipped"] * 4
    assert all(what == "report" for _, what in workers.orders[asked:])
    again = predict_scenes(scenes, tmp_path / "maps", bundle=workers.model, options=OPTIONS)
    assert [each.state for each in again] == ["skipped"] * 4


def test_large_scenes_are_joined_by_the_client(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(scene_queue, "_SMALL", 0)
    assert [each.state for each in run(*scenes[:2])] == ["done"] * 2
    assert all(work != "join" for _, work in workers.orders)
    run(*scenes[:2], out="one")
    assert files(tmp_path / "maps") == files(tmp_path / "one")


def test_tasks_of_the_next_scene_come_while_those_of_one_run(
    run: Run, workers: Workers, scenes: list[Path]
) -> None:
    run(*scenes)
    places = {number: [] for number in range(4)}  # type: dict[int, list[int]]
    for place, (number, indices) in enumerate(workers.orders):
        if shards(indices):
            places[number].append(place)
    for number in range(3):
        asked = workers.orders.index((number + 1, "report"))
        assert asked < max(places[number]), "its plan is known before the last task of this one"


def test_few_scenes_are_open_at_a_time(
    run: Run, workers: Workers, make_scene: Any, tmp_path: Path
) -> None:
    workers.watch.threads = 1
    run(*(make_scene(f"in/{n}.tif", 20, 20, seed=n) for n in range(20)))
    assert workers.most_open <= 2 + 3 + 4 + 1, "known ahead, at the workers, to be joined"
    assert len(workers.predictor._plans) <= 16


def test_what_fails_does_not_stop_the_others(
    run: Run, workers: Workers, scenes: list[Path], make_scene: Any, tmp_path: Path
) -> None:
    two, none = make_scene("in/two.tif", bands=2), tmp_path / "in" / "none.tif"

    def killing(number: int, indices: Any) -> Any:
        fatal = number == 3 and shards(indices)
        return ClusterError("a task has ended several workers") if fatal else None

    workers.break_off = killing
    outcomes = {Path(each.scene).name: each for each in run(two, none, *scenes)}
    assert "too few bands" in str(outcomes["two.tif"].error)
    assert "there is no file" in str(outcomes["none.tif"].error)
    assert outcomes["1.tif"].error == "a task has ended several workers"
    assert [outcomes[f"{n}.tif"].state for n in (0, 2, 3)] == ["done"] * 3
    assert not list((tmp_path / "maps").glob("*.parts"))


def test_finished_shards_of_a_scene_that_failed_are_kept(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path
) -> None:
    tasks = []

    def fail(number: int, indices: Any) -> Any:
        if shards(indices):
            tasks.append(indices)
        return Failed("b", "there", "the disk is full") if len(tasks) == 2 else None

    workers.break_off = fail
    workers.watch.threads = 4
    (outcome,) = run(scenes[3])
    assert "there failed: the disk is full; finished shards are kept in" in str(outcome.error)
    parts = tmp_path / "maps" / "3.tif.parts"
    before = {path.name: path.stat().st_mtime_ns for path in parts.glob("part_*.tif")}
    assert len(before) >= len(tasks[0])
    workers.break_off = lambda number, indices: None
    (outcome,) = run(scenes[3])
    assert outcome.state == "done"
    assert outcome.result["shards_before"] == len(before)


def test_a_map_that_was_made_when_the_client_was_killed_is_its_own(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path
) -> None:
    """A worker makes it to its end, and nobody is there to keep a record of it."""
    real = workers.answer

    def orphaned(number: int, job: Any, work: Any) -> Any:
        answer = real(number, job, work)
        if work == "join":
            raise KeyboardInterrupt
        return answer

    workers.answer = orphaned  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(scenes[0])
    there = tmp_path / "maps" / "0.tif"
    before = there.read_bytes()
    workers.answer = real  # type: ignore[method-assign]
    workers.orders.clear()
    (outcome,) = run(scenes[0])
    assert (outcome.state, outcome.error) == ("done", None)
    assert [work for _, work in workers.orders] == ["report", "join"], "nothing is computed again"
    assert there.read_bytes() == before
    assert not list((tmp_path / "maps").glob("*.parts"))
    assert [each.state for each in run(scenes[0])] == ["skipped"]


def test_a_worker_that_was_lost_when_the_map_was_there_does_not_matter(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path
) -> None:
    """Another one joins it again."""
    real = workers.answer

    def again(number: int, job: Any, work: Any) -> Any:
        if work == "join":
            real(number, job, work)
        return real(number, job, work)

    workers.answer = again  # type: ignore[method-assign]
    assert [each.state for each in run(scenes[0])] == ["done"]
    assert not list((tmp_path / "maps").glob("*.parts"))


@pytest.mark.parametrize("small", [100, 0])
def test_shards_go_when_there_is_a_record(
    run: Run,
    workers: Workers,
    scenes: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small: int,
) -> None:
    """If the client is killed before they do, the next run takes them away; not others."""
    monkeypatch.setattr(scene_queue, "_SMALL", small)
    maps, seen = tmp_path / "maps", []

    def killed(parts: Parts) -> None:
        record = read_record(maps / "0.tif")
        seen.append(record is not None and record.sizes)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "remove", killed)
        with pytest.raises(SystemExit):
            run(scenes[0])
    before = (maps / "0.tif").read_bytes()
    assert seen == [{"map": len(before)}]
    parts = maps / "0.tif.parts"
    plan = (parts / "plan.json").read_text()
    (parts / "plan.json").write_text(plan.replace('"stride"', '"strides"'))
    assert [each.state for each in run(scenes[0])] == ["skipped"]
    assert list(parts.glob("part_*.tif")), "of another plan"
    if small:
        (parts / "plan.json").write_text(plan)
    else:
        (parts / "plan.json").unlink()  # as if the removal was cut short
    workers.orders.clear()
    assert [each.state for each in run(scenes[0])] == ["skipped"]
    assert [work for _, work in workers.orders] == ["report"]
    assert not parts.exists()
    assert (maps / "0.tif").read_bytes() == before


def test_a_map_that_could_not_be_sent_needs_no_shards(
    run: Run, scenes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OutputError("the network is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Stage, "send", fail)
        (outcome,) = run(scenes[0])
    assert outcome.error == "the network is gone"
    assert not list((tmp_path / "maps").glob("*.parts"))
    assert [each.state for each in run(scenes[0])] == ["skipped"]


def test_a_store_that_hangs_stalls_no_orders(
    run: Run, workers: Workers, scenes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked about a scene that failed while others go on."""
    real, answers, asked = Parts.keep_if_useful, threading.Event(), []

    def hanging(parts: Parts) -> bool:
        asked.append(threading.current_thread())
        assert answers.wait(20)
        return real(parts)

    monkeypatch.setattr(Parts, "keep_if_useful", hanging)

    def fail(number: int, work: Any) -> Any:
        if number == 1 and work == "join":
            answers.set()  # the other scene got so far
        return Failed("b", "there", "no") if number == 0 and shards(work) else None

    workers.break_off = fail
    workers.watch.threads = 4
    outcomes = {Path(each.scene).stem: each.state for each in run(*scenes[:2])}
    assert outcomes == {"0": "failed", "1": "done"}
    assert threading.main_thread() not in asked


def test_an_interrupt_asks_nothing_of_a_store(
    run: Run, workers: Workers, scenes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = Parts.keep_if_useful
    monkeypatch.setattr(Parts, "keep_if_useful", lambda parts: asked.append(parts) or real(parts))
    monkeypatch.setattr(Parts, "keep_at_once", lambda parts: parts.leave() or True)

    def interrupted(number: int, work: Any) -> Any:
        if shards(work):
            raise KeyboardInterrupt

    workers.break_off = interrupted
    with pytest.raises(KeyboardInterrupt) as raised:
        run(*scenes)
    assert "finished shards are kept in" in raised.value.__notes__[0]
    assert asked == []


def test_a_map_that_the_client_had_made_when_it_was_killed_is_its_own(
    run: Run, scenes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> Any:
        raise SystemExit

    monkeypatch.setattr(scene_queue, "_SMALL", 0)
    with monkeypatch.context() as patch:
        patch.setattr(SceneRun, "finished", killed)
        with pytest.raises(SystemExit):
            run(scenes[0])
    before = (tmp_path / "maps" / "0.tif").read_bytes()
    (outcome,) = run(scenes[0])
    assert (outcome.state, outcome.error) == ("done", None)
    assert (tmp_path / "maps" / "0.tif").read_bytes() == before


def test_what_cannot_be_noted_does_not_stop_the_others(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither that a map is begun, nor that polygons do not come."""
    real, maps = Record.write, tmp_path / "maps"

    def full(record: Record, out: Path) -> None:
        known = read_record(out)
        if out.name == "0.tif" or (out.name == "1.tif" and known is not None and known.sizes):
            raise OutputError(f"{out.name}: the disk is full")
        real(record, out)

    monkeypatch.setattr(Record, "write", full)
    workers.break_off = lambda number, work: (
        Failed("b", "there", "no polygons") if number == 1 and isinstance(work, WholeMap) else None
    )
    outcomes = {Path(each.out).stem: each for each in run(*scenes[:3], polygons=maps)}
    assert str(outcomes["0"].error).startswith("0.tif: the disk is full; finished shards are kept")
    assert outcomes["1"].error == "the worker b on there failed: no polygons"
    assert outcomes["2"].state == "done"


def test_a_map_of_someone_else_is_kept(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path
) -> None:
    """Also where a run has failed before it came."""
    workers.break_off = lambda number, work: (
        Failed("b", "there", "the disk is full") if work == "join" else None
    )
    assert run(scenes[0])[0].state == "failed"
    there = tmp_path / "maps" / "0.tif"
    there.write_bytes(b"precious")
    workers.break_off = lambda number, work: None
    assert "already there; add --overwrite" in str(run(scenes[0])[0].error)
    assert there.read_bytes() == b"precious"


def test_a_worker_that_computes_otherwise_ends_the_run(
    run: Run, workers: Workers, scenes: list[Path]
) -> None:
    workers.break_off = lambda number, indices: (
        Failed("b", "there", "it differs", whole=True) if number == 1 else None
    )
    with pytest.raises(ClusterError, match="the worker b on there failed: it differs"):
        run(*scenes)


def outlined(workers: Workers) -> list[int]:
    """Scenes whose polygons workers were asked for, in that order."""
    return [number for number, work in workers.orders if isinstance(work, WholeMap)]


def together(
    run: Run, workers: Workers, tmp_path: Path, *files: Path, **choices: Any
) -> tuple[list[SceneOutcome], list[SceneOutcome]]:
    """Maps, confidence and polygons by one process in ``one``, by the workers in ``two``."""
    found = []
    for name in ("one", "two"):
        given = {"polygons": tmp_path / name, "confidence": tmp_path / f"{name}_sure"}
        if name == "two":
            found.append(run(*files, out=name, **given, **choices))
            continue
        options = replace(OPTIONS, confidence=given.pop("confidence"), **choices)
        model = workers.model
        alone = predict_scenes(files, tmp_path / name, bundle=model, options=options, **given)
        found.append(list(alone))
    return found[0], found[1]


@pytest.mark.parametrize("small", [100, 0])
def test_polygons_are_made_by_workers(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path, monkeypatch: Any, small: int
) -> None:
    """Of maps that the command joins as well."""
    monkeypatch.setattr(scene_queue, "_SMALL", small)
    one, two = together(run, workers, tmp_path, *scenes[:2])
    assert sorted(outlined(workers)) == [0, 1]
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert {path.suffix for path in (tmp_path / "two").iterdir()} >= {".tif", ".gpkg"}
    counts = [{each.scene: each.result["polygon_count"] for each in made} for made in (one, two)]
    assert counts[0] == counts[1]
    for number in range(2):
        records = [read_record(tmp_path / name / f"{number}.tif") for name in ("one", "two")]
        assert records[0] is not None
        assert records[1] is not None
        assert records[0].sizes == records[1].sizes
        assert records[0].plan == records[1].plan
        for record, name in zip(records, ("one", "two"), strict=True):
            assert record.result["polygon_count"] == counts[0][str(scenes[number])] > 0
            assert Path(record.result["polygons"]) == tmp_path / name / f"{number}.gpkg"
    # what either has made is skipped by the other
    asked = len(workers.orders)
    made = together(run, workers, tmp_path, *scenes[:2])
    assert [each.state for outcomes in made for each in outcomes] == ["skipped"] * 4
    for name in ("one", "two"):
        given = {"polygons": tmp_path / name, "confidence": tmp_path / f"{name}_sure"}
        assert [each.state for each in run(*scenes[:2], out=name, **given)] == ["skipped"] * 2
    assert all(work == "report" for _, work in workers.orders[asked:])


def test_missing_polygons_are_all_that_is_made(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path
) -> None:
    """Where they failed, or were not asked for before."""
    maps = tmp_path / "maps"
    workers.break_off = lambda number, work: (
        Failed("b", "there", "the disk is full") if isinstance(work, WholeMap) else None
    )
    (outcome,) = run(scenes[0], polygons=maps)
    assert outcome.error == "the worker b on there failed: the disk is full"
    assert not list(maps.glob("*.gpkg"))
    assert not list(maps.glob("*.parts"))
    (maps / "0.gpkg").write_bytes(b"precious")
    assert "already there; add --overwrite" in str(run(scenes[0], polygons=maps)[0].error)
    assert (maps / "0.gpkg").read_bytes() == b"precious"
    (maps / "0.gpkg").unlink()
    run(scenes[1])
    workers.break_off = lambda number, work: None
    workers.orders.clear()
    (maps / "1.gpkg").write_bytes(b"precious")
    outcomes = {Path(each.out).stem: each for each in run(*scenes[:2], polygons=maps)}
    assert outcomes["0"].state == "done"
    assert "1.gpkg is already there; add --overwrite" in str(outcomes["1"].error)
    assert (maps / "1.gpkg").read_bytes() == b"precious"
    (outcome,) = run(scenes[1], polygons=maps, overwrite=True)
    assert outcome.state == "done"
    assert not any(work == "join" or shards(work) for _, work in workers.orders)
    assert [each.state for each in run(*scenes[:2], polygons=maps)] == ["skipped"] * 2
    alone = predict_scenes(
        scenes[:2],
        tmp_path / "one",
        bundle=workers.model,
        options=OPTIONS,
        polygons=tmp_path / "one",
    )
    assert [each.state for each in alone] == ["done"] * 2
    assert files(tmp_path / "one") == files(maps)


def test_polygons_that_were_made_when_the_client_was_killed_are_its_own(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path
) -> None:
    """A worker makes them to their end, and nobody is there to keep a record of them."""
    real, maps = workers.answer, tmp_path / "maps"

    def orphaned(number: int, job: Any, work: Any) -> Any:
        answer = real(number, job, work)
        if isinstance(work, WholeMap):
            raise KeyboardInterrupt
        return answer

    workers.answer = orphaned  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(scenes[0], polygons=maps)
    before = (maps / "0.gpkg").read_bytes()
    workers.answer = real  # type: ignore[method-assign]
    workers.orders.clear()
    (outcome,) = run(scenes[0], polygons=maps)
    assert (outcome.state, outcome.error) == ("done", None)
    assert not any(work == "join" or shards(work) for _, work in workers.orders)
    assert (maps / "0.gpkg").read_bytes() == before
    assert [each.state for each in run(scenes[0], polygons=maps)] == ["skipped"]


def test_polygons_of_a_lost_worker_are_made_again(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path
) -> None:
    """Also if it was lost when the file was there already."""
    real = workers.answer

    def again(number: int, job: Any, work: Any) -> Any:
        if isinstance(work, WholeMap):
            real(number, job, work)
        return real(number, job, work)

    workers.answer = again  # type: ignore[method-assign]
    (outcome,) = run(scenes[0], polygons=tmp_path / "maps")
    assert (outcome.state, outcome.error) == ("done", None)


def test_polygons_are_only_recorded_when_they_are_seen(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network folder may show them late; that of a worker may be another one of this name."""
    real, maps = workers.predictor.outline, tmp_path / "maps"
    polygons, hidden = maps / "0.gpkg", tmp_path / "hidden"

    def elsewhere(whole: WholeMap, ended: Any) -> tuple[int, int]:
        told = real(whole, ended)
        polygons.rename(hidden)
        return told

    monkeypatch.setattr(late_files, "LATE", 0.2)
    monkeypatch.setattr(workers.predictor, "outline", elsewhere)
    (outcome,) = run(scenes[0], polygons=maps)
    assert "polygons that a worker has finished are not in" in str(outcome.error)
    record = read_record(maps / "0.tif")
    assert record is not None
    assert record.sizes.keys() == {"map"}

    def late(whole: WholeMap, ended: Any) -> tuple[int, int]:
        told = elsewhere(whole, ended)
        threading.Timer(0.3, hidden.rename, [polygons]).start()
        return told

    monkeypatch.setattr(late_files, "LATE", 20.0)
    monkeypatch.setattr(workers.predictor, "outline", late)
    assert [each.state for each in run(scenes[0], polygons=maps)] == ["done"]
    assert [each.state for each in run(scenes[0], polygons=maps)] == ["skipped"]


def test_a_worker_that_nobody_waits_for_leaves_no_polygons(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path
) -> None:
    run(scenes[0])
    polygons = tmp_path / "maps" / "0.gpkg"
    whole = whole_map(tmp_path / "maps" / "0.tif", polygons)
    before = sorted((tmp_path / "maps").iterdir())
    with pytest.raises(ClusterError, match="the run was ended"):
        workers.predictor.outline(whole, lambda: True)
    assert sorted((tmp_path / "maps").iterdir()) == before


def test_a_worker_with_another_library_ends_the_run(
    run: Run, workers: Workers, scenes: list[Path], tmp_path: Path, monkeypatch: Any
) -> None:
    """As its polygons would differ in a last digit."""

    def other() -> dict[str, str]:
        return {"GEOS": "1.0"}

    real = workers.predictor.outline

    def elsewhere(whole: WholeMap, ended: Any) -> tuple[int, int]:
        with monkeypatch.context() as patch:
            patch.setattr("rsseg.vectorise_cluster.job.libraries", other)
            return real(whole, ended)

    monkeypatch.setattr(workers.predictor, "outline", elsewhere)
    with pytest.raises(ClusterError, match="differs from the command in GEOS"):
        run(*scenes, polygons=tmp_path / "maps")
    assert not list((tmp_path / "maps").glob("*.gpkg"))
