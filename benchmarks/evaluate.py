"""Seconds and peak memory of ``rsseg evaluate`` beside merely reading both files.

Makes a map and its truth of made-up blocks (deflate, tiled 512) and a truth of 100,000 polygons in
a temporary folder, then reads and evaluates them, the reading strip by strip as ``evaluate`` does.
Each is the fastest of three processes of its own, which import what they need within the time; what
takes many seconds runs once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyogrio.raw
import rasterio
import shapely
from rasterio.transform import from_origin
from rasterio.windows import Window

SIDE = 20_000
BLOCK = 512
CLASSES = 6
WRONG = 0.1
POLYGONS = 316  # along each side
CORNERS = 24
RUNS = 3
ONCE = 10  # pixels of distance from which one run must do

_READ = """
from rsseg.evaluate.counting import read_strips
from rsseg.geo.code_raster import CodeRaster
from rsseg.geo.opening import gdal_cache
with gdal_cache(64 << 20), CodeRaster({0!r}) as a, CodeRaster({1!r}) as b:
    for start, strips in read_strips((a, b), a.grid.height, a.grid.width):
        pass
"""
_EVALUATE = """
from rsseg.evaluate import evaluate
print(evaluate({0!r}, {1!r}, **{2!r}).scores["oa"])
"""
_MEASURED = """
import json, sys, time
began = time.perf_counter()
exec(sys.argv[1])
seconds = time.perf_counter() - began
from rsseg.prediction.memory import peak_memory
print(json.dumps({"seconds": seconds, "mb": peak_memory() / 1e6}))
"""


def main() -> None:
    """Print one row per way of evaluating."""
    print(f"{SIDE} x {SIDE} pixels")
    print(f"{'':<24} {'s':>6} {'ratio':>6} {'MB':>6}")
    with tempfile.TemporaryDirectory() as folder:
        prediction, truth, polygons = (
            str(Path(folder) / name) for name in ("map.tif", "truth.tif", "truth.gpkg")
        )
        make_pair(prediction, truth)
        make_polygons(polygons)
        least = measured(_READ.format(prediction, truth))
        print_row("reading both", least, least)
        for option, distances in (("", (0,)), ("erode", (3, 30, 100)), ("boundary", (3, 30, 100))):
            for distance in distances:
                options = {option: distance} if option else {}
                code = _EVALUATE.format(prediction, truth, options)
                row = measured(code, runs=1 if distance > ONCE else RUNS)
                name = " ".join(f"--{key} {value}" for key, value in options.items())
                print_row(f"evaluate {name}", row, least)
        row = measured(_EVALUATE.format(prediction, polygons, {}))
        print_row(f"evaluate {POLYGONS**2:,} polygons", row, least)


def print_row(name: str, row: dict[str, float], least: dict[str, float]) -> None:
    ratio = row["seconds"] / least["seconds"]
    print(f"{name:<24} {row['seconds']:>6.1f} {ratio:>6.2f} {row['mb']:>6.0f}", flush=True)


def measured(code: str, runs: int = RUNS) -> dict[str, float]:
    """Seconds, without the start of Python, and peak memory of the fastest process."""
    command = [sys.executable, "-c", _MEASURED, code]
    found: list[dict[str, float]] = []
    for _ in range(runs):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return min(found, key=lambda run: run["seconds"])


def make_pair(prediction: str, truth: str) -> None:
    """A truth of squares of 32 pixels, and a map that is wrong in some squares of 8.

    One pixel in a hundred is of any class, so that the files are as hard to decode as real ones.
    """
    random = np.random.default_rng(0)
    profile = {
        "driver": "GTiff",
        "count": 1,
        "width": SIDE,
        "height": SIDE,
        "dtype": "uint8",
        "nodata": 255,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "crs": "EPSG:32633",
        "transform": from_origin(5e5, 5e6, 0.5, 0.5),
    }
    with (
        rasterio.open(prediction, "w", **profile) as left,
        rasterio.open(truth, "w", **profile) as right,
    ):
        for target in (left, right):
            target.write_colormap(1, {code: (40 * code, 80, 120, 255) for code in range(CLASSES)})
            target.update_tags(RSSEG_LEGEND=json.dumps(legend()))
        for row in range(0, SIDE, BLOCK):
            height = min(BLOCK, SIDE - row)
            true = squares(random.integers(0, CLASSES, (BLOCK // 32, -(-SIDE // 32))), 32)
            wrong = squares(random.random((BLOCK // 8, -(-SIDE // 8))) < WRONG, 8)
            for target, codes in ((right, true), (left, (true + wrong) % CLASSES)):
                places = random.integers(0, codes.size, codes.size // 100)
                codes.flat[places] = random.integers(0, CLASSES, places.size, dtype=np.uint8)
                target.write(codes[:height], 1, window=Window(0, row, SIDE, height))


def make_polygons(path: str) -> None:
    """Stars of two dozen corners in rows and columns, each of any class; some overlap."""
    random = np.random.default_rng(0)
    size = SIDE / POLYGONS
    middle = (np.arange(POLYGONS) + 0.5) * size
    centres = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 1, 2)
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    radii = random.uniform(0.3, 0.6, (len(centres), CORNERS, 1)) * size
    corners = centres + radii * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    ground = np.array([5e5, 5e6]) + corners * np.array([0.5, -0.5])
    stars = shapely.polygons(np.concatenate([ground, ground[:, :1]], axis=1))
    names = np.array([known["name"] for known in legend()], object)
    pyogrio.raw.write(
        path,
        shapely.to_wkb(stars),
        [names[random.integers(0, CLASSES, len(stars))]],
        ["class"],
        geometry_type="Polygon",
        crs="EPSG:32633",
    )


def squares(values: np.ndarray, side: int) -> np.ndarray:
    """Each value as a square, cut to the width of the map."""
    wide = values.astype(np.uint8).repeat(side, axis=0).repeat(side, axis=1)
    return np.ascontiguousarray(wide[:, :SIDE])


def legend() -> list[dict[str, object]]:
    """Six classes with names and colours."""
    return [
        {"code": code, "name": name, "colour": [40 * code, 80, 120]}
        for code, name in enumerate(("building", "car", "clutter", "grass", "road", "tree"))
    ]


if __name__ == "__main__":
    main()
