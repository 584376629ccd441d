"""Real processes on loopback, a scene of many small shards, and what becomes of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SLOW = """
import os
import time
import rsseg.prediction.engines.openvino_engine as engines
class Slow(engines.OpenVINOEngine):
    def __call__(self, windows):
        if os.path.exists({once!r}):
            time.sleep({seconds})
        return super().__call__(windows)
if engines.OpenVINOEngine.__name__ != "Slow":  # Dask may run this twice
    engines.OpenVINOEngine = Slow
"""
OUTPUTS = ("map.tif", "map.tif.aux.xml", "map.qml")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and what was said on stderr."""
    _, errors = process.communicate(timeout=240)
    return process.returncode, errors


@pytest.fixture
def processes(tmp_path: Path, cheap_model: Path, makers: Any) -> Iterator[Any]:
    """A starter of processes that end with the test, see `Processes` of ``cluster``."""
    made = makers("cluster").Processes(tmp_path, cheap_model)
    yield made
    made.end()


@pytest.fixture
def contents(tmp_path: Path) -> Callable[[], dict[str, bytes]]:
    """A function that reads the outputs."""
    return lambda: {name: (tmp_path / name).read_bytes() for name in OUTPUTS}


@pytest.fixture
def whole(processes: Any, scene: Path, contents: Any, tmp_path: Path) -> dict[str, bytes]:
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
def slow() -> Callable[..., str]:
    """A function that gives the code that makes every window take so many seconds longer.

    Those of an engine that is tried at first as well, unless a file is named that is not there yet.
    """
    return lambda seconds, once="/": SLOW.format(seconds=seconds, once=str(once))


@pytest.fixture
def parts(tmp_path: Path) -> Callable[[], dict[str, int]]:
    """A function that tells of each finished shard when it was written."""

    def find() -> dict[str, int]:
        folder = tmp_path / "map.tif.parts"
        return {path.name: path.stat().st_mtime_ns for path in folder.glob("part_*.tif")}

    return find
