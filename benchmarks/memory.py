"""Peak memory of ``rsseg predict`` at growing scene heights: it must not grow.

Makes scenes of one width and several heights (noise, tiled), predicts each in a process of its
own with the embedded model, and prints peak memory and the ratio to the lowest scene's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

WIDTH = 2048
HEIGHTS = (2048, 4096, 8192)


def main() -> None:
    """Print one row per height."""
    print(f"{'width':>6} {'height':>6} {'MB':>6} {'ratio':>6} {'s':>6} {'Mpx/s':>6}")
    lowest: float | None = None
    with tempfile.TemporaryDirectory() as folder:
        for height in HEIGHTS:
            scene = Path(folder) / f"{height}.tif"
            make_scene(scene, height)
            result = predict(scene)
            lowest = lowest or result["peak_rss_mb"]
            print(
                f"{WIDTH:>6} {height:>6} {result['peak_rss_mb']:>6.0f} "
                f"{result['peak_rss_mb'] / lowest:>6.2f} {result['seconds']:>6.1f} "
                f"{result['mpx_per_s']:>6.2f}"
            )


def predict(scene: Path) -> dict[str, float]:
    """What ``--json`` says of one prediction."""
    program = str(Path(sys.executable).with_name("rsseg"))
    command = [
        program,
        "predict",
        str(scene),
        "--out",
        str(scene.with_suffix(".map.tif")),
        "--json",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def make_scene(path: Path, height: int) -> None:
    """Smooth noise, 3 bands of 8 bits, in blocks of 512."""
    random = np.random.default_rng(0)
    profile = {
        "driver": "GTiff",
        "count": 3,
        "width": WIDTH,
        "height": height,
        "dtype": "uint8",
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "crs": "EPSG:32633",
        "transform": from_origin(5e5, 5e6, 0.5, 0.5),
    }
    with rasterio.open(path, "w", **profile) as target:
        for row in range(0, height, 512):
            coarse = random.integers(0, 256, (3, 32, WIDTH // 16), dtype=np.uint8)
            block = coarse.repeat(16, axis=1).repeat(16, axis=2)
            target.write(block, window=Window(0, row, WIDTH, 512))


if __name__ == "__main__":
    main()
