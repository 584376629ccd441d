"""ISPRS Potsdam: pictures, splits, inexact colours, eroded labels, and a real crop."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from rsseg.data.datasets.isprs import COLOURS
from rsseg.data.datasets.potsdam import Potsdam
from rsseg.errors import CatalogueError, LegendError
from rsseg.legend import NODATA

TRAIN = [*(f"{r}_{c}" for r in (2, 3, 4, 5) for c in (10, 11, 12))]
TRAIN += [f"{r}_{c}" for r in (6, 7) for c in (7, 8, 9, 10, 11, 12)]
TEST = ["2_13", "2_14", "3_13", "3_14", "4_13", "4_14", "4_15", "5_13", "5_14", "5_15"]
TEST += ["6_13", "6_14", "6_15", "7_13"]


def test_the_split_keeps_to_the_contest() -> None:
    """24 tiles were labelled from the start, 14 were the test."""
    dataset = Potsdam()
    assert (len(TRAIN), len(TEST)) == (24, 14)
    assert {*dataset.train, *dataset.validation} == set(TRAIN)
    assert (len(dataset.train), len(dataset.validation)) == (17, 7)
    assert {dataset.split(tile) for tile in TEST} == {"test"}


def test_the_picture_with_most_bands_is_taken(miniature: Any, write: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    published = miniature("potsdam", source)
    irrg = np.zeros((3, 40, 40), np.uint8)
    for picture in published:
        write(source / "3_Ortho_IRRG" / f"top_potsdam_{picture.group}_IRRG.tif", irrg)
    for folder, bands in (
        ("4_Ortho_RGBIR", ("red", "green", "blue", "nir")),
        ("2_Ortho_RGB", ("red", "green", "blue")),
        ("3_Ortho_IRRG", ("nir", "red", "green")),
    ):
        target = tmp_path / folder
        catalogue = Potsdam().prepare(source, target).catalogue
        assert len(catalogue) == len(published)
        for scene in catalogue:
            with rasterio.open(scene.image) as image:
                assert image.descriptions == bands
                assert image.res == (0.05, 0.05) or folder == "3_Ortho_IRRG"
        shutil.rmtree(source / folder)
    with pytest.raises(CatalogueError, match="has no picture"):
        Potsdam().prepare(source, tmp_path / "none")


@pytest.mark.parametrize("tile", ["4_12", "6_7"])
def test_inexact_colours_count_in_the_two_known_tiles(
    tile: str, write: Any, tmp_path: Path
) -> None:
    """Against each pixel's own search for a class within the tolerance."""
    rng = np.random.default_rng(0)
    colours = np.array(list(COLOURS.values()))
    exact = colours[rng.integers(0, 6, (20, 30))]
    pixels = np.clip(exact + rng.integers(-130, 131, exact.shape), 0, 255).astype(np.uint8)
    pixels[0, :2] = [(9, 222, 221), (252, 255, 0)]
    path = write(tmp_path / f"top_potsdam_{tile}_label.tif", np.moveaxis(pixels, -1, 0))
    codes = Potsdam().codes(path)
    for row, line in enumerate(pixels.astype(int).tolist()):
        for column, pixel in enumerate(line):
            near = [
                code
                for code, colour in enumerate(COLOURS.values())
                if all(abs(a - b) <= 80 for a, b in zip(pixel, colour, strict=True))
            ]
            assert codes[row, column] == (near[0] if near else NODATA)
            assert len(near) <= 1
    assert codes[0, :2].tolist() == [2, 4]
    assert 0.1 < (codes == NODATA).mean() < 0.9


@pytest.mark.parametrize("name", ["2_10_label", "6_7_copy", "14_12_label", "4_12_RGB"])
def test_inexact_colours_are_refused_elsewhere(name: str, write: Any, tmp_path: Path) -> None:
    pixels = np.zeros((3, 4, 5), np.uint8)
    pixels[2] = 255
    pixels[:, 2, 3] = (252, 255, 0)
    path = write(tmp_path / f"top_potsdam_{name}.tif", pixels)
    with pytest.raises(LegendError, match=r"1 pixel .*\(252, 255, 0\) at row 2, column 3"):
        Potsdam().codes(path)


def test_eroded_labels_are_written_too(miniature: Any, write: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    miniature("potsdam", source)
    white = np.full((3, 40, 40), 255, np.uint8)
    white[:, :, 3:7] = 0
    for tile in ("2_10", "7_12"):
        path = source / "5_Labels_all_noBoundary" / f"top_potsdam_{tile}_label_noBoundary.tif"
        write(path, white)
    Potsdam().prepare(source, tmp_path / "target")
    found = sorted(path.name for path in (tmp_path / "target").glob("*_eroded.tif"))
    assert found == [f"top_potsdam_{tile}_RGBIR_label_eroded.tif" for tile in ("2_10", "7_12")]
    with rasterio.open(tmp_path / "target" / found[0]) as eroded:
        codes = eroded.read(1)
        assert eroded.crs == "EPSG:32633"
    assert set(codes[:, 3:7].flat) == {NODATA}
    assert set(np.delete(codes, range(3, 7), axis=1).flat) == {0}


def test_the_first_release_leaves_the_test_tiles_out(miniature: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    miniature("potsdam", source)
    (source / "5_Labels_all").rename(source / "5_Labels_for_participants")
    (source / "5_Labels_for_participants" / "top_potsdam_2_13_label.tif").unlink()
    prepared = Potsdam().prepare(source, tmp_path / "target")
    assert prepared.left_out == ("top_potsdam_2_13_RGBIR.tif: no label",)
    assert prepared.catalogue.splits == ("train", "val")


def test_a_real_crop(real_data: Path, write: Any, tmp_path: Path) -> None:
    """512 x 512 pixels of tile 2_10, whose label comes as numbers 0-6, eroded boundaries as 0."""
    crop = real_data / "formats" / "tests" / "data" / "pseudo_potsdam_dataset"
    with rasterio.open(crop / "img_dir" / "2_10_0_0_512_512.png") as image:
        pixels = image.read()
    with rasterio.open(crop / "ann_dir" / "2_10_0_0_512_512.png") as label:
        numbers = label.read(1)
    colours = np.array([(0, 0, 0), *COLOURS.values()], np.uint8)
    source = tmp_path / "Potsdam"
    write(source / "2_Ortho_RGB" / "top_potsdam_2_10_RGB.tif", pixels)
    for folder, ending, shown in (
        ("5_Labels_all_noBoundary", "_noBoundary", numbers),
        ("5_Labels_all", "", np.where(numbers == 0, 3, numbers)),
    ):
        label = np.moveaxis(colours[shown], -1, 0)
        write(source / folder / f"top_potsdam_2_10_label{ending}.tif", label)
    scene = Potsdam().prepare(source, tmp_path / "target").catalogue.scenes[0]
    with rasterio.open(scene.label.with_stem(scene.label.stem + "_eroded")) as label:
        assert np.array_equal(label.read(1), np.where(numbers == 0, NODATA, numbers - 1))
    with rasterio.open(scene.image) as image:
        assert np.array_equal(image.read(), pixels)
