"""Cityscapes: trainIds, given or derived, and a real picture."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from rsseg.data.datasets.cityscapes import LABEL_IDS, Cityscapes
from rsseg.errors import CatalogueError, LegendError


def test_train_ids_are_taken_where_they_were_made(
    miniature: Any, write: Any, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    published = miniature("cityscapes", source)
    derived = Cityscapes().prepare(source, tmp_path / "derived").catalogue
    for picture, scene in zip(published, derived, strict=True):
        made = picture.label.with_name(f"{picture.name}_gtFine_labelTrainIds.png")
        with rasterio.open(scene.label) as label:
            write(made, label.read())
        if picture is not published[0]:
            picture.label.unlink()
    pairs = Cityscapes().pairs(source)
    assert all(pair.label.name.endswith("labelTrainIds.png") for pair in pairs)
    given = Cityscapes().prepare(source, tmp_path / "given").catalogue
    for one, other in zip(derived, given, strict=True):
        assert one.label.read_bytes() == other.label.read_bytes()


def test_withheld_labels_are_reported(miniature: Any, tmp_path: Path) -> None:
    miniature("cityscapes", tmp_path / "source")
    prepared = Cityscapes().prepare(tmp_path / "source", tmp_path / "target")
    assert prepared.left_out == ("test: 1 picture with labels withheld",)
    assert prepared.catalogue.splits == ("train", "val")


def test_archives_unpacked_side_by_side_are_found(miniature: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    published = miniature("cityscapes", source)
    for kind, archive in (
        ("leftImg8bit", "leftImg8bit_trainvaltest"),
        ("gtFine", "gtFine_trainvaltest"),
    ):
        (source / archive).mkdir()
        (source / kind).rename(source / archive / kind)
    catalogue = Cityscapes().prepare(source, tmp_path / "target").catalogue
    assert len(catalogue) == len(published)


def test_a_label_without_its_picture_is_refused(miniature: Any, tmp_path: Path) -> None:
    miniature("cityscapes", tmp_path / "source")[0].image.unlink()
    with pytest.raises(CatalogueError, match=r"aachen.*_labelIds\.png has no picture"):
        Cityscapes().prepare(tmp_path / "source", tmp_path / "target")


@pytest.mark.parametrize(("kind", "unknown"), [("labelIds", 34), ("labelTrainIds", 19)])
def test_unknown_ids_are_refused(kind: str, unknown: int, write: Any, tmp_path: Path) -> None:
    numbers = np.full((1, 6, 7), 0, np.uint8)
    numbers[0, 5, 1] = unknown
    path = write(tmp_path / f"a_000000_000000_gtFine_{kind}.png", numbers)
    with pytest.raises(LegendError, match=rf"got {unknown} at row 5, column 1"):
        Cityscapes().codes(path)


def test_there_are_nineteen_classes() -> None:
    assert len(LABEL_IDS) == len(set(LABEL_IDS)) == len(Cityscapes.legend) == 19
    assert Cityscapes.legend.codes.tolist() == list(range(19))


def test_a_real_picture(real_data: Path, tmp_path: Path) -> None:
    """Derived trainIds are those that the dataset's own script made of the same labels.

    This crop is a picture reduced to an eighth, ids and trainIds each on its own, so they differ
    along some edges.
    """
    crop = real_data / "formats" / "tests" / "data" / "pseudo_cityscapes_dataset"
    source = tmp_path / "source"
    shutil.copytree(crop, source)
    made = next(source.rglob("*_labelTrainIds.png"))
    with rasterio.open(made) as label:
        expected = label.read(1)
    given = Cityscapes().prepare(source, tmp_path / "given").catalogue.scenes[0]
    made.unlink()
    derived = Cityscapes().prepare(source, tmp_path / "derived").catalogue.scenes[0]
    assert (given.split, given.group) == ("val", "frankfurt")
    with rasterio.open(given.label) as label:
        assert np.array_equal(label.read(1), expected)
    with rasterio.open(derived.label) as label:
        codes = label.read(1)
    assert (codes == expected).mean() > 0.997
    assert set(codes.flat) == set(expected.flat)
    for code in set(codes.flat):
        values, counts = np.unique(expected[codes == code], return_counts=True)
        assert values[counts.argmax()] == code
