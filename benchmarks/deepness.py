"""An exported model in QGIS's plugin Deepness beside ``rsseg predict``: do they give the same map?

``python benchmarks/deepness.py [--model MODEL] [--scene SCENE] [--environments DIR]
[--python PYTHON]``

ONNX Runtime is installed into environments of their own in DIR: the oldest version that Deepness
allows (1.12.1 to 1.17.0, with numpy below 2) of which there is a build for a Python on this
machine, and the current one. Each maps a crop of the scene as Deepness does, by
`predicting/deepness.py`, with windows of the same size and places as ``rsseg predict --precision
fp32``. Printed are the largest difference of probabilities to the model on torch, in the first
window, and the share of pixels of the same class: where one window alone covers a pixel, and where
windows are blended (Deepness cuts them in the middle).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.windows import Window

from rsseg.bundle import Bundle, read_bundle
from rsseg.export.deepness import OVERLAP
from rsseg.export.tool import export
from rsseg.models import load
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL

HERE = Path(__file__).parent
SCENE = HERE.parent / "notebooks" / "data" / "nl_urban_25cm.tif"
ALLOWED = ("1.12.1", "1.13.1", "1.14.1", "1.15.1", "1.16.3", "1.17.0")
PYTHONS = ("python3.8", "python3.9", "python3.10", "python3.11")
ACROSS = 2
"""Windows across the crop."""


def main() -> None:
    """Print a row for each ONNX Runtime."""
    wanted = _arguments()
    bundle = read_bundle(wanted.model)
    overlap = 2 * (int(bundle.window * OVERLAP / 100) // 2)
    with tempfile.TemporaryDirectory(prefix="rsseg-") as name:
        folder = Path(name)
        graph, scene = folder / "model.onnx", folder / "scene.tif"
        export(wanted.model, graph, to="onnx")
        pixels = make_scene(wanted.scene, bundle.window, overlap, bundle, scene)
        options = PredictOptions(overlap=overlap, precision="fp32", engine="openvino")
        predict(scene, folder / "map.tif", bundle=wanted.model, options=options)
        with rasterio.open(folder / "map.tif") as dataset:
            ours = bundle.legend.indices[dataset.read(1)]
        reference = on_torch(wanted.model, pixels[:, : bundle.window, : bundle.window])
        np.save(folder / "raster.npy", pixels.transpose(1, 2, 0))
        print(f"{ours.shape[0]} x {ours.shape[1]} pixels of {wanted.scene.name}")
        head = f"{'ONNX Runtime, numpy, Python':<28} {'probability':>11}"
        print(f"{head} {'alone %':>8} {'blended %':>9}")
        alone = alone_in(bundle.window, overlap)
        for versions in (ALLOWED, ("",)):
            python = environment(wanted.environments, versions, wanted.python)
            if python is None:
                print(f"{versions[0] or 'current':<28} could not be installed")
                continue
            said, classes, scores = run(python, graph, folder)
            same = classes == ours
            print(
                f"{said:<28} {np.abs(scores - reference).max():11.1e} "
                f"{100 * same[alone].mean():8.3f} {100 * same[~alone].mean():9.3f}",
                flush=True,
            )


def make_scene(scene: Path, side: int, overlap: int, bundle: Bundle, out: Path) -> np.ndarray:
    """Write a scene's corner, filled by windows without a rest, and return its pixels."""
    length = side + (ACROSS - 1) * (side - overlap)
    with rasterio.open(scene) as dataset:
        window = Window(0, 0, length, length)
        pixels = dataset.read(list(range(1, len(bundle.bands) + 1)), window=window)
        profile = {
            "driver": "GTiff",
            "dtype": dataset.dtypes[0],
            "count": len(pixels),
            "height": length,
            "width": length,
            "crs": dataset.crs,
            "transform": dataset.transform,
        }  # without compression: the scene's own may change its pixels
    with rasterio.open(out, "w", **profile) as target:
        target.write(pixels)
    return pixels


def alone_in(side: int, overlap: int) -> np.ndarray:
    """Where one window alone covers a pixel of the crop."""
    length = side + (ACROSS - 1) * (side - overlap)
    covered = np.zeros(length, int)
    for number in range(ACROSS):
        covered[number * (side - overlap) :][:side] += 1
    return (covered == 1)[:, None] & (covered == 1)


def on_torch(model: Path, pixels: np.ndarray) -> np.ndarray:
    """Probabilities ``(1, K, h, w)`` of the model file, in fp32."""
    network, bundle = load(model)
    gain, offset = (
        values[:, None, None] for values in (bundle.normalisation.gain, bundle.normalisation.offset)
    )
    with torch.inference_mode():
        return network(torch.from_numpy(pixels * gain + offset)[None]).softmax(dim=1).numpy()


def run(python: Path, graph: Path, folder: Path) -> tuple[str, np.ndarray, np.ndarray]:
    """The versions of an environment, its map, and the scores of its first window."""
    files = [folder / f"{name}.npy" for name in ("raster", "classes", "scores")]
    command = [str(python), str(HERE / "predicting" / "deepness.py"), str(graph), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip(), np.load(files[1]), np.load(files[2])


def environment(folder: Path, versions: Sequence[str], pythons: Sequence[str]) -> Path | None:
    """The Python of an environment with the first of these versions that installs.

    Old versions are tried with all Pythons given, the current one, ``""``, with this one.
    """
    current = not versions[0]
    found = [sys.executable] if current else [path for path in map(shutil.which, pythons) if path]
    for version in versions:
        for interpreter in found:
            named = "-".join(Path(interpreter).parts[-3:]) if version else ""
            place = folder / f"onnxruntime-{version or 'current'}-{named}"
            python = place / "bin" / "python"
            if (place / "done").exists() or _install(interpreter, place, python, version):
                return python
            shutil.rmtree(place, ignore_errors=True)
    return None


def _install(interpreter: str, place: Path, python: Path, version: str) -> bool:
    packages = [f"onnxruntime=={version}", "numpy<2"] if version else ["onnxruntime"]
    try:
        subprocess.run([interpreter, "-m", "venv", place], check=True, capture_output=True)
        command = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *packages]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    (place / "done").touch()
    return True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL)
    parser.add_argument("--scene", type=Path, default=SCENE)
    parser.add_argument("--python", action="append", help="to try old versions with; repeat it")
    parser.add_argument(
        "--environments", type=Path, default=Path(tempfile.gettempdir()) / "rsseg-deepness"
    )
    wanted = parser.parse_args()
    wanted.python = wanted.python or list(PYTHONS)
    return wanted


if __name__ == "__main__":
    main()
