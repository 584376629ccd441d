"""What a run folder holds.

``recipe.yaml`` as used, ``recipe.asked.yaml`` as it was asked for, before the data told the rest of
it, ``scenes.json`` (what it is trained and validated on) and ``environment.json``; ``metrics.csv``
(all that was logged, beside ``metrics.until_STEP.csv`` of earlier parts until the run is done) and
TensorBoard's log; ``last.ckpt`` to go on from and ``best.ckpt``; ``best.safetensors`` to predict
with. When the run is done also ``best.stac.json``, which describes that for catalogues,
``validations.csv`` (a row for each), ``scores.json``, the pictures ``curves.png``,
``confusion.png`` and ``panels.png``, and ``report.html``, which has all of it on one page.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rsseg.evaluate.plots import plot_confusion
from rsseg.loading import WindowDataset
from rsseg.replacing import replacing
from rsseg.training import logs
from rsseg.training.curves import draw_curves
from rsseg.training.failures import unwritable
from rsseg.training.panels import draw_panels, make_panels
from rsseg.training.recipe import Recipe
from rsseg.training.summary import write_report
from rsseg.training.yaml_text import to_text

RECIPE = "recipe.yaml"
ASKED = "recipe.asked.yaml"
SCENES = "scenes.json"
_DPI = 150
_PACKAGES = (
    "rsseg", "torch", "torchvision", "timm", "lightning", "numpy", "numba", "rasterio", "openvino",
)  # fmt: skip


def begin(
    out: Path, asked: Recipe, recipe: Recipe, scenes: Sequence[Mapping[str, str]], done: int
) -> None:
    """Write the recipes, scenes and environment; the figures of an earlier part move aside.

    Args:
        out: Run folder, which is there.
        asked: The run as it was asked for; that of an earlier part is kept.
        recipe: The whole run.
        scenes: Rows of the catalogue that are trained or validated on.
        done: Steps done in earlier parts.

    Raises:
        OutputError: If a file cannot be written.
    """
    if not (out / RECIPE).exists():
        _write(out / ASKED, to_text(asked.model_dump(mode="json")))
        _write(out / SCENES, json.dumps(scenes, indent=1))
    _write(out / RECIPE, to_text(recipe.model_dump(mode="json")))
    _write(out / "environment.json", json.dumps(environment(), indent=1))
    if done:
        logs.set_aside(out, done)


def end(
    out: Path, recipe: Recipe, network: nn.Module, windows: WindowDataset, scores: dict[str, Any]
) -> None:
    """Write the scores, the table of validations, the pictures and the report.

    Args:
        out: Run folder.
        recipe: The whole run.
        network: The trained network, on the CPU.
        windows: The validation windows.
        scores: Of `ConfusionMatrix.scores`.

    Raises:
        OutputError: If a file cannot be written.
    """
    _write(out / "scores.json", json.dumps(scores, indent=1))
    each = recipe.data.batch_size * recipe.optimiser.accumulate * recipe.trainer.devices
    logs.join(out)
    logs.write_validations(out, each)
    plot_confusion(scores, out / "confusion.png")
    rows, panels = logs.read_log(out), make_panels(recipe, network, windows)
    figures = {
        "curves.png": draw_curves(rows, recipe.legend),
        "panels.png": draw_panels(panels, recipe.legend, recipe.data.bands),
    }
    for name, figure in figures.items():
        try:
            with replacing(out / name) as unfinished:
                figure.savefig(unfinished, dpi=_DPI)
        except OSError as error:
            raise unwritable(out / name, error) from error
    write_report(out, recipe, rows, panels, scores, environment())


def environment() -> dict[str, Any]:
    """Versions and machine, for repeating a run; plain values only."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda if cuda else None,
        "packages": found,
    }


def _write(path: Path, text: str) -> None:
    try:
        with replacing(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from error
