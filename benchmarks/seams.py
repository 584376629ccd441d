"""What overlap costs and what it saves: seam error and windows by overlap, and what auto chooses.

``python benchmarks/seams.py [SCENE] [--model FILE] [--size 2560] [--precision bf16]``

Prints the receptive decay of the model on the scene, then for each overlap how many times more
pixels than the scene has go through the network, and the seams as `predicting/borders.py` tells
them, against windows at a third of their side, averaged, in fp32. All are of the upper left of a
larger crop, so that no window but those in regular steps reaches it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import rasterio
from predict import DEMO, make_scene, mapped
from predicting.borders import Reference

from rsseg.bundle import read_bundle
from rsseg.geo.scene import Scene
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL, onnx_graph
from rsseg.prediction.engines.openvino_engine import OpenVINOEngine, has_bf16
from rsseg.prediction.planning.decay import THRESHOLD, least_overlap, measure_decay

SHARES = (0.0, 0.0625, 0.09375, 0.125, 0.1875, 0.25, 0.375, 0.5)


def main() -> None:
    """Print one row per overlap."""
    wanted = _arguments()
    bundle = read_bundle(wanted.model)
    window = bundle.window
    with tempfile.TemporaryDirectory(prefix="rsseg-") as name:
        folder = Path(name)
        scene = folder / "scene.tif"
        make_scene(wanted.scene, wanted.size + 2 * window, scene)
        with Scene(scene) as opened:
            engine = OpenVINOEngine(
                onnx_graph(wanted.model), bundle, window, opened.dtype, wanted.precision
            )
            fill = bundle.normalisation.raw_mean
            decay = measure_decay(engine, opened, window, window, fill)
        if decay is None:
            raise SystemExit("the scene is too small")
        step = window / 2 / len(decay)
        print("pixels from the border and per cent that differ:")
        print("  ".join(f"{i * step:.0f}: {100 * share:.2f}" for i, share in enumerate(decay)))
        print(
            f"auto (at most {100 * THRESHOLD:.0f} points above pixels further in): "
            f"{100 * least_overlap(decay):.1f} % of {window} pixels"
        )
        with rasterio.open(scene) as dataset:
            left, top = dataset.transform * (0, 0)
            right, bottom = dataset.transform * (wanted.size, wanted.size)
        box = (left, bottom, right, top)
        whole, margin = folder / "reference.tif", folder / "margin.tif"
        options = PredictOptions(
            blend="uniform", precision="fp32", bbox=box, confidence=margin, confidence_kind="margin"
        )
        predict(scene, whole, bundle=wanted.model, options=options)
        reference = Reference(mapped(whole), mapped(margin))
        print(f"{'overlap %':>9} {'cost':>6} {'seams':>6} {'+-':>5} {'else %':>7} {'cuts':>6}")
        for share in SHARES:
            out = folder / f"{share}.tif"
            options = PredictOptions(overlap=share, precision=wanted.precision, bbox=box)
            predict(scene, out, bundle=wanted.model, options=options)
            overlap = round(window * share)
            seams = reference.seam_error(mapped(out), window - overlap, overlap)
            print(
                f"{100 * share:>9.1f} {(window / (window - overlap)) ** 2:>6.2f} "
                f"{100 * seams.near:>6.2f} {100 * seams.chance:>5.2f} "
                f"{100 * seams.elsewhere:>7.2f} {seams.cuts:>6.2f}",
                flush=True,
            )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path, nargs="?", default=DEMO)
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL)
    parser.add_argument("--size", type=int, default=2560, help="side of what is mapped, pixels")
    parser.add_argument("--precision", default="bf16" if has_bf16() else "fp32")
    return parser.parse_args()


if __name__ == "__main__":
    main()
