"""Seconds until ``rsseg --help`` is there, beside a bare Python and ``import torch``.

Each is the fastest of ten processes. The last row is the time until ``rsseg predict`` scores its
first window of the demo scene: starting Python, imports, planning, and compiling the embedded model
(goal: 1.5 s).
"""

from __future__ import annotations

import json
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
    first = min(seconds_to_score(program) for _ in range(RUNS // 2))
    print(f"{'rsseg predict, first window':<28} {first:6.3f} s")


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def seconds_to_score(program: str) -> float:
    """Wall time of a prediction before its pipeline begins."""
    with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
        out = str(Path(folder) / "map.tif")
        command = [program, "predict", str(DEMO), "--out", out, "--json", "--quiet"]
        began = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        whole = time.perf_counter() - began
    result = json.loads(done.stdout)
    return whole - result["pipeline_seconds"] - result["finish_seconds"]


if __name__ == "__main__":
    main()
