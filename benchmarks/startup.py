"""Seconds until ``rsseg --help`` is there, beside a bare Python and ``import torch``.

Each is the fastest of ten processes.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

RUNS = 10


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


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
