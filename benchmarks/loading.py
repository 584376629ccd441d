"""Crops per second: WindowDataset, bare rasterio reads and torchgeo's RandomGeoSampler.

Every contender reads the same random windows of image and label, in a process of its own. Files are
made anew, larger than GDAL's cache, and have been read once before, so that they lie in memory. An
operation of torch takes one thread, as in the workers; more only disturb each other here. GDAL
decodes with one thread, as it does unless told otherwise; ours tells it to take all cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine
from rasterio.windows import Window
from torch.utils.data import DataLoader, Dataset

from rsseg.data import Catalogue, LabelledScene, RandomWindows
from rsseg.legend import Legend
from rsseg.loading import WindowDataset, batches

SIDE = 10_240
SIZE = 512
CLASSES = 6
CACHE_MB = 64
LAYOUTS: dict[str, dict[str, Any]] = {
    "tiled": {"tiled": True, "blockxsize": 512, "blockysize": 512},
    "tiled, deflate": {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"},
    "as prepared": {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "zstd"},
    "striped": {},
    "striped, lzw": {"compress": "lzw"},
}
LEGEND = Legend.of({f"class {code}": (code, code, code) for code in range(CLASSES)})


def main() -> None:
    """Print one row per layout and number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="crops of each contender")
    parser.add_argument("--layout", action="append", choices=LAYOUTS, help="only this; repeatable")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        contender, folder, workers, rounds = options.one
        print(_rate(contender, Path(folder), int(workers), options.count, int(rounds)))
        return
    print(f"{options.count} crops of {SIZE} x {SIZE} pixels, image (3 bands) and label, crops/s")
    heading = f"{'layout':<16}{'workers':>8}" + "".join(f"{name:>10}" for name in CONTENDERS)
    print(f"{heading}{'ours/bare':>12}{'ours/torchgeo':>15}")
    for layout in options.layout or LAYOUTS:
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), LAYOUTS[layout])
            for workers in (0, 2):
                rates = {
                    name: _measured(name, folder, workers, options.count) for name in CONTENDERS
                }
                line = f"{layout:<16}{workers:>8}" + "".join(f"{r:10.0f}" for r in rates.values())
                ours = rates["ours"]
                print(
                    f"{line}{ours / rates['bare']:12.2f}{ours / rates['torchgeo']:15.1f}",
                    flush=True,
                )


def _measured(contender: str, folder: str, workers: int, count: int) -> float:
    """The better of two runs, in processes of their own."""
    command = [sys.executable, __file__, f"--count={count}", "--one", contender, folder]
    return max(
        float(subprocess.run([*command, str(workers), "1"], check=True, stdout=-1).stdout)
        for _ in range(2)
    )


def _rate(contender: str, folder: Path, workers: int, count: int, rounds: int) -> float:
    """Crops per second, from the first that arrives on."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    image, label = folder / "scene_image.tif", folder / "scene_label.tif"
    places = RandomWindows(SIZE, count + 16, seed=1).over([(SIDE, SIDE)])
    with rasterio.Env(GDAL_CACHEMAX=CACHE_MB << 20):
        crops = CONTENDERS[contender](image, label, [window for _, window in places], workers)
        for _ in range(16):
            next(crops)
        began, seen = time.perf_counter(), 0
        for _ in crops:
            seen += 1
        return seen / (time.perf_counter() - began)


def _ours(image: Path, label: Path, windows: list[Window], workers: int) -> Iterator[Any]:
    rows = Catalogue((LabelledScene(image, label, "train", ""),))
    data = WindowDataset(rows, RandomWindows(SIZE, len(windows), seed=1), legend=LEGEND)
    assert [window for _, window in data.places] == windows
    return iter(batches(data, 1, workers=workers))


class _Bare(Dataset[Any]):
    """What rasterio gives for the same windows, and nothing else done to it."""

    def __init__(self, image: Path, label: Path, windows: list[Window]) -> None:
        self._files, self._windows, self._open = (image, label), windows, None

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, number: int) -> Any:
        if self._open is None:
            self._open = [rasterio.open(file) for file in self._files]
        pixels, codes = (file.read(window=self._windows[number]) for file in self._open)
        return {"image": torch.from_numpy(pixels), "label": torch.from_numpy(codes[0])}


def _bare(image: Path, label: Path, windows: list[Window], workers: int) -> Iterator[Any]:
    return iter(DataLoader(_Bare(image, label, windows), 1, num_workers=workers))


def _torchgeo(image: Path, label: Path, windows: list[Window], workers: int) -> Iterator[Any]:
    """The same windows as slices of torchgeo's own kind, through its RasterDatasets."""
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import RandomGeoSampler

    class Images(RasterDataset):
        filename_glob = "*_image.tif"

    class Labels(RasterDataset):
        filename_glob = "*_label.tif"
        is_image = False

    data = Images(str(image)) & Labels(str(label))
    interval = data.bounds[2]

    class Same(RandomGeoSampler):
        """Its random places replaced by ours, so that every contender reads the same blocks."""

        def __iter__(self) -> Iterator[Any]:
            for window in windows:
                left, top = TRANSFORM @ (window.col_off, window.row_off)
                right, bottom = TRANSFORM @ (window.col_off + SIZE, window.row_off + SIZE)
                yield slice(left, right), slice(bottom, top), slice(interval.start, interval.stop)

    sampler = Same(data, SIZE, length=len(windows))
    loader = DataLoader(data, 1, sampler=sampler, num_workers=workers, collate_fn=stack_samples)
    return iter(loader)


CONTENDERS: dict[str, Callable[[Path, Path, list[Window], int], Iterator[Any]]] = {
    "bare": _bare,
    "ours": _ours,
    "torchgeo": _torchgeo,
}
TRANSFORM = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


def _write(folder: Path, creation: dict[str, Any]) -> None:
    """A scene with texture, so that it compresses as aerial pictures do, and its label."""
    generator = np.random.default_rng(0)
    coarse = generator.normal(0, 40, (3, SIDE // 16, SIDE // 16)) + 120
    classes = generator.integers(0, CLASSES, (1, SIDE // 64, SIDE // 64))
    for name, grid, grain in (("image", coarse, 16), ("label", classes, 64)):
        profile = {
            "driver": "GTiff", "dtype": "uint8", "count": len(grid), "height": SIDE, "width": SIDE,
            "crs": "EPSG:32633", "transform": TRANSFORM,
        }  # fmt: skip
        with rasterio.open(folder / f"scene_{name}.tif", "w", **profile, **creation) as target:
            for row in range(0, SIDE, 512):
                part = grid[:, row // grain : (row + 512) // grain]
                pixels = part.repeat(grain, 1).repeat(grain, 2)
                if name == "image":
                    pixels = pixels + generator.normal(0, 5, pixels.shape)
                window = Window(0, row, SIDE, 512)
                target.write(pixels.clip(0, 255).astype(np.uint8), window=window)


if __name__ == "__main__":
    main()
