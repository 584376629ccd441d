"""What bf16 and int8 change beside fp32, on real labelled scenes.

``python benchmarks/precision.py CATALOGUE [--model FILE] [--split val] [--windows 12] [--int8]``

Windows of labelled scenes go through the same graph in each precision. CATALOGUE is what ``rsseg
prepare dubai`` writes, for the embedded model. Printed: mIoU against the labels (goal: within
0.3 points of fp32), pixels with the class of fp32, and the same of pixels whose two best logits
differ by 0.5 or more in fp32 (goal: 99.9 %); seconds a window beside bf16.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from rsseg.bundle import Bundle, read_bundle
from rsseg.data import read_catalogue
from rsseg.data.labels import open_labels
from rsseg.errors import RssegError
from rsseg.geo.scene import Scene
from rsseg.metrics import ConfusionMatrix
from rsseg.prediction.identity import identity_of
from rsseg.prediction.onnx_graph import EMBEDDED_MODEL, onnx_graph
from rsseg.prediction.openvino_engine import OpenVINOEngine, has_bf16
from rsseg.prediction.quantising import decided_agreement, quantise
from rsseg.prediction.sampling import spread


def main() -> None:
    """Print one row per precision."""
    wanted = _arguments()
    bundle, graph = read_bundle(wanted.model), onnx_graph(wanted.model)
    pixels, truth = labelled_windows(wanted.catalogue, wanted.split, wanted.windows, bundle)
    print(
        f"{len(pixels)} windows of {bundle.window} pixels, split {wanted.split}; "
        f"CPU {'with' if has_bf16() else 'without'} bf16"
    )
    engines = {name: (graph, name) for name in ("fp32", "bf16")}
    if wanted.int8:
        others, _ = labelled_windows(wanted.catalogue, "train", 24, bundle)
        try:
            quantised = quantise(
                graph, identity_of(wanted.model, None, bundle), bundle, lambda count: others
            )
        except RssegError as error:
            print(f"int8: {error}")
        else:
            engines["int8"] = quantised, "int8"
    print(f"{'precision':<10} {'mIoU':>7} {'points':>7} {'agree %':>8} {'decided %':>9} {'s':>7}")
    reference, base = None, 0.0
    for name, (path, precision) in engines.items():
        engine = OpenVINOEngine(path, bundle, bundle.window, pixels.dtype, precision)
        engine(pixels[:1])
        scores, seconds = [], []
        for window in pixels:
            began = time.perf_counter()
            scores.append(engine(window[None])[0].copy())
            seconds.append(time.perf_counter() - began)
        probabilities = np.stack(scores)
        confusion = ConfusionMatrix(bundle.legend.names)
        confusion.update(truth, probabilities.argmax(axis=1))
        miou = 100 * confusion.scores()["miou"]
        if reference is None:
            reference, base = probabilities, miou
        decided, every = decided_agreement(reference, probabilities)
        print(
            f"{name:<10} {miou:>7.2f} {miou - base:>+7.2f} {100 * every:>8.2f} "
            f"{100 * decided:>9.3f} {min(seconds):>7.3f}",
            flush=True,
        )


def labelled_windows(
    catalogue: Path, split: str, count: int, bundle: Bundle
) -> tuple[np.ndarray, np.ndarray]:
    """Raw windows ``(N, B, h, w)`` and their class indices ``(N, h, w)``, spread over a split."""
    rows = [row for row in read_catalogue(catalogue) if row.split == split]
    if not rows:
        raise SystemExit(f"{catalogue} has no split {split}")
    pixels, truth, side = [], [], bundle.window
    for number in range(count):
        row = rows[number * len(rows) // count if count < len(rows) else number % len(rows)]
        with Scene(row.image) as scene:
            height, width = scene.grid.height, scene.grid.width
            *_, (top, left) = spread(height, width, side, 1 + number // len(rows))
            place = Window(left, top, side, side)
            pixels.append(scene.read(place)[0])
        labels = open_labels(row, bundle.legend, row.grid(1), 1)
        truth.append(labels.read(place))
        labels.close()
    return np.stack(pixels), np.stack(truth)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL)
    parser.add_argument("--split", default="val")
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--int8", action="store_true", help="also 8 bits, which needs rsseg[int8]")
    return parser.parse_args()


if __name__ == "__main__":
    main()
