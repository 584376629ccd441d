"""What a run folder holds.

``recipe.yaml`` as used, ``environment.json``, ``metrics.csv`` and TensorBoard's log, ``last.ckpt``
to go on from, ``best.ckpt``, ``best.safetensors`` to predict with, ``scores.json``, ``curves.png``
and ``panels.png``.
"""

from __future__ import annotations

import csv
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import nn

from rsseg.legend import NODATA, Legend
from rsseg.loading import WindowDataset
from rsseg.training.recipe import Recipe

RECIPE = "recipe.yaml"
METRICS = "metrics.csv"
_PACKAGES = ("rsseg", "torch", "torchvision", "timm", "lightning", "numpy", "rasterio")
_PANELS = 6
_ERROR = "#ff00ff"


def begin(out: Path, recipe: Recipe, done: int) -> None:
    """Write the recipe and the environment; the figures of an earlier part move aside."""
    (out / RECIPE).write_text(yaml.safe_dump(recipe.model_dump(mode="json")), "utf-8")
    (out / "environment.json").write_text(json.dumps(environment(), indent=1), "utf-8")
    if done and (out / METRICS).exists():
        (out / METRICS).rename(out / f"metrics.until_{done}.csv")


def end(
    out: Path, recipe: Recipe, network: nn.Module, windows: WindowDataset, scores: dict[str, Any]
) -> None:
    """Write the scores, the curves and some predicted windows."""
    (out / "scores.json").write_text(json.dumps(scores, indent=1), "utf-8")
    curves(out).savefig(out / "curves.png", dpi=120)
    panels(recipe, network, windows).savefig(out / "panels.png", dpi=120)


def environment() -> dict[str, Any]:
    """Versions and machine, for repeating a run."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": found,
    }


def curves(out: Path) -> Figure:
    """Loss and IoU by step, from the tables of a run folder."""
    rows: list[dict[str, str]] = []
    for path in sorted(out.glob("metrics*.csv"), key=_order):
        with path.open(encoding="utf-8", newline="") as file:
            rows += csv.DictReader(file)
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _curve(left, rows, "train_loss", "loss", color="0.3")
    left.set(title="training loss", xlabel="step", ylim=(0, None))
    for name in sorted({key for row in rows for key in row if key.startswith("val_iou_")}):
        _curve(right, rows, name, name.removeprefix("val_iou_"), linewidth=1)
    _curve(right, rows, "val_miou", "mean", color="black", linewidth=2.5)
    right.set(title="validation IoU", xlabel="step", ylim=(0, 1))
    right.legend(fontsize="small")
    return figure


def panels(recipe: Recipe, network: nn.Module, windows: WindowDataset) -> Figure:
    """Image, label, prediction and errors of some validation windows, evenly chosen."""
    count = min(_PANELS, len(windows))
    numbers = np.linspace(0, len(windows) - 1, count).round().astype(int).tolist()
    figure = Figure(figsize=(11, 2.75 * count + 0.6), layout="constrained")
    axes = figure.subplots(count, 4, squeeze=False)
    normalisation = recipe.normalisation
    gain, offset = (
        torch.from_numpy(values)[:, None, None]
        for values in (normalisation.gain, normalisation.offset)
    )
    for row, number in zip(axes, numbers, strict=True):
        sample = windows[number]
        with torch.inference_mode():
            logits = network.eval()((sample["image"].float() * gain + offset)[None])
        label = sample["label"].numpy()
        stride = logits.shape[-1] // label.shape[-1]
        predicted = logits.argmax(1)[0, ::stride, ::stride].numpy().astype(np.uint8)
        _panel(row, _picture(sample["image"].numpy()), label, predicted, recipe.legend)
    handles = [Patch(color=c.hex, label=c.name) for c in recipe.legend]
    handles.append(Patch(color=_ERROR, label="wrong"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(7, len(handles)))
    return figure


def _panel(
    row: npt.NDArray[Any],
    picture: npt.NDArray[np.uint8],
    label: npt.NDArray[np.uint8],
    predicted: npt.NDArray[np.uint8],
    legend: Legend,
) -> None:
    colours = ListedColormap([c.hex for c in legend])
    known = label != NODATA
    wrong = np.where(known & (predicted != label), 0.0, np.nan)
    shown: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("image", picture, {}),
        ("label", np.where(known, label, np.nan), {"cmap": colours}),
        ("prediction", predicted, {"cmap": colours}),
        ("errors", picture, {}),
    )
    for axis, (title, pixels, options) in zip(row, shown, strict=True):
        limits = {"vmin": -0.5, "vmax": len(legend) - 0.5} if options else {}
        axis.imshow(pixels, interpolation="nearest", **options, **limits)
        axis.set_title(title, fontsize="small")
        axis.set_axis_off()
    height, width = picture.shape[:2]
    row[3].imshow(
        wrong, cmap=ListedColormap([_ERROR]), interpolation="nearest", alpha=0.7,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )  # fmt: skip


def _picture(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The first three bands (or the one) as RGB bytes ``(h, w, 3)``, stretched by band."""
    bands = image[:3] if len(image) >= 3 else image[:1].repeat(3, axis=0)
    low, high = np.percentile(bands, (2, 98), axis=(1, 2), keepdims=True)
    scaled = (bands - low) / np.maximum(high - low, 1e-9)
    return np.moveaxis((scaled.clip(0, 1) * 255).astype(np.uint8), 0, -1)


def _curve(axis: Axes, rows: list[dict[str, str]], key: str, label: str, **style: Any) -> None:
    points = [(int(row["step"]) + 1, float(row[key])) for row in rows if row.get(key)]
    if points:
        axis.plot(*zip(*points, strict=True), label=label, marker=".", markersize=4, **style)


def _order(path: Path) -> int:
    """Tables of earlier parts first."""
    part = path.stem.partition("until_")[2]
    return int(part) if part else 1 << 60
