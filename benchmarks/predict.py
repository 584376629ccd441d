"""``rsseg predict`` beside its peers on one machine in one run: speed, memory and seams.

``python benchmarks/predict.py [--scene SCENE] [--size 4096] [--peers DIR] [--only geoai,habitat]``

The peers (geoai, TerraTorch, Raster Vision on eager torch, habitat-mapper on ONNX Runtime) are
installed into an environment of their own in DIR, never into this one; one that cannot be installed
is reported so. Every program maps the same crop of a real scene with the same weights and windows
of 512 pixels, the peers with an overlap of 128 (habitat-mapper: always half), ours with each of
``--overlaps``: what counts is speed at equal or better seams. Each runs in a process of its own,
each peer at the better of batch sizes 1 and 4, tried on a small crop. Seconds are those of the
call, without imports.

Seams are told alike for all, see `predicting/borders.py`, on the part of the crop whose windows lie
in regular steps with every program, against windows at a third of their side, averaged, in fp32.
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
from predicting.borders import Reference
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
WINDOW, OVERLAP = 512, 128
TERRATORCH_CROP = 8
BATCHES = (1, 4)
TRIED_ON = 1024
"""Side of the crop that batch sizes are tried on, pixels."""


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
    """Print one row per network, program and overlap."""
    wanted = _arguments()
    sys.path.insert(0, str(RUNNER.parent))
    import networks

    with tempfile.TemporaryDirectory(prefix="rsseg-") as name:
        folder = Path(name)
        scene, small = folder / "scene.tif", folder / "small.tif"
        make_scene(wanted.scene, wanted.size, scene)
        make_scene(wanted.scene, min(TRIED_ON, wanted.size), small)
        peers = {peer: install(wanted.peers, peer) for peer in PEERS if peer in wanted.only}
        prepare(folder, wanted.networks)
        batches = {
            peer: best_batch(peer, python, folder, small) if python else 1
            for peer, python in peers.items()
        }
        print(
            f"{wanted.size} x {wanted.size} pixels of {wanted.scene.name}, {os.cpu_count()} cores"
        )
        for network in wanted.networks:
            print(f"\n{networks.TITLES[network]}")
            compare(network, wanted, peers, batches, folder, scene, small)


def compare(
    network: str,
    wanted: argparse.Namespace,
    peers: dict[str, Path | None],
    batches: dict[str, int],
    folder: Path,
    scene: Path,
    small: Path,
) -> None:
    """Print the rows of one network."""
    own = Path(sys.executable)
    jobs = [("ours", own, overlap) for overlap in wanted.overlaps]
    jobs += [("bare", own, wanted.overlaps[0])]
    jobs += [
        (peer, python, WINDOW // 2 if peer == "habitat" else OVERLAP)
        for peer, python in peers.items()
    ]
    # what is made once for a network: its graph, compiled, and what bf16 shifts its logits by
    run("ours", own, network, folder, small, folder / "first.tif", 1, OVERLAP)
    told = None if network == "pointwise" else reference(network, own, folder, scene)
    ours: dict[int, float] = {}
    times = "".join(f"{f'x {overlap}':>7}" for overlap in wanted.overlaps)
    head = f"{'program':<13} {'overlap':>7} {'batch':>5} {'s':>7} {'Mpx/s':>6}{times} {'MB':>6}"
    print(head + ("" if told is None else f" {'seams':>6} {'+-':>5} {'else %':>6} {'cuts':>5}"))
    for program, python, overlap in jobs:
        name, batch = f"{program:<13} {overlap:>7}", batches.get(program, 1)
        out = folder / f"{program}.tif"
        if python is None:
            print(f"{name} could not be installed")
            continue
        try:
            done = run(program, python, network, folder, scene, out, batch, overlap)
        except subprocess.CalledProcessError as error:
            last = (error.stderr.strip().splitlines() or ["no message"])[-1]
            print(f"{name} failed: {last[:150]}", flush=True)
            continue
        if program == "ours":
            ours[overlap] = done.seconds
        ratios = "".join(f"{done.seconds / seconds:>7.2f}" for seconds in ours.values())
        rate = wanted.size**2 / 1e6 / done.seconds
        row = f"{name} {batch:>5} {done.seconds:>7.2f} {rate:>6.2f}{ratios:<{len(times)}}"
        row += f" {done.peak_mb:>6.0f}"
        if told is not None and program != "bare":
            # what TerraTorch drops of a window ends nowhere
            dropped = 2 * TERRATORCH_CROP if program == "terratorch" else 0
            seams = told.seam_error(
                mapped(out, told.codes.shape), WINDOW - overlap, overlap - dropped
            )
            row += f" {100 * seams.near:>6.2f} {100 * seams.chance:>5.2f}"
            row += f" {100 * seams.elsewhere:>6.2f} {seams.cuts:>5.2f}"
        print(row, flush=True)
        if done.more:
            print(
                f"{'':<13} " + ", ".join(f"{key} {value:.3f}" for key, value in done.more.items())
            )


def reference(network: str, python: Path, folder: Path, scene: Path) -> Reference:
    """What the maps of a network are compared with."""
    out = folder / "reference.tif"
    run("reference", python, network, folder, scene, out, 1, OVERLAP)
    return Reference(mapped(out), mapped(out.with_name("margin.tif")))


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
    from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL

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
            done = run(peer, python, network, folder, scene, folder / "try.tif", batch, OVERLAP)
        except subprocess.CalledProcessError:
            continue
        seconds[batch] = done.seconds
    return min(seconds, key=lambda batch: seconds[batch], default=1)


def run(
    program: str,
    python: Path,
    network: str,
    folder: Path,
    scene: Path,
    out: Path,
    batch: int,
    overlap: int,
) -> Run:
    """One program in a process of its own; our package is seen there for its networks alone."""
    places = [str(folder), str(scene), str(out), str(batch), str(overlap)]
    command = [str(python), str(RUNNER), program, network, *places]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "PYTHONWARNINGS": "ignore"}
    environment["RSSEG_CACHE"] = str(folder / "cache")
    shutil.rmtree(out.with_suffix(""), ignore_errors=True)  # Raster Vision's, of the run before
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return Run(result.pop("seconds"), result.pop("peak_mb"), result)


def mapped(path: Path, shape: tuple[int, int] | None = None) -> np.ndarray:
    """The class raster a program wrote, or its upper left; Raster Vision makes a folder of it."""
    found = path if path.is_file() else path.with_suffix("") / "labels.tif"
    with rasterio.open(found) as dataset:
        window = None if shape is None else Window(0, 0, shape[1], shape[0])
        return dataset.read(1, window=window)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--scene", type=Path, default=DEMO, help="real scene of 8-bit red, green, blue"
    )
    parser.add_argument("--size", type=int, default=4096, help="side of the crop, pixels")
    parser.add_argument("--peers", type=Path, default=Path.home() / ".cache" / "rsseg-peers")
    parser.add_argument("--only", default=",".join(PEERS), help="peers to run, by commas")
    parser.add_argument("--networks", default="mst,smp,pointwise")
    parser.add_argument("--overlaps", default="128,64", help="of ours, pixels, by commas")
    wanted = parser.parse_args()
    wanted.only = [peer for peer in wanted.only.split(",") if peer]
    wanted.networks = wanted.networks.split(",")
    wanted.overlaps = [int(overlap) for overlap in wanted.overlaps.split(",")]
    return wanted


if __name__ == "__main__":
    main()
