"""Seconds until ``rsseg --help`` is there, beside a bare Python and ``import torch``.

Each is the fastest of ten processes. The last rows are the time until ``rsseg predict`` scores its
first window of the demo scene: starting Python, imports, planning, and compiling the embedded model
(goal: 1.5 s); and in later calls, which load what the first one compiled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 10
DEMO = Path(__file__).parent.parent / "notebooks" / "data" / "nl_urban_25cm.tif"


def main() -> None:
    """Print one row per command."""
    program = str(Path(sys.executable).with_name("rsseg"))
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "rsseg --help": [program, "--help"],
        "rsseg predict --help": [program, "predict", "--help"],
        "python -c 'import rasterio'": [sys.executable, "-c", "import rasterio"],
        "python -c 'import torch'": [sys.executable, "-c", "import torch"],
    }
    for name, command in commands.items():
        print(f"{name:<28} {min(seconds(command) for _ in range(RUNS)):6.3f} s")
    with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
        caches = [str(Path(folder) / str(number)) for number in range(RUNS // 2)]
        first = min(seconds_to_score(program, cache) for cache in caches)
        later = min(seconds_to_score(program, cache) for cache in caches)
    print(f"{'first window, first call':<28} {first:6.3f} s")
    print(f"{'first window, later calls':<28} {later:6.3f} s")


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def seconds_to_score(program: str, cache: str) -> float:
    """Wall time of a prediction before its pipeline begins, with a cache of its own."""
    with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
        out = str(Path(folder) / "map.tif")
        command = [program, "predict", str(DEMO), "--out", out, "--json", "--quiet"]
        began = time.perf_counter()
        told = os.environ | {"RSSEG_CACHE": cache}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=told)
        whole = time.perf_counter() - began
    result = json.loads(done.stdout)
    return whole - result["pipeline_seconds"] - result["finish_seconds"]


if __name__ == "__main__":
    main()
