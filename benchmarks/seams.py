"""What overlap costs and what it saves: seam error and windows by overlap, and what auto chooses.

``python benchmarks/seams.py [SCENE] [--model FILE] [--size 1536]``

Prints the model's receptive decay on the scene, then for each overlap the windows, how many times
more pixels than the scene's go through the network, and the share of pixels whose class differs
from the reference (windows at a third of their side, uniform mean) within 8 pixels of a window's
border or of the middle of an overlap; beside it that of all other pixels.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from predict import DEMO, disagreement, make_scene, mapped

from rsseg.bundle import read_bundle
from rsseg.geo.scene import Scene
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.decay import THRESHOLD, least_overlap, measure_decay
from rsseg.prediction.onnx_graph import EMBEDDED_MODEL, onnx_graph
from rsseg.prediction.openvino_engine import OpenVINOEngine, has_bf16

SHARES = (0.0, 0.0625, 0.125, 0.25, 0.375, 0.5)


def main() -> None:
    """Print one row per overlap."""
    wanted = _arguments()
    bundle = read_bundle(wanted.model)
    precision = "bf16" if has_bf16() else "fp32"
    with tempfile.TemporaryDirectory(prefix="rsseg-") as name:
        folder = Path(name)
        scene = folder / "scene.tif"
        make_scene(wanted.scene, wanted.size, scene)
        with Scene(scene) as opened:
            engine = OpenVINOEngine(
                onnx_graph(wanted.model), bundle, bundle.window, opened.dtype, precision
            )
            fill = bundle.normalisation.raw_mean
            decay = measure_decay(engine, opened, bundle.window, bundle.window, fill)
        if decay is None:
            raise SystemExit("the scene is too small")
        step = bundle.window / 2 / len(decay)
        print("pixels from the border and per cent that differ:")
        print("  ".join(f"{i * step:.0f}: {100 * share:.2f}" for i, share in enumerate(decay)))
        print(
            f"auto (at most {100 * THRESHOLD:.0f} points above the middle): "
            f"{100 * least_overlap(decay):.1f} % of {bundle.window} pixels"
        )
        reference = folder / "reference.tif"
        options = PredictOptions(blend="uniform", precision=precision)
        predict(scene, reference, bundle=wanted.model, options=options)
        print(f"{'overlap %':>9} {'windows':>8} {'cost':>6} {'seams %':>8} {'else %':>7}")
        for share in SHARES:
            out = folder / f"{share}.tif"
            options = PredictOptions(overlap=share, precision=precision)
            done = predict(scene, out, bundle=wanted.model, options=options)
            overlap = int(bundle.window * share)
            near, far = disagreement(mapped(out), mapped(reference), overlap, bundle.window)
            cost = done.windows * bundle.window**2 / (done.width * done.height)
            print(
                f"{100 * share:>9.1f} {done.windows:>8} {cost:>6.2f} "
                f"{100 * near:>8.2f} {100 * far:>7.2f}",
                flush=True,
            )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path, nargs="?", default=DEMO)
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL)
    parser.add_argument("--size", type=int, default=1536, help="side of the crop, pixels")
    return parser.parse_args()


if __name__ == "__main__":
    main()
