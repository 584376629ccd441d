"""A whole run made small: scenes of two classes and the recipe of a tiny network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.tables import write_catalogue


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads of small tensors wait for each other more than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_run(make_scene: Callable[..., Path], tmp_path: Path) -> dict[str, Any]:
    """Values of a recipe: six steps on one scene, two more to validate, each a town of its own.

    The left half of the scenes (code 4) is darker than the right one (code 1), in noise; their
    first three rows are unlabelled.
    """
    rows = []
    for number, split in enumerate(("train", "val", "val")):
        codes = np.full((1, 40, 48), 4, np.uint8)
        codes[:, :, 24:] = 1
        codes[:, :3] = 255
        noise = np.random.default_rng(number).normal(100, 40, (3, 40, 48))
        pixels = (noise + 40 * (codes == 1)).clip(0, 255).astype(np.uint8)
        image = make_scene(f"{number}.tif", pixels=pixels)
        label = make_scene(f"{number}_label.tif", pixels=codes)
        rows.append(LabelledScene(image, label, split, f"town {number}"))
    write_catalogue(tmp_path / "catalogue.csv", Catalogue(tuple(rows)))
    return {
        "title": "a test",
        "data": {
            "root": str(tmp_path),
            "classes": [
                {"code": 4, "name": "left", "colour": [255, 0, 0]},
                {"code": 1, "name": "right", "colour": [0, 0, 255]},
            ],
            "normalisation": {"scale": [255] * 3, "mean": [0.5] * 3, "std": [0.25] * 3},
            "window": 32,
            "batch_size": 2,
            "workers": 0,
            "augment": {"horizontal_flip": 0.5, "brightness": 0.2},
        },
        "model": {"name": "unet-small", "options": {"widths": [8, 16]}},
        "optimiser": {"rate": 1e-3},
        "trainer": {"steps": 6, "validate_every": 2, "device": "cpu", "seeds": [3]},
    }
