"""Runs that are killed, interrupted, or run out of disk: real processes, and what they leave."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rsseg.errors import OutputError, SceneError
from rsseg.prediction import PredictOptions, predict

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")

COMMAND = """
import sys
import rsseg.prediction.planning.plan as planning
planning._SHARD_PIXELS, planning._SHARD_COLUMNS = 1, 128
{more}
from rsseg_cli.main import main
main(sys.argv[1:])
"""
"""``rsseg`` with small shards."""

KEEP_PARTS = """
from rsseg.prediction.parts.folder import Parts
Parts.remove = lambda self: self._lock.release()
"""
HELD_FINISH = """
import os, time, rasterio.shutil
copy = rasterio.shutil.copy
def held(*arguments, **more):
    print("copying", flush=True)
    while not os.path.exists({go!r}):
        time.sleep(0.05)
    copy(*arguments, **more)
rasterio.shutil.copy = held
"""
SMALL_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes}, {bytes}))
"""
OUTPUTS = ("map.tif", "map.tif.aux.xml", "map.qml", "confidence.tif")
SHARDS = 33
ON_AGAIN = "the same command goes on"


@pytest.fixture
def start(scene: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts ``rsseg predict`` with small windows and shards."""
    begun: list[subprocess.Popen[str]] = []

    def run(*arguments: object, more: str = "", out: str = "map.tif") -> subprocess.Popen[str]:
        options = ["--engine", "openvino", "--tile-size", 64, "--memory", "4GB", *arguments]
        options += ["--confidence", tmp_path / out.replace("map", "confidence")]
        line = ["predict", scene, "--out", tmp_path / out, "--quiet", *options]
        begun.append(
            subprocess.Popen(
                [sys.executable, "-c", COMMAND.format(more=more), *map(str, line)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return begun[-1]

    yield run
    for process in begun:
        if process.returncode is None:
            process.kill()
            process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and what was said on stderr."""
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until it holds, or the process has ended."""
    while not condition() and process.poll() is None:
        time.sleep(0.005)


def parts_in(folder: Path) -> dict[Path, int]:
    """Part files and when they were written."""
    return {p: p.stat().st_mtime_ns for p in (folder / "map.tif.parts").glob("part_*.tif")}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


@pytest.fixture
def whole(start: Any, tmp_path: Path) -> dict[str, bytes]:
    """The outputs of an undisturbed run, which are removed."""
    assert ended(start()) == (0, "")
    found = contents(tmp_path)
    for name in OUTPUTS:
        (tmp_path / name).unlink()
    return found


@pytest.mark.slow
def test_a_run_killed_at_any_moment_goes_on_and_changes_no_byte(
    start: Any, whole: dict[str, bytes], tmp_path: Path
) -> None:
    moments = random.Random(7)
    journal = tmp_path / "map.tif.parts" / "plan.json"
    halfway = 0
    for number in range(10):
        process = start()
        wait_for(journal.exists, process)
        began = time.monotonic()
        least = moments.randrange(SHARDS + 1)
        wait_for(lambda least=least: len(parts_in(tmp_path)) >= least, process)
        time.sleep(moments.random() * 0.2 * (time.monotonic() - began))
        process.kill()
        process.wait()
        process.communicate()
        done = parts_in(tmp_path)
        halfway += 0 < len(done) < SHARDS
        if not journal.exists():
            continue  # it was done before
        assert not (tmp_path / "map.tif").exists()

        assert ended(start(more=KEEP_PARTS)) == (0, ""), number
        after = parts_in(tmp_path)
        assert {path: after[path] for path in done} == done, "a finished shard was recomputed"
        assert len(after) == SHARDS
        assert contents(tmp_path) == whole
        for path in [*(tmp_path / "map.tif.parts").iterdir(), *map(tmp_path.joinpath, OUTPUTS)]:
            path.unlink()
    assert halfway >= 3, "the moments were badly chosen"
    assert [path.name for path in tmp_path.iterdir() if "unfinished" in path.name] == []


@pytest.mark.slow
def test_a_run_killed_again_and_again_comes_to_its_end(
    start: Any, whole: dict[str, bytes], tmp_path: Path
) -> None:
    before: dict[Path, int] = {}
    for more in range(5, SHARDS, 8):
        process = start()
        wait_for(lambda least=more: len(parts_in(tmp_path)) >= least, process)
        process.kill()
        process.communicate()
        now = parts_in(tmp_path)
        assert {path: now[path] for path in before} == before
        before = now
    assert ended(start()) == (0, "")
    assert contents(tmp_path) == whole


@pytest.mark.slow
def test_an_interrupt_stops_at_once_and_says_how_to_go_on(
    start: Any, whole: dict[str, bytes], tmp_path: Path
) -> None:
    process = start()
    wait_for(lambda: len(parts_in(tmp_path)) > 3, process)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    status, errors = ended(process)
    assert time.monotonic() - began < 5  # under a second on a machine at rest
    assert status == 1
    assert errors.startswith("Error: interrupted; ")
    assert len(errors.splitlines()) == 1
    assert ON_AGAIN in errors
    assert not (tmp_path / "map.tif").exists()
    done = parts_in(tmp_path)
    assert done
    assert ended(start()) == (0, "")
    assert contents(tmp_path) == whole


@pytest.mark.slow
def test_an_interrupt_while_the_map_is_put_together(
    start: Any, whole: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "map.tif").write_bytes(b"the old map")
    go = tmp_path / "go"
    process = start("--overwrite", more=HELD_FINISH.format(go=str(go)))
    assert process.stdout.readline() == "copying\n"
    process.send_signal(signal.SIGINT)
    status, errors = ended(process)
    assert (status, len(errors.splitlines())) == (1, 1)
    assert ON_AGAIN in errors
    go.touch()
    time.sleep(0.5)
    assert (tmp_path / "map.tif").read_bytes() == b"the old map"
    assert len(parts_in(tmp_path)) == SHARDS
    assert ended(start("--overwrite")) == (0, "")
    assert contents(tmp_path) == whole


LONG_FORWARD = """
import sys, torch
from rsseg.bundle import Bundle
from rsseg.legend import LAND_COVER
from rsseg.normalise import Normalisation
from rsseg.prediction import PredictOptions, predict

class Long(torch.nn.Module):
    calls = 0
    def forward(self, images):
        self.calls += 1
        if self.calls > 1:
            print("forward", flush=True)
            square = torch.ones(12_000, 12_000)
            for _ in range(20):
                square = square @ square
        return torch.zeros(len(images), 5, *images.shape[2:])

scaling = Normalisation((255.0,) * 3, (0.5,) * 3, (0.25,) * 3)
bundle = Bundle("long", LAND_COVER, ("red", "green", "blue"), scaling, window=64)
predict(sys.argv[1], sys.argv[2], bundle=bundle, network=Long())
"""


@pytest.mark.slow
def test_an_interrupt_does_not_wait_for_a_forward_pass(scene: Path, tmp_path: Path) -> None:
    """It takes minutes and cannot be stopped, being inside a library."""
    process = subprocess.Popen(
        [sys.executable, "-c", LONG_FORWARD, str(scene), str(tmp_path / "map.tif")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "forward\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    status, errors = ended(process)
    assert time.monotonic() - began < 5
    assert status not in (0, -signal.SIGSEGV, -signal.SIGABRT)
    assert "KeyboardInterrupt" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


@pytest.mark.slow
def test_an_interrupt_does_not_wait_for_a_silent_server(tmp_path: Path) -> None:
    """GDAL has half a minute of patience with one that takes a request and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/scene.tif"
        code = "import sys\nfrom rsseg_cli.main import main\nmain(sys.argv[1:])"
        process = subprocess.Popen(
            [sys.executable, "-c", code, "predict", address, "--out", str(tmp_path / "map.tif")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1)
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            status, errors = ended(process)
            assert time.monotonic() - began < 5
    assert (status, errors) == (1, "Error: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("size", "kept"), [(4_000, False), (40_000, True)])
def test_a_full_disk(
    start: Any, whole: dict[str, bytes], tmp_path: Path, size: int, kept: bool
) -> None:
    """No file may grow beyond so many bytes: not even parts, or not the map of them."""
    (tmp_path / "map.tif").write_bytes(b"the old map")
    status, errors = ended(start("--overwrite", more=SMALL_FILES.format(bytes=size)))
    assert status == 1
    said = [line for line in errors.splitlines() if not line.startswith("_tiff")]  # libtiff's own
    assert len(said) == 1
    assert said[0].startswith("Error: ")
    assert "cannot be written" in said[0]
    assert (ON_AGAIN in errors) == kept
    assert (tmp_path / "map.tif").read_bytes() == b"the old map"
    left = {path.name for path in tmp_path.iterdir()} - {"cache"}
    assert left == {"map.tif", "scene.tif"} | ({"map.tif.parts"} if kept else set())
    assert ended(start("--overwrite")) == (0, "")
    assert contents(tmp_path) == whole


@pytest.mark.slow
def test_a_second_process_is_refused_and_does_no_harm(
    start: Any, whole: dict[str, bytes], tmp_path: Path
) -> None:
    go = tmp_path / "go"
    first = start(more=HELD_FINISH.format(go=str(go)))
    wait_for(lambda: len(parts_in(tmp_path)) > 0, first)
    for more in ((), ("--restart",)):
        status, errors = ended(start(*more))
        assert status == 1
        assert "another process is at work in" in errors
        assert len(errors.splitlines()) == 1
    go.touch()
    assert ended(first)[0] == 0
    assert contents(tmp_path) == whole


def test_a_scene_that_vanishes_is_one_error_and_the_old_map_stays(
    make_scene: Any, make_bundle: Any, pointwise: Any, tmp_path: Path
) -> None:
    out = tmp_path / "map.tif"
    out.write_bytes(b"the old map")
    scene = make_scene(height=300, width=300)

    def vanish(done: int, total: int) -> None:
        os.truncate(scene, 1000)

    with pytest.raises(SceneError, match="damaged or incomplete"):
        predict(
            scene,
            out,
            bundle=make_bundle(),
            network=pointwise(),
            options=PredictOptions(tile_size=32, overwrite=True),
            on_progress=vanish,
        )
    assert out.read_bytes() == b"the old map"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.tif", "scene.tif"]


def test_a_folder_that_takes_no_file_is_one_error(
    make_scene: Any, make_bundle: Any, pointwise: Any
) -> None:
    folder = Path("/proc")
    if not folder.is_dir():
        pytest.skip("there is no folder that refuses even an administrator")
    with pytest.raises(OutputError, match=r"cannot be made|cannot be written"):
        predict(make_scene(), folder / "map.tif", bundle=make_bundle(), network=pointwise())
