"""GID's fine set in both of its releases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from rsseg.data.datasets.gid15 import Gid15
from rsseg.errors import CatalogueError, LegendError
from rsseg.legend import NODATA


@pytest.fixture
def contest(write: Any, tmp_path: Path) -> Path:
    """The GID-15 contest's layout: 3 scenes to train on, one to validate on, one without label."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "gid-15" / "GID"
    for split, numbers in (("train", (1, 2, 3)), ("val", (4,)), ("test", (5,))):
        for number in numbers:
            name = f"GF2_PMS1__L1A{number:010}-MSS1"
            pixels = rng.integers(0, 256, (3, 20, 24), dtype=np.uint8)
            write(folder / "img_dir" / split / f"{name}.tif", pixels)
            if split != "test":
                label = rng.integers(0, 16, (1, 20, 24), dtype=np.uint8)
                write(folder / "ann_dir" / split / f"{name}_15label.png", label)
    return tmp_path / "gid-15"


def test_the_contest_comes_with_its_split(contest: Path, tmp_path: Path) -> None:
    prepared = Gid15().prepare(contest, tmp_path / "target")
    assert [scene.split for scene in prepared.catalogue] == ["train"] * 3 + ["val"]
    assert prepared.left_out == ("test: 1 scenes whose labels are withheld",)
    for scene in prepared.catalogue:
        assert scene.group == scene.image.stem
        name = f"{scene.group}_15label.png"
        with (
            rasterio.open(scene.label) as label,
            rasterio.open(contest / "GID" / "ann_dir" / scene.split / name) as numbers,
            rasterio.open(scene.image) as image,
        ):
            assert image.descriptions == ("red", "green", "blue")
            expected = numbers.read(1).astype(int) - 1
            assert np.array_equal(label.read(1), np.where(expected < 0, NODATA, expected))


def test_the_contests_numbers_mean_the_same_as_the_colours(
    write: Any, meanings: Mapping[str, Any], tmp_path: Path
) -> None:
    """The contest numbers the classes as the authors list their colours."""
    colours = [colour for colour, name in meanings["gid15"].items() if name]
    numbers = np.arange(1, 16, dtype=np.uint8).reshape(1, 3, 5)
    painted = np.moveaxis(np.array(colours, np.uint8).reshape(3, 5, 3), -1, 0)
    by_number = Gid15().codes(write(tmp_path / "a_15label.png", numbers))
    by_colour = Gid15().codes(write(tmp_path / "a_label.tif", painted))
    assert np.array_equal(by_number, by_colour)


def test_unknown_numbers_of_the_contest_are_refused(write: Any, tmp_path: Path) -> None:
    numbers = np.zeros((1, 4, 5), np.uint8)
    numbers[0, 3, 2] = 16
    path = write(tmp_path / "a_15label.png", numbers)
    with pytest.raises(LegendError, match=r"1 pixel of unknown numbers, .*16 at row 3, column 2"):
        Gid15().codes(path)


def test_a_scene_of_the_contest_without_its_label_is_refused(contest: Path, tmp_path: Path) -> None:
    next((contest / "GID" / "ann_dir" / "val").iterdir()).unlink()
    with pytest.raises(CatalogueError, match=r"L1A0000000004-MSS1\.tif has no label"):
        Gid15().prepare(contest, tmp_path / "target")


def test_every_fifth_scene_of_ten_is_held_out() -> None:
    scenes = [f"GF2_PMS1__L1A{number:010}-MSS1" for number in range(10)]
    splits = Gid15().splits(scenes)
    assert [scenes.index(scene) for scene, split in splits.items() if split == "val"] == [4, 9]
