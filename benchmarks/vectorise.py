"""Engines that make polygons of a class map, side by side: seconds and memory.

From an array to geometries in memory on maps of 1, 16 and 256 Mpx, with about 6,000 polygons to the
Mpx; then from a GeoTIFF to a GeoPackage, and simplified. The engines are GDAL's polygonise through
rasterio with a shapely geometry for each polygon, the same with geometries built in bulk, the numba
polygonise of xarray-spatial where it is installed, and ``rsseg.vectorise``. Each is the fastest of
three processes of its own, maps of more than 16 Mpx once; imports and compiling are not timed.
Memory is what a process takes at most, with all that it imports; the map is part of it.

    python benchmarks/vectorise.py [MPX ...]
    python benchmarks/vectorise.py --cluster [MPX]

The second is of two workers of a Dask cluster: seconds of processor in the command, which joins and
writes, in the scheduler and in the workers, beside those of one process that does it all.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

SIZES = (1, 16, 256)
ONCE = 16
RUNS = 3
TILE = 2048
GPKG = {"driver": "GPKG", "geometry_type": "Polygon", "crs": "EPSG:32633"}

_BEGIN = """
import json, sys, time
import numpy as np, rasterio, shapely
from affine import Affine
raster, folder = sys.argv[2:]
with rasterio.open(raster) as dataset:
    transform = dataset.transform
small = np.zeros((4, 4), np.uint8)
def measured(run, warm):
    warm()
    array = rasterio.open(raster).read(1)
    began = time.perf_counter()
    count = run(array)
    seconds = time.perf_counter() - began
    from rsseg.prediction.memory import peak_memory
    print(json.dumps({"seconds": seconds, "mb": peak_memory() / 1e6, "polygons": count}))
"""
_ARRAYS = {
    "rasterio + shape()": """
from rasterio.features import shapes
from shapely.geometry import shape
def run(array):
    return len([shape(each) for each, _ in shapes(array, array != 255, transform=transform)])
measured(run, lambda: run(small))
""",
    "rasterio, bulk": """
from itertools import chain
from rasterio.features import shapes
def run(array):
    points, rings, polygons = [], [0], [0]
    for each, _ in shapes(array, array != 255, transform=transform):
        for ring in each["coordinates"]:
            points.extend(ring)
            rings.append(len(points))
        polygons.append(len(rings) - 1)
    flat = np.fromiter(chain.from_iterable(points), float, 2 * len(points)).reshape(-1, 2)
    kind = shapely.GeometryType.POLYGON
    return len(shapely.from_ragged_array(kind, flat, (np.array(rings), np.array(polygons))))
measured(run, lambda: run(small))
""",
    "xarray-spatial, bulk": """
import xarray
from xrspatial.experimental import polygonize
def run(array):
    values, found = polygonize(xarray.DataArray(array), mask=xarray.DataArray(array != 255))
    rings = [ring for polygon in found for ring in polygon]
    sizes = np.cumsum([0, *map(len, rings)])
    owners = np.cumsum([0, *map(len, found)])
    return len(shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, np.concatenate(rings), (sizes, owners)))
measured(run, lambda: run(small))
""",
    "rsseg polygonise": """
from rsseg.vectorise import polygonise
def run(array):
    return len(polygonise(array, transform)[0])
measured(run, lambda: run(small))
""",
}
_FILES = {
    "rasterio + shape() + pyogrio": """
import pyogrio.raw
from rasterio.features import shapes
from shapely.geometry import shape
def run(array):
    found = list(shapes(array, array != 255, transform=transform))
    geometries = shapely.to_wkb([shape(each) for each, _ in found])
    codes = np.array([code for _, code in found], np.int32)
    areas = shapely.area(shapely.from_wkb(geometries))
    pyogrio.raw.write(folder + "/peer.gpkg", geometries, [codes, areas], ["class_id", "area_m2"],
                      driver="GPKG", geometry_type="Polygon", crs="EPSG:32633")
    return len(found)
measured(run, lambda: None)
""",
    "rsseg vectorise": """
from rsseg.vectorise import VectoriseOptions, vectorise
def run(array, path=raster):
    options = VectoriseOptions(overwrite=True)
    return vectorise(path, folder + "/rsseg.gpkg", options=options).polygons
measured(run, lambda: run(small, folder + "/small.tif"))
""",
}
_OUTLINES = """
from rsseg.vectorise.outlines import outlines
def run(array, path=raster):
    return sum(len(batch.codes) for batch in outlines(path, **{}))
measured(run, lambda: run(small, folder + "/small.tif"))
"""
_SIMPLIFY = {
    "shapely.coverage_simplify": """
from rsseg.vectorise import polygonise
def run(array):
    return len(shapely.coverage_simplify(polygonise(array, Affine.identity())[0], 1.5))
measured(run, lambda: run(small))
""",
    "rsseg outlines, exact": _OUTLINES.format({}),
    "rsseg outlines --simplify": _OUTLINES.format({"simplify": 1.5}),
    "rsseg outlines --simplify --smooth": _OUTLINES.format({"simplify": 1.5, "smooth": True}),
    "rsseg outlines --sieve": _OUTLINES.format({"sieve": 20}),
    "rsseg outlines --min-area": _OUTLINES.format({"min_area": 20}),
}


def main() -> None:
    """Print a row for each engine, by size."""
    if sys.argv[1:2] == ["--cluster"]:
        spread(int(sys.argv[2]) if sys.argv[2:] else ONCE)
        return
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    with tempfile.TemporaryDirectory() as folder:
        raster = f"{folder}/map.tif"
        make_map(f"{folder}/small.tif", 64)
        for size in sizes:
            make_map(raster, round((size * 2**20) ** 0.5))
            runs = RUNS if size <= ONCE else 1
            for title, engines in (
                ("array to geometries", _ARRAYS),
                ("GeoTIFF to GeoPackage", _FILES),
                ("GeoTIFF to simplified geometries", _SIMPLIFY),
            ):
                print(f"\n{size} Mpx, {title:<34} {'s':>7} {'ratio':>6} {'MB':>6} {'polygons':>9}")
                base = None
                for name, code in engines.items():
                    if "xrspatial" in code and importlib.util.find_spec("xrspatial") is None:
                        continue
                    row = measured(code, raster, folder, runs)
                    base = base or row["seconds"]
                    print(
                        f"{name:<40} {row['seconds']:>9.2f} {base / row['seconds']:>6.1f} "
                        f"{row['mb']:>6.0f} {row['polygons']:>9,}",
                        flush=True,
                    )


def spread(size: int) -> None:
    """Print seconds of processor, by who has used them, of each kind of polygons."""
    from distributed import Client

    from rsseg.vectorise import VectoriseOptions, vectorise
    from rsseg.vectorise_cluster import vectorise_on_cluster

    with tempfile.TemporaryDirectory() as folder, dask(Path(folder), 2) as address:
        make_map(f"{folder}/map.tif", round((size * 2**20) ** 0.5))
        client = Client(address, set_as_default=False)
        client.wait_for_workers(2)

        def used() -> tuple[float, float, float]:
            def scheduler(dask_scheduler: object) -> float:
                return time.process_time()

            workers = client.run(time.process_time).values()
            return time.process_time(), client.run_on_scheduler(scheduler), sum(workers)

        print(f"{size} Mpx {'one':>28} {'command':>8} {'scheduler':>9} {'workers':>8} {'share':>6}")
        for out, words in (
            ("map.gpkg", {}),
            ("map.fgb", {}),
            ("map.gpkg", {"sieve": 20, "min_area": 20.0, "simplify": 1.0}),
        ):
            options = VectoriseOptions(**words, overwrite=True)
            found = []
            for raster in ("map", "map"):  # the first time loads and compiles
                paths = f"{folder}/{raster}.tif", f"{folder}/{out}"
                began = time.process_time()
                vectorise(*paths, options=options)
                one, before = time.process_time() - began, used()
                vectorise_on_cluster(*paths, cluster=address, options=options)
                found = [b - a for a, b in zip(before, used(), strict=True)]
            what = " ".join([out, *words])
            command, scheduler, workers = found
            print(
                f"{what:<32} {one:>5.2f} {command:>8.2f} {scheduler:>9.2f} {workers:>8.2f} "
                f"{command / sum(found):>6.2f}",
                flush=True,
            )
        client.close()


@contextmanager
def dask(folder: Path, count: int) -> Iterator[str]:
    """The address of a scheduler with so many workers of one thread, processes of this machine."""
    path = folder / "scheduler.json"
    local = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(path))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    line = [sys.executable, "-m", "dask"]
    begun = [subprocess.Popen([*line, "scheduler", *local, "--port", "0", "--no-show"], **quiet)]
    try:
        while not path.exists() or not path.read_text():
            time.sleep(0.05)
        more = ["--nthreads", "1", "--no-nanny", "--memory-limit", "0"]
        more += ["--local-directory", str(folder / "dask")]
        begun += [subprocess.Popen([*line, "worker", *local, *more], **quiet) for _ in range(count)]
        yield json.loads(path.read_text())["address"]
    finally:
        for process in reversed(begun):
            process.kill()
            process.wait()


def measured(code: str, raster: str, folder: str, runs: int) -> dict[str, float]:
    """Seconds, peak memory and polygons of the fastest process."""
    command = [sys.executable, "-c", "import sys; exec(sys.argv[1])", _BEGIN + code, raster, folder]
    found: list[dict[str, float]] = []
    for _ in range(runs):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return min(found, key=lambda run: run["seconds"])


def make_map(path: str, side: int) -> None:
    """Six classes in patches of about a hundred pixels, tile by tile, as many as are asked for."""
    profile = {
        "driver": "GTiff",
        "count": 1,
        "width": side,
        "height": side,
        "dtype": "uint8",
        "nodata": 255,
        "tiled": True,
        "compress": "deflate",
        "crs": "EPSG:32633",
        "transform": from_origin(5e5, 5e6, 0.5, 0.5),
    }
    tile = patches(min(side, TILE))
    with rasterio.open(path, "w", **profile) as target:
        for row in range(0, side, TILE):
            for column in range(0, side, TILE):
                height, width = min(TILE, side - row), min(TILE, side - column)
                turned = np.rot90(tile, (row + column) // TILE)[:height, :width]
                window = rasterio.windows.Window(column, row, width, height)
                target.write(turned, 1, window=window)


def patches(side: int) -> np.ndarray:
    """The largest of six smooth random fields at each pixel."""
    random = np.random.default_rng(0)
    fields = random.standard_normal((6, side, side), dtype=np.float32)
    for axis in (1, 2):
        for _ in range(3):  # three running means are nearly a Gaussian
            sums = np.cumsum(fields, axis=axis, dtype=np.float64)
            fields = sums - np.roll(sums, 9, axis=axis)
    return fields.argmax(axis=0).astype(np.uint8)


if __name__ == "__main__":
    main()
