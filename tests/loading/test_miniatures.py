"""Every published dataset prepared and read in windows: labels lie on what they are of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rasterio

from rsseg.data import GridWindows, RandomWindows, read_catalogue
from rsseg.data.datasets import published
from rsseg.legend import NODATA
from rsseg.loading import WindowDataset, batches

NAMES = ("cityscapes", "dubai", "gid", "gid15", "loveda", "potsdam", "vaihingen")
STEP = 9
"""Between the greys that stand for what a label holds; JPEG moves them by less than half."""


@pytest.mark.parametrize("name", NAMES)
def test_each_pixel_has_the_class_painted_there(
    name: str, makers: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    module = makers("data/datasets")
    values = list(module.MEANINGS[name])
    for picture in module.MINIATURES[name](tmp_path / "source"):
        _paint(picture.image, _numbers(picture.label, values))
    dataset = published(name)
    dataset.prepare(tmp_path / "source", tmp_path / "target")
    catalogue = read_catalogue(tmp_path / "target" / "catalogue.csv")
    names = dataset.legend.names
    meant = [module.MEANINGS[name][value] for value in values]
    indices = np.array([NODATA if each is None else names.index(each) for each in meant])
    for sampler in (RandomWindows(16, 30), GridWindows(16, 16)):
        windows = WindowDataset(catalogue, sampler, legend=dataset.legend)
        seen = set()
        for batch in batches(windows, 4, workers=2):
            greys = batch["image"].numpy()
            numbers = np.rint(greys[:, 0] / STEP).astype(int)
            assert np.abs(greys - STEP * numbers[:, None]).max() < STEP / 2
            assert np.array_equal(batch["label"].numpy(), indices[numbers])
            seen |= set(np.unique(batch["label"]).tolist())
        assert seen == set(indices.tolist())


def _numbers(label: Path, values: list[object]) -> np.ndarray:
    """Which of the values stands in each pixel of a published label ``(h, w)``."""
    with rasterio.open(label) as file:
        pixels = np.moveaxis(file.read(), 0, -1)
    found = np.full(pixels.shape[:2], -1)
    for number, value in enumerate(values):
        found[(pixels == np.atleast_1d(value)).all(axis=-1)] = number
    assert (found >= 0).all()
    return found


def _paint(image: Path, numbers: np.ndarray) -> None:
    """The published picture, its bands all of the same greys."""
    with rasterio.open(image) as file:
        profile, bands = file.profile, file.count
    image.unlink()
    options = {"quality": 100} if image.suffix == ".jpg" else {}
    with rasterio.open(image, "w", **profile | options) as file:
        file.write(np.repeat((STEP * numbers)[None].astype(np.uint8), bands, axis=0))
