"""``rsseg predict`` beside its peers on one machine in one run: speed, memory and seams.

``python benchmarks/predict.py [--scene SCENE] [--size 2048] [--peers DIR] [--only ours,geoai]``

The peers (geoai, TerraTorch, Raster Vision on eager torch, habitat-mapper on ONNX Runtime) are
installed into an environment of their own in DIR, never into this one; one that cannot be installed
is reported so. Every program maps the same crop of a real scene with the same weights, windows of
512 pixels and an overlap of 128 (habitat-mapper: always half), each in a process of its own and
each peer at the better of batch sizes 1 and 4, tried on a quarter of the crop. Seconds are those of
the call, without imports.

Seam error: share of pixels whose class differs from the reference (windows at a third of their
side, uniform mean, fp32) within 8 pixels of a window's border or of the middle of an overlap; then
that of all other pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

HERE = Path(__file__).parent
RUNNER = HERE / "predicting" / "run.py"
DEMO = HERE.parent / "notebooks" / "data" / "nl_urban_25cm.tif"
PEERS = {
    "geoai": ["geoai-py"],
    "terratorch": ["terratorch"],
    "rastervision": [
        "rastervision_pipeline",
        "rastervision_core",
        "rastervision_pytorch_learner",
    ],
    "habitat": ["habitat-mapper"],
}
MODULES = {
    "geoai": "geoai.inference",
    "terratorch": "terratorch.tasks.tiled_inference",
    "rastervision": "rastervision.pytorch_learner",
    "habitat": "habitat_mapper.processing",
}
WINDOW, OVERLAP, BAND = 512, 128, 8
BATCHES = (1, 4)


@dataclass(frozen=True)
class Run:
    """One program over one scene.

    Args:
        seconds: Of the call.
        peak_mb: Highest resident memory of the process.
        more: What the program says of itself.
    """

    seconds: float
    peak_mb: float
    more: dict[str, float]


def main() -> None:
    """Print one row per network and program."""
    wanted = _arguments()
    sys.path.insert(0, str(RUNNER.parent))
    with tempfile.TemporaryDirectory(prefix="rsseg-") as name:
        folder = Path(name)
        scene, quarter = folder / "scene.tif", folder / "quarter.tif"
        make_scene(wanted.scene, wanted.size, scene)
        make_scene(wanted.scene, wanted.size // 2, quarter)
        pixels = wanted.size**2 / 1e6
        peers = {peer: install(wanted.peers, peer) for peer in PEERS if peer in wanted.only}
        pythons = {"ours": Path(sys.executable), "bare": Path(sys.executable), **peers}
        prepare(folder, wanted.networks)
        batches = {
            peer: best_batch(peer, python, folder, quarter) if python else 1
            for peer, python in peers.items()
        }
        print(
            f"{wanted.size} x {wanted.size} pixels of {wanted.scene.name}, {os.cpu_count()} cores"
        )
        head = f"{'program':<14} {'batch':>5} {'s':>7} {'Mpx/s':>7} {'ours x':>7} {'MB':>6}"
        for network in wanted.networks:
            import networks

            print(f"\n{networks.TITLES[network]}\n{head} {'seams %':>8} {'else %':>7}")
            reference = folder / "reference.tif"
            if network != "pointwise":
                run("ours", pythons["ours"], network, folder, scene, reference, 1)
            rates: dict[str, float] = {}
            for program, python in pythons.items():
                if program not in ("ours", "bare") and program not in wanted.only:
                    continue
                if python is None:
                    print(f"{program:<14} could not be installed")
                    continue
                batch = batches.get(program, 1)
                out = folder / f"{program}.tif"
                try:
                    done = run(program, python, network, folder, scene, out, batch)
                except subprocess.CalledProcessError as error:
                    last = (error.stderr.strip().splitlines() or ["no message"])[-1]
                    print(f"{program:<14} failed: {last[:90]}")
                    continue
                rates[program] = pixels / done.seconds
                seams = ""
                if program != "bare" and network != "pointwise":
                    overlap = WINDOW // 2 if program == "habitat" else OVERLAP
                    shares = disagreement(mapped(out), mapped(reference), overlap)
                    seams = "{:8.2f} {:7.2f}".format(*(100 * share for share in shares))
                print(
                    f"{program:<14} {batch:>5} {done.seconds:>7.2f} {rates[program]:>7.2f} "
                    f"{rates['ours'] / rates[program]:>7.2f} {done.peak_mb:>6.0f} {seams}",
                    flush=True,
                )
                if program == "ours":
                    print(f"{'':<14} " + ", ".join(f"{k} {v:.3f}" for k, v in done.more.items()))


def install(folder: Path, peer: str) -> Path | None:
    """The Python of the peers' environment, with this peer in it; None if that fails."""
    python = folder / "env" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
        pip(python, "torch", "torchvision", "timm", "safetensors", "segmentation-models-pytorch")
    check = [str(python), "-c", f"import {MODULES[peer]}"]
    if subprocess.run(check, capture_output=True, check=False).returncode:
        pip(python, *PEERS[peer])
        if subprocess.run(check, capture_output=True, check=False).returncode:
            return None
    return python


def pip(python: Path, *packages: str) -> None:
    """Install packages; whether that went well shows when they are imported."""
    command = [str(python), "-m", "pip", "install", "--quiet", *packages]
    subprocess.run(command, check=False)


def make_scene(source: Path, size: int, out: Path) -> None:
    """A square crop of a scene's first three bands, mirrored to size where it is smaller."""
    with rasterio.open(source) as dataset:
        window = Window(0, 0, min(size, dataset.width), min(size, dataset.height))
        pixels = dataset.read((1, 2, 3), window=window)
        crs, transform = dataset.crs, dataset.transform
    pads = [(0, 0), *((0, size - length) for length in pixels.shape[1:])]
    profile = {
        "driver": "GTiff",
        "count": 3,
        "height": size,
        "width": size,
        "dtype": pixels.dtype,
        "crs": crs or "EPSG:32633",
        "transform": transform,
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
    }
    with rasterio.open(out, "w", **profile) as target:
        target.write(np.pad(pixels, pads, mode="symmetric"))


def prepare(folder: Path, wanted: list[str]) -> None:
    """Write weights, scaling and ONNX graphs, from which all programs build the same networks."""
    import networks
    import torch

    from rsseg.bundle import Bundle, read_bundle
    from rsseg.legend import LandClass, Legend
    from rsseg.normalise import Normalisation
    from rsseg.prediction.onnx_graph import EMBEDDED_MODEL

    classes = [LandClass(i, f"class {i}", (40 * i, 90, 20 * i)) for i in range(networks.CLASSES)]
    scaling = Normalisation((255.0,) * 3, *networks.IMAGENET)
    bands = ("red", "green", "blue")
    bundle = Bundle("of others", Legend(tuple(classes)), bands, scaling, window=WINDOW)
    (folder / "bundle.json").write_text(bundle.to_json())
    scalings = {}
    for name in wanted:
        network, known = networks.build(name), read_bundle(EMBEDDED_MODEL)
        described = known if name == "mst" else bundle
        scalings[name] = {
            "mean": described.normalisation.mean,
            "std": described.normalisation.std,
            "classes": len(described.legend),
        }
        torch.save(network.state_dict(), folder / f"{name}.pt")
        whole = networks.FromBytes(network, scalings[name]["mean"], scalings[name]["std"]).eval()
        torch.onnx.export(
            whole,
            (torch.zeros(2, 3, WINDOW, WINDOW),),
            str(folder / f"{name}.onnx"),
            dynamo=True,
            external_data=False,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            verbose=False,
        )
    (folder / "scaling.json").write_text(json.dumps(scalings))


def best_batch(peer: str, python: Path, folder: Path, scene: Path) -> int:
    """The faster batch size on a small scene, with the lightest network that says something."""
    seconds = {}
    network = "smp" if (folder / "smp.pt").exists() else "mst"
    for batch in BATCHES:
        try:
            done = run(peer, python, network, folder, scene, folder / "try.tif", batch)
        except subprocess.CalledProcessError:
            continue
        seconds[batch] = done.seconds
    return min(seconds, key=lambda batch: seconds[batch], default=1)


def run(
    program: str, python: Path, network: str, folder: Path, scene: Path, out: Path, batch: int
) -> Run:
    """One program in a process of its own; our package is seen there for its networks alone."""
    places = [str(folder), str(scene), str(out), str(batch)]
    command = [str(python), str(RUNNER), program, network, *places]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "PYTHONWARNINGS": "ignore"}
    environment["RSSEG_CACHE"] = str(folder / "cache")
    shutil.rmtree(out.with_suffix(""), ignore_errors=True)  # Raster Vision's, of the run before
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return Run(result.pop("seconds"), result.pop("peak_mb"), result)


def mapped(path: Path) -> np.ndarray:
    """The class raster a program wrote; Raster Vision makes a folder of it."""
    found = path if path.is_file() else path.with_suffix("") / "labels.tif"
    with rasterio.open(found) as dataset:
        return dataset.read(1)


def disagreement(
    codes: np.ndarray, reference: np.ndarray, overlap: int, window: int = WINDOW
) -> tuple[float, float]:
    """Shares of pixels that differ: near borders and middles of overlaps, and elsewhere."""
    near = [seams(length, overlap, window) for length in codes.shape]
    band = near[0][:, None] | near[1][None]
    differs = codes != reference
    return float(differs[band].mean()), float(differs[~band].mean())


def seams(length: int, overlap: int, window: int) -> np.ndarray:
    """True within ``BAND`` pixels of where windows begin or end, or hand over to each other."""
    marked = np.zeros(length, dtype=bool)
    stride = window - overlap
    for start in range(0, length, stride):
        for line in (start, start + overlap // 2, start + overlap):
            if start and line < length:
                marked[max(0, line - BAND) : line + BAND] = True
    return marked


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--scene", type=Path, default=DEMO, help="real scene of 8-bit red, green, blue"
    )
    parser.add_argument("--size", type=int, default=2048, help="side of the crop, pixels")
    parser.add_argument("--peers", type=Path, default=Path.home() / ".cache" / "rsseg-peers")
    parser.add_argument("--only", default=",".join(PEERS), help="peers to run, by commas")
    parser.add_argument("--networks", default="mst,smp,pointwise")
    wanted = parser.parse_args()
    wanted.only = [peer for peer in wanted.only.split(",") if peer]
    wanted.networks = wanted.networks.split(",")
    return wanted


if __name__ == "__main__":
    main()
