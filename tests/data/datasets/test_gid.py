"""GID's large-scale set: the split by scene, bands, stray colours, and real patches."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from rsseg.data.datasets.gid import STRAYS, Gid
from rsseg.errors import CatalogueError, LegendError
from rsseg.legend import NODATA

HELD_OUT = {
    "PMS1": (1064454, 1118839, 1344822, 1348919, 1366278, 1366284, 1395956, 1432972, 1670888)
    + (1680857, 1680858, 1757429, 1765574),
    "PMS2": (607677, 607681, 718813, 1038935, 1038936, 1119060, 1367840, 1378491, 1378501, 1396036)
    + (1396037, 1416129, 1471436, 1517494, 1591676, 1787564, 1821754),
}
"""Test scenes in the authors' own readme of Five-Billion-Pixels, by sensor."""


def scene(number: int) -> str:
    return f"GF2_PMS1__L1A{number:010}-MSS1"


def test_thirty_scenes_are_held_out_whatever_else_is_there() -> None:
    held = [
        f"GF2_{sensor}__L1A{number:010}-MSS{sensor[-1]}"
        for sensor, numbers in HELD_OUT.items()
        for number in numbers
    ]
    others = [scene(number) for number in range(1, 121)]
    assert (len(held), set(held) & set(others)) == (30, set())
    splits = Gid().splits(sorted(held + others))
    assert list(splits) == sorted(held + others)
    assert [name for name, split in splits.items() if split == "val"] == sorted(held)
    assert set(Gid().splits(others).values()) == {"train"}


def test_every_scene_is_its_own_group(miniature: Any, tmp_path: Path) -> None:
    published = miniature("gid", tmp_path / "source")
    catalogue = Gid().prepare(tmp_path / "source", tmp_path / "target").catalogue
    assert len({row.group for row in catalogue}) == len(published)


def test_pictures_without_infrared_serve_too(miniature: Any, tmp_path: Path) -> None:
    source = tmp_path / "Large-scale Classification_5classes"
    miniature("gid", source)
    four = Gid().prepare(source, tmp_path / "four").catalogue
    shutil.rmtree(source / "image_NirRGB")
    three = Gid().prepare(source, tmp_path / "three").catalogue
    for rich, poor in zip(four, three, strict=True):
        with rasterio.open(rich.image) as nrgb, rasterio.open(poor.image) as rgb:
            assert nrgb.descriptions == ("nir", "red", "green", "blue")
            assert rgb.descriptions == ("red", "green", "blue")
            assert np.array_equal(nrgb.read([2, 3, 4]), rgb.read())
        assert rich.label.read_bytes() == poor.label.read_bytes()


@pytest.mark.parametrize("folder", ["image_NirRGB", "label_5classes"])
def test_scenes_of_which_half_is_missing_are_refused(
    folder: str, miniature: Any, tmp_path: Path
) -> None:
    first = miniature("gid", tmp_path / "source")[0]
    lost = first.image if folder == "image_NirRGB" else first.label
    kept, lacking = (first.label, "picture") if folder == "image_NirRGB" else (first.image, "label")
    lost.unlink()
    with pytest.raises(CatalogueError, match=rf"{kept.name} has no {lacking}, .*get it from http"):
        Gid().prepare(tmp_path / "source", tmp_path / "target")


def test_few_stray_colours_are_left_unlabelled_and_many_are_refused(
    write: Any, tmp_path: Path
) -> None:
    pixels = np.zeros((3, 100, 100), np.uint8)
    pixels[0] = 255
    allowed = int(STRAYS * 10_000)
    pixels[:, 40, :allowed] = np.array([(14,), (11,), (11,)])
    codes = Gid().codes(write(tmp_path / "few_label.tif", pixels))
    expected = np.zeros((100, 100))
    expected[40, :allowed] = NODATA
    assert np.array_equal(codes, expected)
    dataset = Gid()
    dataset.codes(tmp_path / "few_label.tif")
    assert dataset.notes == [f"few_label.tif: {allowed} pixels of unknown colours left unlabelled"]
    pixels[:, 60, 5] = (255, 0, 3)
    with pytest.raises(LegendError, match=rf"{allowed + 1} pixels .*\(14, 11, 11\) at row 40, col"):
        Gid().codes(write(tmp_path / "many_label.tif", pixels))


def test_stray_colours_are_noted_once_for_each_run(
    miniature: Any, repaint: Any, tmp_path: Path
) -> None:
    first = miniature("gid", tmp_path / "source")[0]

    def stray(pixels: np.ndarray) -> np.ndarray:
        pixels[:, 3, 4] = (255, 0, 3)
        return pixels

    repaint(first.label, stray)
    dataset = Gid()
    for target in ("one", "two"):
        prepared = dataset.prepare(tmp_path / "source", tmp_path / target)
        strays = [note for note in prepared.notes if "unknown" in note]
        assert strays == [f"{first.label.name}: 1 pixel of unknown colours left unlabelled"]
        with rasterio.open(prepared.catalogue.scenes[0].label) as label:
            assert label.read(1)[3, 4] == NODATA


def test_real_patches_as_scenes(real_data: Path, write: Any, tmp_path: Path) -> None:
    """Patches of 224 x 224 pixels, whose labels come as numbers with 5 for unlabelled."""
    colours = np.array([*(c.colour for c in Gid.legend), (0, 0, 0)], np.uint8)
    numbers, source = {}, tmp_path / "source"
    for number, kind in enumerate(("builtup", "farmland", "forest", "meadow", "water")):
        label = sorted((real_data / "gid_mtl5" / "label_gray" / kind).glob("*.tif"))[0]
        image = real_data / "gid_mtl5" / "image" / kind / label.name
        with rasterio.open(image) as dataset:
            write(source / "image_RGB" / f"{scene(number)}.tif", dataset.read())
        with rasterio.open(label) as dataset:
            numbers[scene(number)] = dataset.read(1)
        shown = np.moveaxis(colours[numbers[scene(number)]], -1, 0)
        write(source / "label_5classes" / f"{scene(number)}_label.tif", shown)
    for row in Gid().prepare(source, tmp_path / "target").catalogue:
        with rasterio.open(row.label) as label:
            expected = numbers[row.group]
            assert np.array_equal(label.read(1), np.where(expected == 5, NODATA, expected))
