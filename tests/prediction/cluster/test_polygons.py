"""Polygons of maps that workers make: the bytes of one machine, and by the workers."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them"),
]

STRIPS = """
import rsseg.vectorise.strips as strips
strips.strips_of.__defaults__ = (1,)
"""
NOT_HERE = """
import rsseg.vectorise.tool as alone
def outlines(*_, **__):
    raise SystemError("polygons were made in this process")
alone.outlines = outlines
"""
SLOW = """
import time
import rsseg.vectorise_cluster.worker as slow
def slower(function):
    def waiting(*arguments):
        time.sleep({seconds})
        return function(*arguments)
    return waiting
if slow.require_same.__name__ == "require_same":  # Dask may run this twice
    slow.require_same = slower(slow.require_same)
"""
SLOW_FILES = """
import time
from rsseg.vectorise.table import Table
def slower(function):
    def waiting(*arguments):
        time.sleep({seconds})
        return function(*arguments)
    return waiting
if Table.rows.__name__ == "rows":  # Dask may run this twice
    Table.rows = slower(Table.rows)
"""
SMALL_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
"""


@pytest.fixture
def outputs(tmp_path: Path) -> Callable[[], dict[str, bytes]]:
    """A function that reads and removes the map, its confidence and its polygons."""

    def take() -> dict[str, bytes]:
        found = {}
        for name in ("map.tif", "map.tif.aux.xml", "map.qml", "map.gpkg", "sure.tif"):
            found[name] = (tmp_path / name).read_bytes()
            (tmp_path / name).unlink()
        return found

    return take


@pytest.fixture
def words(tmp_path: Path) -> tuple[object, ...]:
    return ("--polygons", tmp_path / "map.gpkg", "--confidence", tmp_path / "sure.tif")


def wait_until(condition: Callable[[], Any], process: Any) -> None:
    """Until it holds, while the process lives."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def polygons_begun(folder: Path) -> bool:
    return bool(list(folder.glob(".*unfinished.gpkg")))


def test_workers_make_the_polygons_of_one_scene(
    processes: Any, scene: Path, outputs: Any, words: Any, finish: Any, tmp_path: Path
) -> None:
    assert finish(processes.predict(scene, *words)) == (0, "")
    expected = outputs()
    # what is there is kept, and told before anyone is asked
    (tmp_path / "map.gpkg").write_text("precious")
    status, errors = finish(processes.predict(scene, *words, "--cluster", "127.0.0.1:9"))
    assert (status, errors.count("\n")) == (1, 1)
    assert "map.gpkg is already there; add --overwrite to replace it" in errors
    assert (tmp_path / "map.gpkg").read_text() == "precious"
    (tmp_path / "map.gpkg").unlink()

    processes.scheduler()
    slow = SLOW.format(seconds=0.3)
    first, _ = (processes.worker(slow) for _ in range(2))
    on = ("--cluster", processes.address, "--json")
    command = processes.predict(scene, *words, *on, more=STRIPS + NOT_HERE)
    told, errors = command.communicate(timeout=240)
    assert (command.returncode, errors) == (0, "")
    assert outputs() == expected
    result = json.loads(told)
    assert result["polygons"] == str(tmp_path / "map.gpkg")
    assert result["polygon_count"] > 0

    # a worker is killed while they make them
    processes.wait_for_workers()
    command = processes.predict(scene, *words, *on, more=STRIPS + NOT_HERE)
    wait_until(lambda: polygons_begun(tmp_path), command)
    first.kill()
    _, errors = command.communicate(timeout=240)
    assert (command.returncode, errors) == (0, "")
    assert outputs() == expected


def test_an_interrupt_leaves_the_map_and_says_how_polygons_come(
    processes: Any, scene: Path, outputs: Any, words: Any, finish: Any, tmp_path: Path
) -> None:
    """On processes of this machine, which have made the map as well."""
    slow = SLOW.format(seconds=5.0)
    on = ("--cluster", "local:2")
    command = processes.predict(scene, *words, *on, more=STRIPS + slow, session=True)
    wait_until(lambda: polygons_begun(tmp_path), command)
    os.killpg(command.pid, signal.SIGINT)
    status, errors = finish(command)
    assert status == 1
    assert errors.startswith("Error: interrupted; the map is there, its polygons come by rsseg ")
    assert len(errors.splitlines()) == 1
    assert not list(tmp_path.glob("*.gpkg"))
    assert not polygons_begun(tmp_path)
    line = shlex.split(errors.partition(" come by rsseg ")[2])
    assert line[0] == "vectorise"
    assert finish(processes.vectorise(*line[1:], "--quiet")) == (0, "")
    made = outputs()
    assert finish(processes.predict(scene, *words, *on, more=STRIPS + NOT_HERE)) == (0, "")
    assert outputs() == made


@pytest.fixture
def folder(make_scene: Any, tmp_path: Path) -> Path:
    """A folder of two scenes."""
    for number in range(2):
        make_scene(f"in/{number}.tif", 130 + 70 * number, 300, seed=number)
    return tmp_path / "in"


def test_workers_make_the_polygons_of_many_scenes(
    processes: Any, folder: Path, finish: Any, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    words = ("--out", maps, "--polygons", maps)
    assert finish(processes.predict(folder, *words)) == (0, "")

    def contents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in maps.glob("[01].*")}

    def states() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in maps.glob("[01].tif")}

    expected = contents()
    assert {"0.gpkg", "1.gpkg"} <= expected.keys()
    processes.scheduler()
    # the disk of a worker is full
    small = processes.worker(SMALL_FILES)
    on = ("--cluster", processes.address, "--overwrite", "--restart")
    status, errors = finish(processes.predict(folder, *words, *on, more=NOT_HERE))
    assert status == 1
    assert "gpkg cannot be written" in errors
    assert len(errors.splitlines()) == 3, "one for each, and one for both"
    assert contents() == expected, "polygons that were there stay"
    small.kill()
    for path in maps.glob("*.gpkg"):
        path.unlink()
    before = states()

    # one that makes polygons is killed, and the command interrupted
    slow = SLOW_FILES.format(seconds=3.0)
    first, _ = (processes.worker(slow) for _ in range(2))
    processes.wait_for_workers()
    on = ("--cluster", processes.address, "--json")
    command = processes.predict(folder, *words, *on, more=NOT_HERE, session=True)
    wait_until(lambda: polygons_begun(maps), command)
    os.killpg(command.pid, signal.SIGINT)
    status, errors = finish(command)
    assert (status, errors) == (1, "Error: interrupted\n")
    while polygons_begun(maps):  # workers make what they have begun, or leave it
        time.sleep(0.05)
    command = processes.predict(folder, *words, *on, more=NOT_HERE)
    wait_until(lambda: list(maps.glob(f".*-{first.pid}-*unfinished.gpkg")), command)
    first.kill()
    told, errors = command.communicate(timeout=240)
    assert (command.returncode, errors) == (0, "")
    assert {each["state"] for each in json.loads(told)["scenes"]} <= {"done", "skipped"}
    assert contents() == expected
    assert states() == before, "maps that were there are not made again"
    command = processes.predict(folder, *words, *on, more=NOT_HERE)
    told, errors = command.communicate(timeout=240)
    assert {each["state"] for each in json.loads(told)["scenes"]} == {"skipped"}
