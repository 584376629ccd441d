"""A scheduler and workers as real processes on loopback, and ``rsseg`` in small pieces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SMALL_SHARDS = """
import rsseg.prediction.planning.plan as planning
planning._SHARD_PIXELS, planning._SHARD_COLUMNS = 1, 128
"""
STACKS = """
import faulthandler
faulthandler.dump_traceback_later(45)  # into its log: where it hangs, if it does
"""
SMALL_STRIPS = """
import rsseg.vectorise.strips as strips
strips.strips_of.__defaults__ = (1,)
"""
NO_PROFILE = {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
"""As docs/scale-out.md says: Python 3.11.7 can hang in it."""
COMMAND = """
import sys
{preload}
from rsseg_cli.main import main
if __name__ == "__main__":
    main(sys.argv[1:])
"""
OPTIONS = ("--engine", "openvino", "--tile-size", "64", "--memory", "4GB", "--quiet")


class Processes:
    """Starts processes, and ends those that are left.

    Args:
        folder: Where they write what they need.
        model: By which maps are made.
    """

    def __init__(self, folder: Path, model: Path | None = None) -> None:
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
        preload.write_text(STACKS + SMALL_SHARDS + more)
        return self._dask(
            *("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"),
            *("--preload", preload, "--host", "127.0.0.1", "--memory-limit", "0"),
            *("--local-directory", self.folder / "dask"),
            env=os.environ | NO_PROFILE | environment,
        )

    def wait_for_workers(self) -> None:
        """Until all that were started are registered."""
        for number, process in enumerate(self.begun):
            log = self.folder / f"dask{number}.log"
            while "worker" in process.args and "Registered to" not in log.read_text():
                assert process.poll() is None
                time.sleep(0.02)

    def predict(
        self, scene: object, *arguments: object, more: str = "", session: bool = False
    ) -> subprocess.Popen[str]:
        """``rsseg predict`` of a scene in windows of 64 pixels, with small shards."""
        where = ("--out", self.folder / "map.tif", "--model", self.model)
        words = ("predict", scene, *where, *OPTIONS, *arguments)
        return self._rsseg(words, SMALL_SHARDS + more, session)

    def vectorise(self, *arguments: object, more: str = "") -> subprocess.Popen[str]:
        """``rsseg vectorise`` with strips of a row of blocks."""
        return self._rsseg(("vectorise", *arguments), SMALL_STRIPS + more, session=True)

    def end(self) -> None:
        """Kill what is left, stopped ones too."""
        for process in self.begun:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def _rsseg(self, words: Iterable[object], preload: str, session: bool) -> subprocess.Popen[str]:
        script = self.folder / f"rsseg{len(self.begun)}.py"
        script.write_text(COMMAND.format(preload=preload))
        return self.start(sys.executable, script, *words, start_new_session=session)

    def _dask(self, *arguments: object, **more: Any) -> subprocess.Popen[str]:
        with (self.folder / f"dask{len(self.begun)}.log").open("w") as log:
            command = sys.executable, "-m", "dask", *arguments
            return self.start(*command, stdout=log, stderr=log, **more)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A client of a scheduler and two workers that are threads of this process."""
    with two_workers() as made:
        yield made


@pytest.fixture
def own_client() -> Iterator[Any]:
    """A client as `client`, for one test that removes workers."""
    with two_workers() as made:
        yield made


@contextmanager
def two_workers() -> Iterator[Any]:
    """A client of a scheduler and two workers that are threads of this process."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as made,
    ):
        yield made


@pytest.fixture
def watch(client: Any) -> Any:
    """That looks after it."""
    from rsseg.cluster.watching import Patience, Watch

    made = Watch(client, Patience())
    made.look()
    return made
