"""A scheduler and workers as real processes on loopback, and a class map of several strips."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA

SMALL_STRIPS = """
import rsseg.vectorise.strips as strips
strips.strips_of.__defaults__ = (1,)
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
import rsseg.vectorise_cluster.worker as worker
def slower(function):
    def polygons(*arguments):
        time.sleep({seconds})
        return function(*arguments)
    return polygons
if worker.require_same.__name__ == "require_same":  # Dask may run this twice
    worker.require_same = slower(worker.require_same)
"""


class Processes:
    """Starts processes, and ends those that are left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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
        process = self._dask(
            *("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
            *("--no-show", "--scheduler-file", path),
        )
        while not path.exists() or not path.read_text():
            assert process.poll() is None
            time.sleep(0.02)
        self.address = json.loads(path.read_text())["address"]
        return process

    def worker(self, more: str = "") -> subprocess.Popen[str]:
        """A worker of one thread."""
        preload = self.folder / f"preload{len(self.begun)}.py"
        preload.write_text(more)
        return self._dask(
            *("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"),
            *("--preload", preload, "--host", "127.0.0.1", "--memory-limit", "0"),
            *("--local-directory", self.folder / "dask"),
        )

    def wait_for_workers(self) -> None:
        """Until all that were started are registered."""
        for number, process in enumerate(self.begun):
            log = self.folder / f"dask{number}.log"
            while "worker" in process.args and "Registered to" not in log.read_text():
                assert process.poll() is None
                time.sleep(0.02)

    def vectorise(self, *arguments: object, more: str = "") -> subprocess.Popen[str]:
        """``rsseg vectorise`` with strips of a row of blocks."""
        script = self.folder / f"rsseg{len(self.begun)}.py"
        script.write_text(COMMAND.format(preload=SMALL_STRIPS + more))
        return self.start(sys.executable, script, "vectorise", *arguments, start_new_session=True)

    def end(self) -> None:
        """Kill what is left, stopped ones too."""
        for process in self.begun:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def _dask(self, *arguments: object) -> subprocess.Popen[str]:
        with (self.folder / f"dask{len(self.begun)}.log").open("w") as log:
            command = sys.executable, "-m", "dask", *arguments
            return self.start(*command, stdout=log, stderr=log, env=dict(os.environ))


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """A starter of processes that end with the test."""
    (tmp_path / "processes").mkdir()
    made = Processes(tmp_path / "processes")
    yield made
    made.end()


@pytest.fixture
def land_map(tmp_path: Path) -> Path:
    """A map of twelve rows of blocks, with noise, a region through all of it, and a confidence."""
    random = np.random.default_rng(0)
    array = random.integers(0, 6, (301, 40), dtype=np.uint8)
    array = array.repeat(10, axis=0).repeat(10, axis=1)[:3001]
    array[array == 5] = NODATA
    noise = random.random(array.shape) < 0.02
    array[noise] = random.integers(0, 5, noise.sum())
    array[:, 50:53] = 1
    grid = Grid(*array.shape, Affine(0.5, 0, 4e5, 0, -0.5, 5e6), CRS.from_epsg(32633))
    path = tmp_path / "map.tif"
    write_raster(path, array[None], grid, nodata=NODATA, legend=LAND_COVER)
    sure = random.integers(0, 256, array.shape, dtype=np.uint8)
    write_raster(tmp_path / "sure.tif", sure[None], grid, nodata=NODATA)
    return path


@pytest.fixture
def slow() -> str:
    """The code that makes every task take longer."""
    return SLOW.format(seconds=0.4)
