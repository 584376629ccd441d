"""LoveDA: splits, withheld labels, and real pictures."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from rsseg.data.datasets.loveda import LoveDA
from rsseg.errors import CatalogueError, LegendError
from rsseg.legend import NODATA


def test_withheld_labels_are_reported(miniature: Any, tmp_path: Path) -> None:
    miniature("loveda", tmp_path / "source")
    prepared = LoveDA().prepare(tmp_path / "source", tmp_path / "target")
    assert prepared.left_out == ("Test/Urban: 1 picture with labels withheld",)


def test_one_split_is_enough(miniature: Any, tmp_path: Path) -> None:
    miniature("loveda", tmp_path / "source")
    shutil.rmtree(tmp_path / "source" / "Train")
    catalogue = LoveDA().prepare(tmp_path / "source" / "Val", tmp_path / "target").catalogue
    assert catalogue.splits == ("val",)


def test_test_pictures_alone_are_refused(miniature: Any, tmp_path: Path) -> None:
    miniature("loveda", tmp_path / "source")
    with pytest.raises(CatalogueError, match="is not LoveDA, expected Train and Val"):
        LoveDA().prepare(tmp_path / "source" / "Test", tmp_path / "target")


def test_one_number_in_two_splits_is_refused(miniature: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    miniature("loveda", source)
    for kind in ("images_png", "masks_png"):
        shutil.copyfile(
            source / "Train" / "Rural" / kind / "7.png", source / "Val" / "Rural" / kind / "7.png"
        )
    with pytest.raises(CatalogueError, match=r"7\.png and .*7\.png would both become rural_7\.tif"):
        LoveDA().prepare(source, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_mask_without_its_picture_is_refused(miniature: Any, tmp_path: Path) -> None:
    miniature("loveda", tmp_path / "source")[0].image.unlink()
    with pytest.raises(CatalogueError, match=r"masks_png/7\.png has no picture"):
        LoveDA().prepare(tmp_path / "source", tmp_path / "target")


def test_a_single_unknown_number_is_refused_with_its_place(write: Any, tmp_path: Path) -> None:
    numbers = np.ones((1, 300, 4), np.uint8)
    numbers[0, 280, 3] = 8
    with pytest.raises(LegendError, match=r"8 at row 280, column 3"):
        LoveDA().codes(write(tmp_path / "1.png", numbers))


def test_real_pictures(real_data: Path, tmp_path: Path) -> None:
    """Three pictures of 1024 x 1024 pixels with their masks as published."""
    crops = real_data / "formats" / "tests" / "data" / "pseudo_loveda_dataset"
    for number, (split, domain) in enumerate(
        (("Train", "Urban"), ("Train", "Rural"), ("Val", "Urban"))
    ):
        folder = tmp_path / "LoveDA" / split / domain
        for kind, name in (("images_png", "img_dir"), ("masks_png", "ann_dir")):
            (folder / kind).mkdir(parents=True)
            shutil.copyfile(crops / name / f"{number}.png", folder / kind / f"{number}.png")
    catalogue = LoveDA().prepare(tmp_path / "LoveDA", tmp_path / "target").catalogue
    assert [scene.image.stem for scene in catalogue] == ["rural_1", "urban_0", "urban_2"]
    for scene in catalogue:
        number = scene.image.stem[-1]
        with rasterio.open(scene.label) as label, rasterio.open(scene.image) as image:
            codes = label.read(1)
            with rasterio.open(crops / "ann_dir" / f"{number}.png") as mask:
                published = mask.read(1).astype(int)
            assert np.array_equal(codes, np.where(published == 0, NODATA, published - 1))
            with rasterio.open(crops / "img_dir" / f"{number}.png") as picture:
                assert np.array_equal(image.read(), picture.read())
