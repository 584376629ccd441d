"""Looking at a map of two gigapixels: start, tiles, memory.

A map of 45,056 x 45,056 pixels in patches, tiled and with overviews, is served by ``rsseg view`` in
a process of its own. Tiles of 256 pixels are asked for over HTTP as a browser that pans does: walks
from random places over neighbouring tiles, at several zooms, by one connection and by eight. Memory
is what the server holds at most.

    python benchmarks/view.py [SIDE]
"""

from __future__ import annotations

import http.client
import json
import math
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import from_origin

from rsseg.geo.class_raster import LEGEND_TAG, colour_map
from rsseg.legend import LAND_COVER, NODATA

SIDE = 45_056
BLOCK = 512
TILES = 240
WALK = 12
CONNECTIONS = (1, 8)
ZOOMS = (0, 2, 4, 6, 8)
"""How far from the map's own resolution the tiles are; the last show about all of it."""


def main() -> None:
    side = int(sys.argv[1]) if len(sys.argv) > 1 else SIDE
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.tif"
        began = time.perf_counter()
        write_map(path, side)
        print(f"{side} x {side} pixels, {path.stat().st_size / 1e6:.0f} MB, ", end="")
        print(f"written in {time.perf_counter() - began:.0f} s")
        began = time.perf_counter()
        code = "from rsseg_cli.main import main; main()"
        call = [sys.executable, "-c", code, "view", str(path), "--no-browser", "--json"]
        server = subprocess.Popen(call, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            port = json.loads(server.stdout.readline())["port"]
            about = json.loads(fetch(connect(port), "/map"))
            print(f"first answer after {time.perf_counter() - began:.2f} s")
            measure(port, about)
            print(f"memory of the server at most {peak_memory(server.pid):.0f} MB")
        finally:
            began = time.perf_counter()
            server.send_signal(2)
            server.wait()
            print(f"ended {time.perf_counter() - began:.2f} s after Ctrl-C")


def write_map(path: Path, side: int) -> None:
    """Patches of classes about a hundred pixels wide, whole strips of blocks at a time."""
    generator = np.random.default_rng(0)
    patches = [_patches(generator) for _ in range(8)]
    profile = {
        "driver": "GTiff",
        "count": 1,
        "height": side,
        "width": side,
        "dtype": "uint8",
        "nodata": NODATA,
        "crs": "EPSG:32633",
        "transform": from_origin(400_000, 5_000_000, 0.5, 0.5),
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "num_threads": "all_cpus",
        "bigtiff": "if_safer",
    }
    with rasterio.open(path, "w", **profile) as target:
        for row in range(0, side, BLOCK):
            chosen = generator.integers(len(patches), size=-(-side // BLOCK))
            strip = np.concatenate([patches[each] for each in chosen], axis=1)[:, :side]
            strip = strip[: min(BLOCK, side - row)]
            target.write(strip, 1, window=((row, row + len(strip)), (0, side)))
        target.write_colormap(1, colour_map(LAND_COVER))
        target.update_tags(**{LEGEND_TAG: json.dumps(LAND_COVER.to_json())})
    factors = [2**power for power in range(1, math.ceil(math.log2(side / BLOCK)) + 1)]
    compact = {"COMPRESS_OVERVIEW": "DEFLATE", "GDAL_NUM_THREADS": "ALL_CPUS"}
    with rasterio.Env(**compact), rasterio.open(path, "r+") as target:
        target.build_overviews(factors, Resampling.nearest)


def _patches(generator: np.random.Generator) -> np.ndarray:
    """A block of the classes of the nearest of some points, with ragged borders."""
    points = generator.uniform(0, BLOCK, (40, 2))
    classes = generator.integers(len(LAND_COVER), size=40)
    rows, columns = np.mgrid[:BLOCK, :BLOCK] + generator.normal(0, 2, (2, BLOCK, BLOCK))
    away = [(rows - y) ** 2 + (columns - x) ** 2 for y, x in points]
    return classes[np.argmin(away, axis=0)].astype(np.uint8)


def measure(port: int, about: dict) -> None:
    """Print the latency of tiles by zoom and connections."""
    print("zoom  pixels to a tile's  connections  median ms  95 % ms  tiles a second")
    for up in ZOOMS:
        zoom = about["zoom"] - up
        for connections in CONNECTIONS:
            generator = np.random.default_rng([up, connections])
            seconds, whole = timed(port, walks(about, zoom, generator), connections)
            middle, late = np.percentile(seconds, (50, 95)) * 1000
            rate = len(seconds) / whole
            cells = f"{zoom:4}  {2**up:18}  {connections:11}  {middle:9.1f}  {late:7.1f}"
            print(f"{cells}  {rate:14.0f}")


def walks(about: dict, zoom: int, generator: np.random.Generator) -> list[str]:
    """Addresses of tiles in the order in which a view that moves asks for them."""
    half = math.pi * 6_378_137
    tile = 2 * half / 2**zoom
    left, bottom, right, top = about["extent"]
    columns = int((left + half) / tile), int((right + half) / tile)
    rows = int((half - top) / tile), int((half - bottom) / tile)
    found: list[str] = []
    while len(found) < TILES:
        column, row = (
            generator.integers(*columns, endpoint=True),
            generator.integers(*rows, endpoint=True),
        )
        for _ in range(WALK):
            found.append(f"/tiles/classes/{zoom}/{column}/{row}")
            column = min(max(column + generator.integers(-1, 2), columns[0]), columns[1])
            row = min(max(row + generator.integers(-1, 2), rows[0]), rows[1])
    return found[:TILES]


def timed(port: int, addresses: list[str], connections: int) -> tuple[np.ndarray, float]:
    """Seconds of each tile, and of all, asked for by so many connections at a time."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for address in addresses:
        waiting.put(address)
    seconds: list[float] = []

    def ask() -> None:
        connection = connect(port)
        while True:
            try:
                address = waiting.get_nowait()
            except queue.Empty:
                return
            began = time.perf_counter()
            fetch(connection, address)
            seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    threads = [threading.Thread(target=ask) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return np.array(seconds), time.perf_counter() - began


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port)


def fetch(connection: http.client.HTTPConnection, address: str) -> bytes:
    connection.request("GET", address)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status in (200, 204), (answer.status, body)
    return body


def peak_memory(process: int) -> float:
    """Megabytes that a process has held at most."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
