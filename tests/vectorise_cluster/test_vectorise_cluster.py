"""Polygons made by real workers: the bytes of one machine, whatever happens to the workers."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from click.testing import CliRunner

from rsseg.cluster.ordered_front import KEYS
from rsseg.errors import ClusterError, OptionError, SceneError
from rsseg.vectorise import VectoriseOptions
from rsseg.vectorise.strips import Work
from rsseg.vectorise_cluster.job import Done, require_same, terms_of
from rsseg.vectorise_cluster.result import shares_of
from rsseg.vectorise_cluster.worker import Signs
from rsseg_cli.main import main

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")

CLEAN = ("--sieve", 6, "--min-area", 8, "--simplify", 1, "--smooth", "--connectivity", 8)
IMPATIENT = """
import rsseg.cluster.watching as watching
watching.Patience.__init__.__defaults__ = ({worker}, {workers})
"""


def ended(process: Any) -> tuple[int, str, str]:
    """Exit status, and what was said on stdout and stderr."""
    out, errors = process.communicate(timeout=240)
    return process.returncode, out, errors


def plain(land_map: Path, *options: object) -> bytes:
    """The file of one machine, which is removed."""
    out = land_map.with_name("land.gpkg")
    line = ["vectorise", land_map, "--out", out, "--quiet", *options]
    done = CliRunner().invoke(main, [str(word) for word in line])
    assert (done.exit_code, done.stderr) == (0, "")
    found = out.read_bytes()
    out.unlink()
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Without processes


def test_terms_are_those_of_the_files_and_libraries(land_map: Path) -> None:
    sure = str(land_map.with_name("sure.tif"))
    work = Work(str(land_map), VectoriseOptions(confidence=sure), lon_lat=False)
    terms = terms_of(work)
    assert set(terms.files) == {"raster", "confidence"}
    require_same(terms, work)
    before = land_map.stat()
    os.utime(land_map, (1, 1))
    with pytest.raises(OptionError, match="differs from the command in raster"):
        require_same(terms, work, patience=0)
    other = replace(terms, libraries=terms.libraries | {"GEOS": "1.0"})
    with pytest.raises(ClusterError, match="differs from the command in GEOS, expected 1.0"):
        require_same(other, work)  # at once: that does not change
    # a network folder that still tells of what was there before
    later = Timer(0.2, os.utime, (land_map,), {"ns": (before.st_atime_ns, before.st_mtime_ns)})
    later.start()
    require_same(terms, work, patience=30)
    land_map.rename(land_map.with_name("moved.tif"))
    with pytest.raises(SceneError, match="there is no file"):
        require_same(terms, work, patience=0)


def test_signs_of_life() -> None:
    class Worker:
        data: dict[str, int] = {}

    worker: Any = Worker()
    signs = Signs(lambda worker: 100)
    first = signs(worker)
    assert first == signs(worker)
    with signs:
        worker.data = {f"{KEYS}x": 1}
        running = signs(worker)
        assert running == signs(worker) > first  # one that hangs in a task gives no other sign
    assert signs(worker) < signs(worker)  # it waits for its results to be fetched


def test_shares_add_up() -> None:
    made = (("b", 5), ("a", 7), ("b", 6))
    one, two = shares_of([Done(name, "host", pixels, 1.0, None) for name, pixels in made], 4.0)
    assert (one.worker, one.tasks, one.pixels, one.busy) == ("a", 1, 7, 0.25)
    assert (two.worker, two.tasks, two.pixels, two.busy) == ("b", 2, 11, 0.5)


def test_without_dask_the_install_command_is_named(
    land_map: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    line = ["vectorise", str(land_map), "--out", "land.gpkg", "--cluster", "a:1"]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 1
    assert done.stderr == "Error: distributed is not installed; pip install 'rsseg[dask]'\n"


def test_what_is_no_cluster_is_refused(land_map: Path) -> None:
    line = [
        "vectorise",
        str(land_map),
        "--out",
        str(land_map.with_name("a.gpkg")),
        "--cluster",
        "x",
    ]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 2
    assert "unusable cluster" in done.stderr


# Real schedulers and workers


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), CLEAN])
def test_two_workers_give_the_bytes_of_one_machine(
    processes: Any, land_map: Path, options: tuple[object, ...]
) -> None:
    options = (*options, "--confidence", land_map.with_name("sure.tif"))
    expected, out = plain(land_map, *options), land_map.with_name("land.gpkg")
    processes.scheduler()
    for _ in range(2):
        processes.worker()
    command = processes.vectorise(
        land_map, "--out", out, "--cluster", processes.address, "--json", *options
    )
    status, told, errors = ended(command)
    assert (status, errors) == (0, "")
    assert out.read_bytes() == expected
    result = json.loads(told)
    passes = 3 if "--sieve" in options else 1
    assert result["strips"] == 12
    assert sum(each["tasks"] for each in result["workers"]) == passes * 12
    assert sum(each["pixels"] for each in result["workers"]) == passes * 3001 * 400
    assert all(0 < each["busy"] <= 1 for each in result["workers"])
    assert result["polygons"] == sum(result["classes"].values()) > 1000


@pytest.mark.slow
def test_a_killed_worker_is_replaced_by_the_other(
    processes: Any, land_map: Path, slow: str
) -> None:
    expected, out = plain(land_map), land_map.with_name("land.gpkg")
    out.write_text("an earlier output")
    before = names(out.parent)
    processes.scheduler()
    first, _ = (processes.worker(slow) for _ in range(2))
    processes.wait_for_workers()
    command = processes.vectorise(
        *(land_map, "--out", out, "--overwrite", "--cluster", processes.address)
    )
    while not list(out.parent.glob(".land*unfinished*")):  # it is being written to
        assert command.poll() is None, command.communicate()
        time.sleep(0.01)
    time.sleep(1)
    first.kill()
    assert command.poll() is None
    assert out.read_text() == "an earlier output"
    assert ended(command)[0::2] == (0, "")
    assert out.read_bytes() == expected
    assert names(out.parent) == before


@pytest.mark.slow
def test_a_stopped_command_and_a_lost_scheduler_leave_what_was_there(
    processes: Any, land_map: Path, slow: str
) -> None:
    out = land_map.with_name("land.gpkg")
    out.write_text("an earlier output")
    scheduler = processes.scheduler()
    processes.worker(slow)
    before = names(out.parent)
    line = (land_map, "--out", out, "--overwrite", "--cluster", processes.address)
    for end in (lambda command: command.send_signal(signal.SIGINT), lambda _: scheduler.kill()):
        command = processes.vectorise(*line)
        while not list(out.parent.glob(".land*unfinished*")):
            assert command.poll() is None, command.communicate()
            time.sleep(0.01)
        end(command)
        status, _, errors = ended(command)
        assert status != 0
        assert len(errors.splitlines()) == 1, errors
        assert out.read_text() == "an earlier output"
        assert names(out.parent) == before
    assert "the scheduler of the cluster is gone" in errors


@pytest.mark.slow
def test_the_strips_of_a_worker_that_hangs_are_done_elsewhere(
    processes: Any, land_map: Path, slow: str
) -> None:
    expected, out = plain(land_map), land_map.with_name("land.gpkg")
    processes.scheduler()
    first, _ = (processes.worker(slow) for _ in range(2))
    processes.wait_for_workers()
    impatient = IMPATIENT.format(worker=6.0, workers=60.0)
    command = processes.vectorise(
        *(land_map, "--out", out, "--cluster", processes.address, "--json"), more=impatient
    )
    while not list(out.parent.glob(".land*unfinished*")):
        assert command.poll() is None, command.communicate()
        time.sleep(0.01)
    time.sleep(1)
    first.send_signal(signal.SIGSTOP)
    status, told, errors = ended(command)
    assert status == 0
    assert "1 workers hung and were taken out" in "".join(json.loads(told)["notes"])
    assert errors.splitlines() == [f"note: {json.loads(told)['notes'][0]}"]
    assert out.read_bytes() == expected


@pytest.mark.slow
def test_a_worker_with_another_library_is_refused(processes: Any, land_map: Path) -> None:
    out = land_map.with_name("land.gpkg")
    processes.scheduler()
    processes.worker("import rsseg\nrsseg.__version__ = '0.0.1'")
    command = processes.vectorise(land_map, "--out", out, "--cluster", processes.address)
    status, _, errors = ended(command)
    assert status == 1
    assert "it differs from the command in rsseg, expected" in errors
    assert len(errors.splitlines()) == 1
    assert not out.exists()


@pytest.mark.slow
def test_processes_of_this_machine(processes: Any, land_map: Path) -> None:
    expected, out = plain(land_map), land_map.with_name("land.gpkg")
    command = processes.vectorise(land_map, "--out", out, "--cluster", "local:2")
    assert ended(command)[0::2] == (0, "")
    assert out.read_bytes() == expected
