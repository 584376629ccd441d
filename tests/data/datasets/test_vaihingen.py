"""ISPRS Vaihingen: releases, splits, eroded labels, and a real crop."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from rsseg.data.datasets.vaihingen import Vaihingen
from rsseg.errors import CatalogueError, LegendError
from rsseg.geo.class_raster import read_legend
from rsseg.legend import NODATA

COMPLETE = "ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE"
ERODED = "ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE"
TILES = (
    *(1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22, 23, 24, 26, 27, 28, 29),
    *(30, 31, 32, 33, 34, 35, 37, 38),
)


def tile(number: int) -> str:
    return f"top_mosaic_09cm_area{number}"


@pytest.fixture
def all_tiles(write: Any, tmp_path: Path) -> Path:
    """All 33 tiles of four pixels with full labels, which are building."""
    pixels = np.zeros((3, 2, 2), np.uint8)
    building = pixels + np.array([0, 0, 255], np.uint8)[:, None, None]
    for number in TILES:
        write(tmp_path / "source" / "top" / f"{tile(number)}.tif", pixels)
        write(tmp_path / "source" / COMPLETE / f"{tile(number)}.tif", building)
    return tmp_path / "source"


def test_the_split_is_that_of_the_literature(all_tiles: Path, tmp_path: Path) -> None:
    prepared = Vaihingen().prepare(all_tiles, tmp_path / "target")
    found = {
        split: {int(scene.group) for scene in prepared.catalogue.split(split)}
        for split in prepared.catalogue.splits
    }
    assert found["train"] == {1, 3, 5, 7, 13, 17, 21, 23, 26, 32, 37}
    assert found["val"] == {11, 15, 28, 30, 34}
    assert found["test"] == set(TILES) - found["train"] - found["val"]
    assert (len(found["test"]), prepared.left_out) == (17, ())
    assert [int(scene.group) for scene in prepared.catalogue] == sorted(TILES)


def test_the_first_release_leaves_the_test_tiles_out(all_tiles: Path, tmp_path: Path) -> None:
    first = all_tiles / "gts_for_participants"
    (all_tiles / COMPLETE).rename(first)
    unlabelled = [n for n in TILES if str(n) not in Vaihingen.train + Vaihingen.validation]
    for number in unlabelled:
        (first / f"{tile(number)}.tif").unlink()
    prepared = Vaihingen().prepare(all_tiles, tmp_path / "target")
    assert len(prepared.catalogue) == 16
    assert prepared.left_out == tuple(f"{tile(n)}.tif: no label" for n in unlabelled)
    (first / f"{tile(30)}.tif").unlink()
    with pytest.raises(CatalogueError, match=r"area30\.tif has no label, expected .*get it from"):
        Vaihingen().prepare(all_tiles, tmp_path / "target")


def test_the_newest_release_is_taken(all_tiles: Path, write: Any, tmp_path: Path) -> None:
    old = np.full((3, 2, 2), 255, np.uint8)
    write(all_tiles / "gts_for_participants" / f"{tile(1)}.tif", old)
    scene = Vaihingen().prepare(all_tiles, tmp_path / "target").catalogue.scenes[0]
    with rasterio.open(scene.label) as label:
        assert set(label.read().flat) == {1}


def test_labels_unpacked_beside_the_pictures_are_found(all_tiles: Path, tmp_path: Path) -> None:
    for label in (all_tiles / COMPLETE).iterdir():
        label.rename(all_tiles / label.name)
    assert len(Vaihingen().prepare(all_tiles.parent, tmp_path / "target").catalogue) == 33


def test_a_label_without_a_picture_is_refused(all_tiles: Path, tmp_path: Path) -> None:
    (all_tiles / "top" / f"{tile(5)}.tif").unlink()
    with pytest.raises(CatalogueError, match=r"area5\.tif has no picture"):
        Vaihingen().prepare(all_tiles, tmp_path / "target")


def test_pictures_alone_are_refused(all_tiles: Path, tmp_path: Path) -> None:
    shutil.rmtree(all_tiles / COMPLETE)
    with pytest.raises(CatalogueError, match=rf"area1\.tif has no label, expected .*{COMPLETE}"):
        Vaihingen().prepare(all_tiles, tmp_path / "target")


def test_eroded_labels_are_written_beside_the_full_ones(
    miniature: Any, write: Any, tmp_path: Path
) -> None:
    published = miniature("vaihingen", tmp_path / "source")
    first = published[0]
    with rasterio.open(first.label) as label:
        pixels = label.read()
    pixels[:, ::3] = 0
    write(tmp_path / "source" / ERODED / f"{first.name}_noBoundary.tif", pixels)
    catalogue = Vaihingen().prepare(tmp_path / "source", tmp_path / "target").catalogue
    scene = catalogue.scenes[0]
    assert [s.label.name for s in catalogue if s.label.name.endswith("eroded.tif")] == []
    assert not (tmp_path / "target" / f"{published[1].name}_label_eroded.tif").exists()
    written = tmp_path / "target" / f"{first.name}_label_eroded.tif"
    with rasterio.open(scene.label) as full, rasterio.open(written) as eroded:
        expected = full.read(1)
        assert NODATA not in expected
        expected[::3] = NODATA
        assert np.array_equal(eroded.read(1), expected)
        assert (eroded.transform, eroded.crs) == (full.transform, full.crs)
        assert read_legend(eroded) == Vaihingen.legend


@pytest.mark.parametrize("eroded", [False, True])
def test_black_stands_in_eroded_labels_alone(eroded: bool, write: Any, tmp_path: Path) -> None:
    black = np.zeros((3, 4, 4), np.uint8)
    ending = "_noBoundary" if eroded else ""
    path = write(tmp_path / f"{tile(1)}{ending}.tif", black)
    if eroded:
        assert set(Vaihingen().codes(path).flat) == {NODATA}
    else:
        with pytest.raises(LegendError, match=r"16 pixels of unknown .*\(0, 0, 0\) at row 0"):
            Vaihingen().codes(path)


def test_eroded_labels_of_another_size_are_refused(
    miniature: Any, write: Any, tmp_path: Path
) -> None:
    first = miniature("vaihingen", tmp_path / "source")[0]
    write(
        tmp_path / "source" / ERODED / f"{first.name}_noBoundary.tif", np.zeros((3, 4, 4), np.uint8)
    )
    with pytest.raises(CatalogueError, match=r"noBoundary\.tif has 4 x 4 pixels, expected 37 x 29"):
        Vaihingen().prepare(tmp_path / "source", tmp_path / "target")
    assert list((tmp_path / "target").iterdir()) == []


def test_a_real_crop(real_data: Path, write: Any, tmp_path: Path) -> None:
    """512 x 512 pixels of area 1, whose label comes as numbers 0-6 with eroded boundaries as 0."""
    crop = real_data / "formats" / "tests" / "data" / "pseudo_vaihingen_dataset"
    with rasterio.open(crop / "img_dir" / "area1_0_0_512_512.png") as image:
        pixels = image.read()
    with rasterio.open(crop / "ann_dir" / "area1_0_0_512_512.png") as label:
        numbers = label.read(1)
    colours = np.array([(0, 0, 0), *(c.colour for c in Vaihingen.legend)], np.uint8)
    write(tmp_path / "source" / "top" / f"{tile(1)}.tif", pixels)
    for folder, ending, shown in (
        (ERODED, "_noBoundary", numbers),
        (COMPLETE, "", np.where(numbers == 0, 1, numbers)),
    ):
        label = np.moveaxis(colours[shown], -1, 0)
        write(tmp_path / "source" / folder / f"{tile(1)}{ending}.tif", label)
    scene = Vaihingen().prepare(tmp_path / "source", tmp_path / "target").catalogue.scenes[0]
    with rasterio.open(scene.label.with_stem(f"{tile(1)}_label_eroded")) as label:
        assert np.array_equal(label.read(1), np.where(numbers == 0, NODATA, numbers - 1))
    with rasterio.open(scene.image) as image:
        assert image.descriptions == ("nir", "red", "green")
        nir, red, _ = image.read().astype(float)
    tree = numbers == 4
    ndvi = (nir - red) / (nir + red + 1)
    assert ndvi[tree].mean() > ndvi[numbers == 1].mean() + 0.1  # so the first band is infrared
