"""Workers that share no folder: the scene in an object store, and shards put there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="processes as POSIX has them"),
]

APART = """
import rsseg.prediction.parts.folder as folders
def refuse(*_):
    raise AssertionError("a worker has opened a folder")
folders.Parts.__init__ = refuse
"""
OUT = "s3://maps/made/map.tif"
NAMES = ("map.tif", "map.qml", "map.tif.aux.xml")
SHARDS = 33

Begin = Callable[..., Any]


@pytest.fixture
def store(tmp_path: Path, makers: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An object store whose bucket ``maps`` is ``bucket`` on this disk."""
    bucket = tmp_path / "store" / "maps"
    bucket.mkdir(parents=True)
    with makers("geo").storing(tmp_path / "store", monkeypatch) as server:
        server.bucket = bucket
        server.objects = lambda: sorted(
            str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file()
        )
        server.parts = lambda: {
            path.name: path.stat().st_mtime_ns for path in bucket.rglob("part_*.tif")
        }
        yield server


@pytest.fixture
def stored(store: Any, scene: Path) -> str:
    """The scene, in the store alone."""
    (store.bucket / "in").mkdir()
    shutil.move(scene, store.bucket / "in" / "scene.tif")
    return "s3://maps/in/scene.tif"


@pytest.fixture
def apart(processes: Any, cache: Path, tmp_path: Path) -> Begin:
    """A function that begins a worker with a current folder and a cache of its own.

    It ends the run if it opens a folder of shards.
    """

    def begin(more: str = "") -> Any:
        own = tmp_path / f"machine{len(processes.begun)}"
        shutil.copytree(cache / "onnx", own / "cache" / "onnx")
        there = f"import os\nos.chdir({str(own)!r})\n"
        return processes.worker(there + more + APART, RSSEG_CACHE=str(own / "cache"))

    return begin


@pytest.fixture
def expected(processes: Any, stored: str, finish: Any, tmp_path: Path) -> dict[str, bytes]:
    """The outputs of one machine."""
    assert finish(processes.predict(stored)) == (0, "")
    return {name: (tmp_path / name).read_bytes() for name in NAMES}


def made(store: Any, folder: str = "made") -> dict[str, bytes]:
    """The outputs in the store."""
    return {name: (store.bucket / folder / name).read_bytes() for name in NAMES}


def summary(command: Any) -> dict[str, Any]:
    out, errors = command.communicate(timeout=240)
    assert (command.returncode, errors) == (0, "")
    told: dict[str, Any] = json.loads(out)
    return told


def wait_until(condition: Any, process: Any) -> None:
    """Until it holds, while the process lives."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_two_workers_give_the_bytes_of_one_machine(
    processes: Any, apart: Begin, store: Any, stored: str, expected: Any, finish: Any
) -> None:
    processes.scheduler()
    workers = [apart() for _ in range(2)]
    processes.wait_for_workers()
    store.tell(asked={}, put_how=500, put_times=3)  # passing failures of writing
    on = ("--cluster", processes.address)
    told = summary(processes.predict(stored, "--out", OUT, *on, "--json"))
    assert made(store) == expected
    assert sum(each["shards"] for each in told["workers"]) == told["shards"] == SHARDS
    assert len(told["workers"]) == 2
    assert not parts(store)
    asked = store.asked
    assert SHARDS <= asked["PUT part.tif"] <= SHARDS + 3
    assert asked["GET part.tif"] == 2 * SHARDS, "looked at when it was put, and fetched"
    assert asked["GET plan.json"] == SHARDS + 2, "workers ask before they put one"

    # a command whose key may not write or list says so before anything is computed
    for failure in ({"put_how": 403, "put_times": -1}, {"list_how": 403}):
        store.tell(put_times=0, list_how=None, asked={})
        store.tell(**failure)
        status, errors = finish(processes.predict(stored, "--out", OUT, *on, "--overwrite"))
        assert (status, errors.count("\n")) == (1, 1)
        assert "s3://maps/made/map.tif" in errors
        assert "may the key that is set" in errors
        assert "PUT part.tif" not in store.asked
        assert made(store) == expected, "what was there is untouched"
    assert [worker.poll() for worker in workers] == [None, None]


def test_a_killed_client_and_worker_and_another_machine_that_goes_on(
    processes: Any,
    apart: Begin,
    store: Any,
    stored: str,
    expected: Any,
    slow: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes.scheduler()
    first, second = apart(slow(0.05)), apart(slow(0.05))
    on = ("--cluster", processes.address, "--json")
    command = processes.predict(stored, "--out", OUT, *on)
    wait_until(lambda: len(store.parts()) >= 4, command)
    first.kill()
    wait_until(lambda: len(store.parts()) >= 8, command)
    command.kill()
    second.kill()
    before = store.parts()
    assert 8 <= len(before) < SHARDS
    apart()
    monkeypatch.setenv("RSSEG_CACHE", str(tmp_path / "another"))
    command = processes.predict(stored, "--out", OUT, *on)
    after: dict[str, int] = {}
    wait_until(lambda: after.update(store.parts()) or len(after) == SHARDS, command)
    told = summary(command)
    assert told["shards_before"] == len(before)
    assert sum(each["shards"] for each in told["workers"]) == SHARDS - len(before)
    assert before.items() <= after.items(), "finished shards are not written again"
    assert made(store) == expected
    assert not parts(store)


def test_another_plan_has_its_own_place(
    processes: Any,
    apart: Begin,
    store: Any,
    stored: str,
    expected: Any,
    slow: Any,
    finish: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes.scheduler()
    worker = apart(slow(0.05))
    to = ("--out", OUT, "--cluster", processes.address)
    command = processes.predict(stored, *to)
    wait_until(lambda: len(store.parts()) >= 3, command)
    command.kill()
    worker.kill()
    before = parts(store)

    # from another machine nothing is known of it, and nothing of it is touched
    worker = apart(slow(0.02))
    with monkeypatch.context() as patch:
        patch.setenv("RSSEG_CACHE", str(tmp_path / "another"))
        command = processes.predict(stored, *to, "--overlap", "20")
        wait_until(
            lambda: any("/part_" in name for name in set(parts(store)) - set(before)), command
        )
        os.kill(command.pid, signal.SIGINT)
        status, errors = finish(command)
        assert status == 1
        place = re.search(r"finished shards are kept in s3://maps/(\S+): the same command", errors)
        assert place is not None, errors
        assert place[1] not in {name.rpartition("/")[0] for name in before}
        assert finish(processes.predict(stored, *to, "--overlap", "20", "--restart")) == (0, "")
    assert parts(store) == before
    assert made(store)["map.tif"] != expected["map.tif"]

    # on this machine it is known, and forgotten by --restart
    to += ("--overwrite",)
    status, errors = finish(processes.predict(stored, *to, "--overlap", "20"))
    assert (status, errors.count("\n")) == (1, 1)
    assert "holds an unfinished run that differs in" in errors
    assert finish(processes.predict(stored, *to, "--overlap", "20", "--restart")) == (0, "")
    assert not parts(store)
    assert finish(processes.predict(stored, *to)) == (0, "")
    assert made(store) == expected


def test_many_scenes(
    processes: Any, apart: Begin, store: Any, make_scene: Any, finish: Any, tmp_path: Path
) -> None:
    for number in range(3):
        make_scene(f"store/maps/in/{number}.tif", 130 + 70 * number, 300, seed=number)
    scenes = [f"s3://maps/in/{number}.tif" for number in range(3)]
    one = tmp_path / "one"
    more = ("--confidence", tmp_path / "sure", "--polygons", one, "--vrt")
    assert finish(processes.predict(scenes[0], *scenes[1:], "--out", one, *more)) == (0, "")
    processes.scheduler()
    workers = [apart() for _ in range(2)]
    on = ("--cluster", processes.address, "--json")
    there = ("--out", "s3://maps/two", "--polygons", "s3://maps/two", "--vrt")
    told = summary(
        processes.predict(scenes[0], *scenes[1:], *there, "--confidence", "s3://maps/sure", *on)
    )
    assert [each["state"] for each in told["scenes"]] == ["done"] * 3
    assert len(told["totals"]["workers"]) == 2
    for number in range(3):
        for name in (f"{number}.tif", f"{number}.qml"):
            assert (store.bucket / "two" / name).read_bytes() == (one / name).read_bytes()
        sure = (store.bucket / "sure" / f"{number}.tif").read_bytes()
        assert sure == (tmp_path / "sure" / f"{number}.tif").read_bytes()
        assert f"two/{number}.gpkg" in store.objects()
    assert not parts(store)
    told = summary(
        processes.predict(scenes[0], *scenes[1:], *there, "--confidence", "s3://maps/sure", *on)
    )
    assert {each["state"] for each in told["scenes"]} == {"skipped"}

    # maps in a folder of the command's machine, shards in a store
    near = ("--out", tmp_path / "three", "--scratch", "s3://maps/tmp")
    told = summary(processes.predict(scenes[0], *scenes[1:], *near, *on))
    assert [each["state"] for each in told["scenes"]] == ["done"] * 3
    for number in range(3):
        name = f"{number}.tif"
        assert (tmp_path / "three" / name).read_bytes() == (one / name).read_bytes()
    single = ("--out", tmp_path / "four.tif", "--polygons", tmp_path / "four.gpkg")
    summary(processes.predict(scenes[1], *single, *near[2:], *on))
    assert (tmp_path / "four.tif").read_bytes() == (one / "1.tif").read_bytes()
    assert (tmp_path / "four.gpkg").is_file()
    assert not [name for name in store.objects() if name.startswith("tmp")]
    assert [worker.poll() for worker in workers] == [None, None]


def test_a_store_that_goes_away(
    processes: Any, apart: Begin, store: Any, stored: str, expected: Any, slow: Any, finish: Any
) -> None:
    processes.scheduler()
    apart(slow(0.05))
    to = ("--out", OUT, "--cluster", processes.address)
    command = processes.predict(stored, *to)
    wait_until(lambda: len(store.parts()) >= 3, command)
    store.refuse("drop", times=-1)
    status, errors = finish(command)
    assert (status, errors.count("\n")) == (1, 1)
    assert re.search(r"s3://maps/made/map\.tif\.parts/\w{16}/part_\d+\.tif cannot be writ", errors)
    assert "finished shards are kept in s3://maps/made/map.tif.parts/" in errors
    assert not (store.bucket / "made" / "map.tif").exists()
    before = len(store.parts())
    store.refuse(500, times=2)
    told = summary(processes.predict(stored, *to, "--json"))
    assert told["shards_before"] == before
    assert made(store) == expected


@pytest.mark.parametrize("scenes", [1, 2])
def test_an_interrupt_while_the_store_hangs(
    processes: Any, apart: Begin, store: Any, stored: str, slow: Any, finish: Any, scenes: int
) -> None:
    """It takes no request and refuses none: what asks it waits for minutes."""
    shutil.copy(store.bucket / "in" / "scene.tif", store.bucket / "in" / "other.tif")
    named = (stored, "s3://maps/in/other.tif")[:scenes]
    processes.scheduler()
    apart(slow(0.05))
    to = ("--out", OUT if scenes == 1 else "s3://maps/made", "--cluster", processes.address)
    command = processes.predict(*named, *to)
    wait_until(lambda: len(store.parts()) >= 3, command)
    server = server_process()
    os.kill(server, signal.SIGSTOP)
    try:
        time.sleep(1)
        began = time.monotonic()
        os.kill(command.pid, signal.SIGINT)
        status, errors = finish(command)
        assert time.monotonic() - began < 8, "about one second, on a machine at rest"
    finally:
        os.kill(server, signal.SIGCONT)
    assert (status, errors.count("\n")) == (1, 1)
    assert "interrupted; finished shards are kept in s3://maps/made/" in errors
    assert len(store.parts()) >= 3
    assert finish(processes.predict(*named, *to))[0] == 0
    assert not parts(store)


def test_processes_of_one_machine_share_a_folder(
    processes: Any, store: Any, stored: str, finish: Any, expected: Any
) -> None:
    to = ("--out", OUT, "--cluster", "local:2")
    status, errors = finish(processes.predict(stored, *to, "--scratch", "s3://maps/tmp"))
    assert (status, errors.count("\n")) == (2, 1)
    assert "give --scratch a folder" in errors
    assert finish(processes.predict(stored, *to))[0] == 0
    assert made(store) == expected
    assert "PUT part.tif" not in store.asked


def server_process() -> int:
    """The process of the object store, which this one has begun."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            if (
                parent == os.getpid()
                and "object_server.py" in (path.parent / "cmdline").read_text()
            ):
                return int(path.parent.name)
    raise AssertionError("there is no server")


def parts(store: Any) -> list[str]:
    """Names of the objects in folders of shards."""
    return [name for name in store.objects() if ".parts/" in name]
