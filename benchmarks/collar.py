"""A scene that is 40 % nodata beside a full one, and what confidence and probabilities cost.

``python benchmarks/collar.py [--side 4096] [--runs 3] [--only full,straight collar]``

Noise, predicted with the embedded model: full; with a straight collar (the
right 40 % are nodata); and with the collar of a picture that was turned by 21 degrees when it was
orthorectified, at whose border windows are partly valid. Then the full one again with a confidence
raster, and with one of probabilities. Runs take turns; each figure is the fastest of its runs, and
ratios are of the whole time, start-up included: by the clock; by the CPU, which other programs
disturb less; and of windows that have a valid pixel, beyond which there is nothing to be saved.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.transform import from_origin

from rsseg.geo.tiling import Tiling
from rsseg.prediction import PredictOptions, PredictResult, predict
from rsseg.prediction.predict import plan

TURN = np.radians(20.9)
"""A square turned so fills 60 % of its bounding box."""


@dataclass(frozen=True)
class Run:
    """A prediction and the seconds of CPU that it took."""

    result: PredictResult
    cpu: float


def main() -> None:
    """Print one row per scene, and one per output."""
    wanted = _arguments()
    side = wanted.side
    masks = {"full": np.ones((side, side), np.bool_)}
    masks |= {"straight": straight(side), "turned": turned(side)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, valid in masks.items():
            make_scene(folder / f"{kind}.tif", valid)
        choices = {
            "full": ("full", {}),
            "straight collar": ("straight", {}),
            "turned collar": ("turned", {}),
            "full, --confidence": ("full", {"confidence": folder / "c.tif"}),
            "full, --probabilities": ("full", {"probabilities": folder / "p.tif"}),
        }
        best: dict[str, Run] = {}
        for _ in range(wanted.runs):
            for kind in wanted.only or choices:
                scene, more = choices[kind]
                options = PredictOptions(overwrite=True, **more)
                before = time.process_time()
                result = predict(folder / f"{scene}.tif", folder / "map.tif", options=options)
                run = Run(result, time.process_time() - before)
                if kind not in best or result.seconds < best[kind].result.seconds:
                    best[kind] = run
        tiling = plan(folder / "full.tif").tiling
    print(
        f"{'scene':<22} {'nodata':>6} {'s':>6} {'CPU s':>6} {'start':>6} {'pipeline':>8} "
        f"{'forward %':>9} {'finish':>6} {'full / it':>9} {'CPU':>5} {'windows':>7}"
    )
    full = best["full"]
    for kind, run in best.items():
        result = run.result
        windows = len(tiling) / scored(tiling, masks[choices[kind][0]])
        print(
            f"{kind:<22} {result.nodata_pixels / side**2:>6.1%} {result.seconds:>6.1f} "
            f"{run.cpu:>6.1f} {result.startup_seconds:>6.1f} {result.pipeline_seconds:>8.1f} "
            f"{100 * result.forward_seconds / result.pipeline_seconds:>9.1f} "
            f"{result.finish_seconds:>6.1f} {full.result.seconds / result.seconds:>9.2f} "
            f"{full.cpu / run.cpu:>5.2f} {windows:>7.2f}"
        )


def scored(tiling: Tiling, valid: npt.NDArray[np.bool_]) -> int:
    """Windows that have a valid pixel."""
    size = tiling.size
    places = [(row, column) for row in tiling.rows for column in tiling.columns]
    return sum(bool(valid[row : row + size, col : col + size].any()) for row, col in places)


def straight(side: int) -> npt.NDArray[np.bool_]:
    """Validity without the right 40 %."""
    valid = np.ones((side, side), np.bool_)
    valid[:, round(0.6 * side) :] = False
    return valid


def turned(side: int) -> npt.NDArray[np.bool_]:
    """Validity of a turned square."""
    y, x = (axis - (side - 1) / 2 for axis in np.ogrid[:side, :side])
    half = side / 2 / (np.cos(TURN) + np.sin(TURN))
    along = np.abs(x * np.cos(TURN) + y * np.sin(TURN))
    across = np.abs(y * np.cos(TURN) - x * np.sin(TURN))
    return np.asarray((along <= half) & (across <= half))


def make_scene(path: Path, valid: npt.NDArray[np.bool_]) -> None:
    """Smooth noise, 3 bands of 8 bits, 0 where it is nodata."""
    side = len(valid)
    coarse = np.random.default_rng(0).integers(1, 256, (3, side // 16, side // 16), np.uint8)
    pixels = coarse.repeat(16, axis=1).repeat(16, axis=2)
    pixels[:, ~valid] = 0
    profile = {
        "driver": "GTiff",
        "count": 3,
        "width": side,
        "height": side,
        "dtype": "uint8",
        "nodata": 0,
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "crs": "EPSG:32633",
        "transform": from_origin(5e5, 5e6, 0.5, 0.5),
    }
    with rasterio.open(path, "w", **profile) as target:
        target.write(pixels)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4096, help="of the scenes, a multiple of 16")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", type=lambda text: text.split(","), help="rows, full among them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
