"""Crops per second of a training: rsseg's loop against torchgeo's task in Lightning's trainer.

Both train the same network by the same loss and optimiser on random crops of the same scene, read
by as many workers; each in its own process, in turns. Steps are timed from the first ten on and
without validation. ``data_wait`` is the share of rsseg's time that steps wait for their batch.

    python benchmarks/training.py                        # a processor
    python benchmarks/training.py --device cuda --batch 16 --crop 512 --steps 200 --workers 8
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

CLASSES = 6
WARM = 10
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def main() -> None:
    """Print crops per second of both, their ratio, and the share of waiting."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--network", default="mst-deeplabv3plus")
    parser.add_argument("--crop", type=int, default=256, help="side in pixels")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--rounds", type=int, default=2, help="the best counts")
    parser.add_argument("--side", type=int, default=8192, help="of the scene, pixels")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        contender, folder = options.one
        print(json.dumps(CONTENDERS[contender](options, Path(folder))))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), "scene", options.side)
        _write(Path(folder), "check", options.crop)
        for _ in range(options.rounds):
            for name, results in found.items():
                command = [sys.executable, __file__, *sys.argv[1:], "--one", name, folder]
                run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                results.append(json.loads(run.stdout.splitlines()[-1]))
    best = {name: max(r["rate"] for r in results) for name, results in found.items()}
    print(
        f"{options.network}, {options.batch} crops of {options.crop} x {options.crop} a step, "
        f"{options.workers} workers, {options.device} {options.precision}"
    )
    for name, rate in best.items():
        print(f"{name:<10}{rate:8.2f} crops/s")
    print(f"ours / torchgeo {best['ours'] / best['torchgeo']:.2f}")
    print(f"data_wait {min(result['wait'] for result in found['ours']):.1%}")


def _ours(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """The whole tool, by a recipe."""
    from rsseg.data.catalogue import Catalogue, LabelledScene
    from rsseg.data.tables import write_catalogue
    from rsseg.training import Recipe, train
    from rsseg.training.logs import points, read_log

    rows = tuple(
        LabelledScene(folder / f"{name}_image.tif", folder / f"{name}_label.tif", split, name)
        for name, split in (("scene", "train"), ("check", "val"))
    )
    write_catalogue(folder / "catalogue.csv", Catalogue(rows))
    recipe = Recipe.model_validate(
        {
            "title": "a benchmark",
            "data": {
                "root": folder,
                "classes": [
                    {"code": code, "name": f"class {code}", "colour": [code, code, code]}
                    for code in range(CLASSES)
                ],
                "normalisation": {"scale": [255] * 3, "mean": MEAN, "std": STD},
                "window": options.crop,
                "batch_size": options.batch,
                "workers": options.workers,
            },
            "model": {"name": options.network},
            "loss": {"name": "cross-entropy"},
            "optimiser": {"name": "adamw", "rate": 1e-3},
            "schedule": {"name": "constant"},
            "trainer": {
                "validation": "windows",
                "steps": options.steps,
                "validate_every": options.steps,
                "device": options.device,
                "precision": options.precision,
            },
        }
    )
    times: list[float] = []
    with tempfile.TemporaryDirectory() as out:
        train(recipe, Path(out) / "run", on_progress=lambda *_: times.append(time.perf_counter()))
        waits = points(read_log(Path(out) / "run"), "data_wait")
    return {"rate": _rate(times, options), "wait": waits[-1][1] if waits else float("nan")}


def _torchgeo(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Its task with our network, its datasets and its sampler, as its documentation shows."""
    warnings.simplefilter("ignore")
    import lightning
    import torch
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import RandomGeoSampler
    from torchgeo.trainers import SemanticSegmentationTask

    from rsseg import models

    class Images(RasterDataset):
        filename_glob = "scene_image.tif"

    class Labels(RasterDataset):
        filename_glob = "scene_label.tif"
        is_image = False

    times: list[float] = []

    class Task(SemanticSegmentationTask):
        """Normalises on the device, as its data modules do."""

        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            mean, std = (torch.tensor(v, device=self.device)[:, None, None] for v in (MEAN, STD))
            return {
                "image": (batch["image"].float() / 255 - mean) / std,
                "mask": batch["mask"].long(),
            }

        def configure_optimizers(self) -> Any:
            """Its own, without the schedule that needs a validation."""
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

        def on_train_batch_end(self, *rest: Any) -> None:
            times.append(time.perf_counter())

    torch.manual_seed(0)
    task = Task("unet", "resnet18", num_classes=CLASSES, loss="ce", ignore_index=255, lr=1e-3)
    task.model = models.create(options.network, classes=CLASSES)
    data = Images(str(folder)) & Labels(str(folder))
    sampler = RandomGeoSampler(data, options.crop, length=options.steps * options.batch)
    loader: DataLoader[Any] = DataLoader(
        data, options.batch, sampler=sampler, num_workers=options.workers,
        collate_fn=stack_samples, pin_memory=options.device == "cuda",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        trainer = lightning.Trainer(
            max_steps=options.steps, devices=1, default_root_dir=out, enable_progress_bar=False,
            accelerator="gpu" if options.device == "cuda" else "cpu",
            precision="bf16-mixed" if options.precision == "bf16" else "32-true",
            enable_model_summary=False, log_every_n_steps=20,
        )  # fmt: skip
        trainer.fit(task, loader)
    return {"rate": _rate(times, options)}


CONTENDERS: dict[str, Callable[[argparse.Namespace, Path], dict[str, float]]] = {
    "ours": _ours,
    "torchgeo": _torchgeo,
}


def _rate(times: list[float], options: argparse.Namespace) -> float:
    assert len(times) == options.steps > WARM, "too few steps"
    seconds = times[-1] - times[WARM - 1]
    return float((options.steps - WARM) * options.batch / seconds)


def _write(folder: Path, name: str, side: int) -> None:
    """A scene with texture and its label, tiled and compressed as aerial pictures are."""
    generator = np.random.default_rng(0)
    cells = -(-side // 64)
    classes = generator.integers(0, CLASSES, (1, cells, cells))
    bright = 40.0 * classes + generator.normal(0, 10, (3, cells, cells))
    for kind, grid in (("image", bright), ("label", classes)):
        profile = {
            "driver": "GTiff", "dtype": "uint8", "count": len(grid), "height": side, "width": side,
            "crs": "EPSG:32633", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000),
            "tiled": True, "compress": "deflate",
        }  # fmt: skip
        with rasterio.open(folder / f"{name}_{kind}.tif", "w", **profile) as target:
            for row in range(0, side, 512):
                rows = min(512, side - row)
                part = grid[:, row // 64 : -(-(row + rows) // 64)].repeat(64, 1).repeat(64, 2)
                pixels = part[:, :rows, :side].astype(float)
                if kind == "image":
                    pixels += generator.normal(0, 5, pixels.shape)
                target.write(
                    pixels.clip(0, 255).astype(np.uint8), window=Window(0, row, side, rows)
                )


if __name__ == "__main__":
    main()
