"""What bf16 and int8 change beside fp32, on real labelled scenes.

``python benchmarks/precision.py CATALOGUE [--model FILE] [--split val] [--windows N] [--int8]
[--torch] [--write]``

Every pixel of the labelled scenes of a split goes through the same graph in each precision, window
by window in turns. CATALOGUE is what ``rsseg prepare dubai`` writes, for the embedded model.
Printed: mIoU against the labels, and by how many points it differs from that of fp32 (goal: 0.3),
with the standard deviation of that over resampled windows; pixels with the class of fp32, and the
same of pixels whose two best logits differ by 0.5 or more in fp32 (goal: 99.9 %); seconds a window.
``bf16, raw`` is without the shift that is taken back (`rsseg.prediction.engines.rounding`),
``bf16`` is what predictions use. With ``--write`` that shift is measured on the split ``train`` and
written beside the graph.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rsseg.bundle import Bundle, read_bundle
from rsseg.data import read_catalogue
from rsseg.data.labels import open_labels
from rsseg.errors import RssegError
from rsseg.geo.scene import Scene
from rsseg.geo.tiling import Tiling
from rsseg.legend import NODATA
from rsseg.metrics import ConfusionMatrix
from rsseg.prediction.engines.engine import Placement
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL, onnx_graph
from rsseg.prediction.engines.openvino_engine import OpenVINOEngine, has_bf16
from rsseg.prediction.engines.quantising import DECIDED, quantise
from rsseg.prediction.engines.rounding import measure_shift, shift_beside, shift_of, write_shift
from rsseg.prediction.planning.identity import identity_of
from rsseg.prediction.planning.sampling import sample_windows

DTYPE = np.dtype(np.uint8)
RESAMPLED = 200


@dataclass
class Tally:
    """What one engine has made of the windows so far."""

    matrices: list[np.ndarray] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    same: int = 0
    pixels: int = 0
    decided_same: int = 0
    decided: int = 0


def main() -> None:
    """Print one row per precision."""
    wanted = _arguments()
    bundle, graph = read_bundle(wanted.model), onnx_graph(wanted.model)
    if wanted.write:
        shift = measure_shift(graph, bundle, training_windows(wanted.catalogue, bundle))
        write_shift(shift, shift_beside(graph))
    engines = make_engines(wanted, bundle, graph)
    tallies = {name: Tally() for name in engines}
    count = 0
    for pixels, truth in windows(wanted.catalogue, wanted.split, bundle):
        if count == wanted.windows:
            break
        count += 1
        scores = {}
        for name, engine in engines.items():
            began = time.perf_counter()
            scores[name] = np.array(engine(pixels[None]))[0]
            tallies[name].seconds.append(time.perf_counter() - began)
        for name in engines:
            note(tallies[name], scores["fp32"], scores[name], truth, bundle)
    print(
        f"{count} windows of {bundle.window} pixels, split {wanted.split}; "
        f"CPU {'with' if has_bf16() else 'without'} bf16"
    )
    print(
        f"{'precision':<12} {'mIoU':>7} {'points':>7} {'+-':>5} {'agree %':>8} {'decided %':>9} "
        f"{'s':>7}"
    )
    for name, tally in tallies.items():
        points, deviation = difference(tally, tallies["fp32"], bundle)
        print(
            f"{name:<12} {miou(tally.matrices, bundle):>7.2f} {points:>+7.2f} {deviation:>5.2f} "
            f"{100 * tally.same / tally.pixels:>8.2f} "
            f"{100 * tally.decided_same / max(tally.decided, 1):>9.3f} {min(tally.seconds):>7.3f}"
        )


def make_engines(
    wanted: argparse.Namespace, bundle: Bundle, graph: Path
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The engines by name, fp32 first."""
    side = bundle.window
    shift = shift_of(graph, bundle, side)
    engines: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "fp32": OpenVINOEngine(graph, bundle, side, DTYPE, "fp32"),
        "bf16, raw": OpenVINOEngine(graph, bundle, side, DTYPE, "bf16"),
        "bf16": OpenVINOEngine(graph, bundle, side, DTYPE, "bf16", shift),
    }
    if wanted.torch:
        from rsseg.models import load
        from rsseg.prediction.engines.torch_engine import TorchEngine

        network, _ = load(wanted.model)
        low = TorchEngine(network, bundle, side, Placement("torch", "cpu", "bf16"))
        engines["bf16, torch"] = lambda raw: low.to_host(low(raw))
    if wanted.int8:
        seen = training_windows(wanted.catalogue, bundle)
        identity = identity_of(wanted.model, None, bundle)
        try:
            quantised = quantise(graph, identity, bundle, lambda number: np.stack(seen[:number]))
        except RssegError as error:
            print(f"int8: {error}")
        else:
            engines["int8"] = OpenVINOEngine(quantised, bundle, side, DTYPE, "int8")
    return engines


def windows(catalogue: Path, split: str, bundle: Bundle) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Raw windows ``(B, h, w)`` and class indices ``(h, w)``: each pixel of a split once."""
    rows = [row for row in read_catalogue(catalogue) if row.split == split]
    if not rows:
        raise SystemExit(f"{catalogue} has no split {split}")
    for row in rows:
        labels = open_labels(row, bundle.legend, row.grid(1), 1)
        with Scene(row.image) as scene:
            shape = scene.grid.height, scene.grid.width
            tiling = Tiling(*shape, bundle.window, bundle.window)
            seen = np.zeros(shape, np.bool_)
            for top in tiling.rows:
                for left in tiling.columns:
                    place = tiling.window(top, left)
                    truth = labels.read(place)
                    here = place.crop(*shape).toslices()
                    inside = truth[: shape[0] - top, : shape[1] - left]
                    inside[seen[here]] = NODATA
                    seen[here] = True
                    yield scene.read(place)[0], truth
        labels.close()


def training_windows(catalogue: Path, bundle: Bundle) -> list[np.ndarray]:
    """A raw window ``(B, h, w)`` of each scene of the split ``train`` that is large enough."""
    found = []
    for row in read_catalogue(catalogue):
        if row.split == "train":
            with Scene(row.image) as scene:
                if min(scene.grid.height, scene.grid.width) >= bundle.window:
                    side, fill = bundle.window, bundle.normalisation.raw_mean
                    found += list(sample_windows(scene, side, side, 1, fill))
    return found


def note(
    tally: Tally, exact: np.ndarray, scores: np.ndarray, truth: np.ndarray, bundle: Bundle
) -> None:
    """Count what a window's probabilities ``(K, h, w)`` come to beside the exact ones."""
    confusion = ConfusionMatrix(bundle.legend.names)
    confusion.update(truth, scores.argmax(axis=0))
    tally.matrices.append(confusion.matrix.copy())
    same = exact.argmax(axis=0) == scores.argmax(axis=0)
    second, best = np.log(np.maximum(np.sort(exact, axis=0)[-2:], 1e-30))
    decided = best - second >= DECIDED
    tally.same += int(same.sum())
    tally.pixels += same.size
    tally.decided_same += int(same[decided].sum())
    tally.decided += int(decided.sum())


def difference(tally: Tally, exact: Tally, bundle: Bundle) -> tuple[float, float]:
    """Points of mIoU beside fp32, and the standard deviation of that over resampled windows."""
    random = np.random.default_rng(0)

    def points(chosen: np.ndarray) -> float:
        mine, other = (miou([each.matrices[i] for i in chosen], bundle) for each in (tally, exact))
        return mine - other

    every = np.arange(len(tally.matrices))
    others = [points(random.choice(every, len(every))) for _ in range(RESAMPLED)]
    return points(every), float(np.std(others))


def miou(matrices: list[np.ndarray], bundle: Bundle) -> float:
    """Mean IoU in per cent of confusion matrices together."""
    total = ConfusionMatrix(bundle.legend.names)
    total.add(np.sum(matrices, axis=0))
    return 100 * float(total.scores()["miou"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL)
    parser.add_argument("--split", default="val")
    parser.add_argument("--windows", type=int, help="only so many, the first ones; all of them")
    parser.add_argument("--int8", action="store_true", help="also 8 bits, which needs rsseg[int8]")
    parser.add_argument("--torch", action="store_true", help="also torch's autocast to bf16")
    parser.add_argument("--write", action="store_true", help="measure the shift and write it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
