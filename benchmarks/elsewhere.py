"""How a model of the five land-cover classes maps labelled scenes of places it was not trained on.

    python benchmarks/elsewhere.py [MODEL ...] --zurich sat_14.tif gt_14.tif --loveda FOLDER

The embedded model if no MODEL is given. ``--zurich`` is a scene of the Zurich Summer dataset
(0.6 m, QuickBird; Volpi and Ferrari 2015) and its colour labels, mapped with ``--stretch
p2,p98``; FOLDER has ``img_dir`` and ``ann_dir`` of LoveDA (0.3 m, RGB; Wang et al. 2021) with
labels 0 to 7, mapped with ``--rescale``. Their classes are taken as the nearest of the five; what
has none is left out.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin
from run_tables import table

from rsseg.legend import LAND_COVER, NODATA
from rsseg.metrics import ConfusionMatrix
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg.prediction.options import parse_stretch

ZURICH = {
    (0, 0, 0): "road",
    (100, 100, 100): "building",
    (0, 125, 0): "vegetation",  # trees
    (0, 255, 0): "vegetation",  # grass
    (150, 80, 0): "land",
    (0, 0, 150): "water",
    (150, 150, 255): "water",  # swimming pools
}
LOVEDA = {2: "building", 3: "road", 4: "water", 5: "land", 6: "vegetation", 7: "vegetation"}
GSD = 0.3
"""Metres of LoveDA's pixels, which come as PNG without a place."""

Codes = npt.NDArray[np.uint8]
Case = tuple[Path, Codes, PredictOptions]
"""A scene, its true codes, and how it is mapped."""


def main() -> None:
    """Print a row for each model and place."""
    wanted = _arguments()
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    names = LAND_COVER.names
    rows = []
    with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
        places: dict[str, list[Case]] = {}
        if wanted.zurich:
            places["Zurich"] = [zurich(*wanted.zurich)]
        if wanted.loveda:
            places["LoveDA"] = list(loveda(wanted.loveda, Path(folder)))
        for model in wanted.models:
            for place, cases in places.items():
                scores = score(model, cases, Path(folder) / "map.tif").scores()
                known = {name: row for name, row in scores["classes"].items() if row["pixels"]}
                mean = sum(row["iou"] for row in known.values()) / len(known)
                cells = (f"{known[n]['iou']:.3f}" if n in known else "–" for n in names)
                name = f"{model.parent.name}/{model.stem}"
                rows.append((name, place, f"{mean:.3f}", f"{scores['oa']:.3f}", *cells))
    print("\n".join(table(("model", "place", "mean IoU", "OA", *names), rows)))


def zurich(scene: Path, colours: Path) -> Case:
    """The scene with what its colours mean."""
    with rasterio.open(colours) as label:
        pixels = label.read([1, 2, 3])
    truth = np.full(pixels.shape[1:], NODATA, np.uint8)
    for colour, name in ZURICH.items():
        truth[(pixels == np.array(colour)[:, None, None]).all(axis=0)] = _code(name)
    return scene, truth, PredictOptions(bands=(3, 2, 1), stretch=parse_stretch("p2,p98"))


def loveda(folder: Path, scratch: Path) -> Iterator[Case]:
    """The pictures as GeoTIFFs of their ground sample distance."""
    codes = np.full(256, NODATA, np.uint8)
    for label, name in LOVEDA.items():
        codes[label] = _code(name)
    for path in sorted((folder / "img_dir").glob("*.png")):
        with rasterio.open(path) as picture:
            pixels, profile = picture.read([1, 2, 3]), picture.profile
        profile |= {"driver": "GTiff", "count": 3, "crs": "EPSG:32650"}
        profile |= {"transform": from_origin(0, 0, GSD, GSD), "photometric": "RGB"}
        with rasterio.open(scratch / f"{path.stem}.tif", "w", **profile) as target:
            target.write(pixels)
        with rasterio.open(folder / "ann_dir" / path.name) as label:
            truth = codes[label.read(1)]
        yield scratch / f"{path.stem}.tif", truth, PredictOptions(rescale=True)


def score(model: Path, cases: list[Case], out: Path) -> ConfusionMatrix:
    """Pixels by true and mapped class, of all scenes together."""
    confusion = ConfusionMatrix(LAND_COVER.names)
    for scene, truth, options in cases:
        predict(scene, out, bundle=model, options=replace(options, overwrite=True))
        with rasterio.open(out) as dataset:
            confusion.update(LAND_COVER.indices[truth], LAND_COVER.indices[dataset.read(1)])
    return confusion


def _code(name: str) -> int:
    return int(LAND_COVER.codes[LAND_COVER.names.index(name)])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", type=Path, default=[EMBEDDED_MODEL], metavar="MODEL")
    parser.add_argument("--zurich", nargs=2, type=Path, metavar=("SCENE", "LABELS"))
    parser.add_argument("--loveda", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if not options.zurich and not options.loveda:
        parser.error("give --zurich or --loveda")
    return options


if __name__ == "__main__":
    main()
