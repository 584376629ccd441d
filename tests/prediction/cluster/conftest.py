"""A scheduler and workers as real processes on loopback, and ``rsseg`` with small shards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SMALL_SHARDS = """
import rsseg.prediction.plan as planning
planning._SHARD_PIXELS, planning._SHARD_COLUMNS = 1, 128
{more}
"""
COMMAND = """
import sys
{preload}
from rsseg_cli.main import main
if __name__ == "__main__":
    main(sys.argv[1:])
"""
SLOW = """
import time
import rsseg.prediction.openvino_engine as engines
class Slow(engines.OpenVINOEngine):
    def __call__(self, windows):
        time.sleep({seconds})
        return super().__call__(windows)
if engines.OpenVINOEngine.__name__ != "Slow":  # Dask may run this twice
    engines.OpenVINOEngine = Slow
"""
OPTIONS = ("--engine", "openvino", "--tile-size", "64", "--memory", "4GB", "--quiet")
OUTPUTS = ("map.tif", "map.tif.aux.xml", "map.qml")


class Processes:
    """Starts processes, and ends those that are left."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        self.begun: list[subprocess.Popen[str]] = []
        self.address = ""

    def start(self, *command: object, **more: Any) -> subprocess.Popen[str]:
        """A process whose output is kept in pipes, or goes to a file."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
        process = subprocess.Popen([str(word) for word in command], text=True, **streams)
        self.begun.append(process)
        return process

    def scheduler(self) -> subprocess.Popen[str]:
        """A scheduler; its address is noted."""
        path = self.folder / "scheduler.json"
        path.unlink(missing_ok=True)
        process = self._dask(
            *("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
            *("--no-show", "--scheduler-file", path),
        )
        while not path.exists() or not path.read_text():
            assert process.poll() is None
            time.sleep(0.02)
        self.address = json.loads(path.read_text())["address"]
        return process

    def worker(self, more: str = "", **environment: str) -> subprocess.Popen[str]:
        """A worker of one thread, with small shards."""
        preload = self.folder / f"preload{len(self.begun)}.py"
        preload.write_text(SMALL_SHARDS.format(more=more))
        return self._dask(
            *("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"),
            *("--preload", preload, "--host", "127.0.0.1", "--memory-limit", "0"),
            *("--local-directory", self.folder / "dask"),
            env=os.environ | environment,
        )

    def predict(
        self, scene: object, *arguments: object, more: str = "", session: bool = False
    ) -> subprocess.Popen[str]:
        """``rsseg predict`` of a scene in windows of 64 pixels."""
        words = (
            "predict",
            scene,
            "--out",
            self.folder / "map.tif",
            "--model",
            self.model,
            *OPTIONS,
        )
        script = self.folder / f"rsseg{len(self.begun)}.py"
        script.write_text(COMMAND.format(preload=SMALL_SHARDS.format(more=more)))
        return self.start(sys.executable, script, *words, *arguments, start_new_session=session)

    def end(self) -> None:
        """Kill what is left, stopped ones too."""
        for process in self.begun:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def _dask(self, *arguments: object, **more: Any) -> subprocess.Popen[str]:
        log = (self.folder / f"dask{len(self.begun)}.log").open("w")
        with log:
            return self.start(
                sys.executable, "-m", "dask", *arguments, stdout=log, stderr=log, **more
            )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and what was said on stderr."""
    _, errors = process.communicate(timeout=240)
    return process.returncode, errors


@pytest.fixture
def processes(tmp_path: Path, cheap_model: Path) -> Iterator[Processes]:
    """A starter of processes that end with the test."""
    made = Processes(tmp_path, cheap_model)
    yield made
    made.end()


@pytest.fixture
def scene(make_scene: Any) -> Path:
    """A scene of 33 small shards, some of it invalid."""
    valid = np.ones((500, 500), bool)
    valid[:100, 200:] = False
    made: Path = make_scene(valid=valid, validity="mask")
    return made


@pytest.fixture
def contents(tmp_path: Path) -> Callable[[], dict[str, bytes]]:
    """A function that reads the outputs."""
    return lambda: {name: (tmp_path / name).read_bytes() for name in OUTPUTS}


@pytest.fixture
def whole(processes: Processes, scene: Path, contents: Any, tmp_path: Path) -> dict[str, bytes]:
    """The outputs of a plain run, which are removed."""
    assert ended(processes.predict(scene)) == (0, "")
    found: dict[str, bytes] = contents()
    for name in OUTPUTS:
        (tmp_path / name).unlink()
    return found


@pytest.fixture
def finish() -> Callable[[subprocess.Popen[str]], tuple[int, str]]:
    """A function that waits for a process: exit status and what was said on stderr."""
    return ended


@pytest.fixture
def slow() -> Callable[[float], str]:
    """A function that gives the code that makes every window take so many seconds longer."""
    return lambda seconds: SLOW.format(seconds=seconds)


@pytest.fixture
def parts(tmp_path: Path) -> Callable[[], dict[str, int]]:
    """A function that tells of each finished shard when it was written."""

    def find() -> dict[str, int]:
        folder = tmp_path / "map.tif.parts"
        return {path.name: path.stat().st_mtime_ns for path in folder.glob("part_*.tif")}

    return find
