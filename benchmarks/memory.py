"""Peak memory of ``rsseg predict``: it must not grow with the scene, and must keep to ``--memory``.

First scenes of one width and several heights (smooth noise, tiled), each predicted in a process of
its own with the embedded model: peak memory and the ratio to the lowest scene's. Then scenes of
awkward shapes under a bound, each in a process of its own with a 1x1 convolution of six classes,
so that memory and not the network decides: peak memory and its share of the bound, swaths, and the
windows computed twice because of them.
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

TILED = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
STRIPED = {"blockysize": 1, "compress": "deflate"}
BOUNDED = (
    ("square, tiled", 30_000, 30_000, TILED, 2_000_000_000),
    ("wide, striped", 200_000, 500, STRIPED, 2_000_000_000),
    ("wide, tiled", 200_000, 500, TILED, 2_000_000_000),
    ("tall, tiled", 500, 200_000, TILED, 2_000_000_000),
    ("square, tiled", 30_000, 30_000, TILED, 1_500_000_000),
)
"""Name, width, height, layout and bound in bytes."""


def main() -> None:
    """Print one row per height, then one per shape."""
    print(f"{'width':>6} {'height':>6} {'MB':>6} {'ratio':>6} {'s':>6} {'Mpx/s':>6}")
    lowest: float | None = None
    with tempfile.TemporaryDirectory() as folder:
        for height in HEIGHTS:
            scene = Path(folder) / f"{height}.tif"
            make_scene(scene, WIDTH, height, TILED)
            result = predict(scene)
            lowest = lowest or result["peak_rss_mb"]
            print(
                f"{WIDTH:>6} {height:>6} {result['peak_rss_mb']:>6.0f} "
                f"{result['peak_rss_mb'] / lowest:>6.2f} {result['seconds']:>6.1f} "
                f"{result['mpx_per_s']:>6.2f}"
            )
    print(
        f"\n{'scene':<14} {'width':>7} {'height':>7} {'bound MB':>8} {'peak MB':>8} {'share':>6} "
        f"{'swaths':>6} {'twice':>6} {'s':>6} {'Mpx/s':>6}"
    )
    for name, width, height, layout, memory in BOUNDED:
        with tempfile.TemporaryDirectory() as folder:
            scene = Path(folder) / "scene.tif"
            make_scene(scene, width, height, layout)
            result = predict_cheaply(scene, memory)
            print(
                f"{name:<14} {width:>7} {height:>7} {memory / 1e6:>8.0f} "
                f"{result['peak_rss_mb']:>8.0f} {result['peak_rss_mb'] * 1e6 / memory:>6.2f} "
                f"{result['swaths']:>6.0f} {result['twice']:>6.1%} {result['seconds']:>6.1f} "
                f"{result['mpx_per_s']:>6.2f}",
                flush=True,
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


def predict_cheaply(scene: Path, memory: int) -> dict[str, float]:
    """What one prediction with a 1x1 convolution took, in a process of its own."""
    command = [sys.executable, "-c", CHEAP, str(scene), str(memory)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


CHEAP = """
import json, sys
from pathlib import Path
import torch
from rsseg.bundle import Bundle
from rsseg.legend import LandClass, Legend
from rsseg.normalise import Normalisation
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.predict import plan

legend = Legend(tuple(LandClass(code, f"class {code}", (code, code, code)) for code in range(6)))
scaling = Normalisation((255.0,) * 3, (0.5,) * 3, (0.25,) * 3)
bundle = Bundle("1x1 convolution", legend, ("red", "green", "blue"), scaling, window=512)
torch.manual_seed(0)
network = torch.nn.Conv2d(3, 6, 1)
scene, options = Path(sys.argv[1]), PredictOptions(memory=int(sys.argv[2]))
work = plan(scene, bundle=bundle, network=network, options=options)
out = scene.with_name("map.tif")
result = predict(scene, out, bundle=bundle, network=network, options=options)
twice = work.passes / work.windows - 1
print(json.dumps(result.to_json() | {"swaths": len(work.swaths), "twice": twice}))
"""


def make_scene(path: Path, width: int, height: int, layout: dict[str, object]) -> None:
    """Smooth noise, 3 bands of 8 bits."""
    random = np.random.default_rng(0)
    profile = {
        "driver": "GTiff",
        "count": 3,
        "width": width,
        "height": height,
        "dtype": "uint8",
        "crs": "EPSG:32633",
        "transform": from_origin(5e5, 5e6, 0.5, 0.5),
        **layout,
    }
    with rasterio.open(path, "w", **profile) as target:
        for row in range(0, height, 512):
            rows = min(512, height - row)
            coarse = random.integers(0, 256, (3, 32, -(-width // 16)), dtype=np.uint8)
            block = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :rows, :width]
            target.write(block, window=Window(0, row, width, rows))


if __name__ == "__main__":
    main()
