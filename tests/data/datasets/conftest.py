"""Miniatures of the published datasets: few small pictures in their real layouts on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

DRIVERS = {".tif": "GTiff", ".png": "PNG", ".jpg": "JPEG"}

ISPRS = {
    (255, 255, 255): "impervious surfaces",
    (0, 0, 255): "building",
    (0, 255, 255): "low vegetation",
    (0, 255, 0): "tree",
    (255, 255, 0): "car",
    (255, 0, 0): "clutter",
}

MEANINGS: Mapping[str, Mapping[Any, str | None]] = {
    "dubai": {
        (60, 16, 152): "building",
        (132, 41, 246): "land",
        (110, 193, 228): "road",
        (254, 221, 58): "vegetation",
        (226, 169, 41): "water",
        (155, 155, 155): None,
    },
    "vaihingen": ISPRS,
    "potsdam": ISPRS,
    "gid": {
        (255, 0, 0): "built-up",
        (0, 255, 0): "farmland",
        (0, 255, 255): "forest",
        (255, 255, 0): "meadow",
        (0, 0, 255): "water",
        (0, 0, 0): None,
    },
    "gid15": {
        (200, 0, 0): "industrial land",
        (250, 0, 150): "urban residential",
        (200, 150, 150): "rural residential",
        (250, 150, 150): "traffic land",
        (0, 200, 0): "paddy field",
        (150, 250, 0): "irrigated land",
        (150, 200, 150): "dry cropland",
        (200, 0, 200): "garden plot",
        (150, 0, 250): "arbor woodland",
        (150, 150, 250): "shrub land",
        (250, 200, 0): "natural grassland",
        (200, 200, 0): "artificial grassland",
        (0, 0, 200): "river",
        (0, 150, 200): "lake",
        (0, 200, 250): "pond",
        (0, 0, 0): None,
    },
    "loveda": dict(
        enumerate(
            (None, "background", "building", "road", "water", "barren", "forest", "agriculture")
        )
    ),
    "cityscapes": {
        0: None,
        1: None,
        4: None,
        7: "road",
        8: "sidewalk",
        9: None,
        11: "building",
        12: "wall",
        13: "fence",
        14: None,
        17: "pole",
        18: None,
        19: "traffic light",
        20: "traffic sign",
        21: "vegetation",
        22: "terrain",
        23: "sky",
        24: "person",
        25: "rider",
        26: "car",
        27: "truck",
        28: "bus",
        30: None,
        31: "train",
        32: "motorcycle",
        33: "bicycle",
    },
}
"""What each value of a published label means, None for unlabelled, as the authors say."""


@dataclass(frozen=True)
class Published:
    """A picture of a miniature and what must become of it.

    Args:
        image: The picture as published.
        label: Its label as published.
        name: Stem of the files that it becomes.
        split: Split that it belongs to.
        group: Group that it belongs to.
    """

    image: Path
    label: Path
    name: str
    split: str
    group: str


def _write(path: Path, pixels: np.ndarray, **profile: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(path, "w", driver=DRIVERS[path.suffix], **shape, **profile) as target:
        target.write(pixels)
    return path


def _noise(bands: int, seed: int, shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (bands, *shape), dtype=np.uint8)


def _label(name: str, seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Any values that the dataset's labels may hold, ``(1 or 3, h, w)``."""
    values = np.array([np.atleast_1d(value) for value in MEANINGS[name]], dtype=np.uint8)
    drawn = np.random.default_rng(seed + 100).integers(0, len(values), shape)
    return np.moveaxis(values[drawn], -1, 0)


def _dubai(source: Path) -> list[Published]:
    rows = [("tile1_part_001", "train"), ("tile1_part_002", "train"), ("tile2_part_001", "val")]
    return [
        Published(
            _write(source / "images" / f"{name}.jpg", _noise(3, i, (30, 41))),
            _write(source / "masks" / f"{name}.png", _label("dubai", i, (30, 41))),
            name,
            split,
            name.partition("_")[0],
        )
        for i, (name, split) in enumerate(rows)
    ]


def _vaihingen(source: Path) -> list[Published]:
    grid = {"transform": Affine(0.09, 0, 497_000, 0, -0.09, 5_420_000), "crs": "EPSG:32632"}
    truth = source / "ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE"
    rows = [("1", "train"), ("37", "train"), ("11", "val"), ("2", "test")]
    found = []
    for i, (tile, split) in enumerate(rows):
        name, shape = f"top_mosaic_09cm_area{tile}", (37 + i, 29)
        image = _write(source / "top" / f"{name}.tif", _noise(3, i, shape), **grid)
        label = _write(truth / f"{name}.tif", _label("vaihingen", i, shape))
        _write(source / "dsm" / f"dsm_09cm_matching_area{tile}.tif", _noise(1, i, shape), **grid)
        found.append(Published(image, label, name, split, tile))
    return sorted(found, key=lambda each: int(each.group))


def _potsdam(source: Path) -> list[Published]:
    grid = {"transform": Affine(0.05, 0, 366_677, 0, -0.05, 5_808_896), "crs": "EPSG:32633"}
    rows = [("2_10", "train"), ("2_11", "val"), ("2_13", "test"), ("7_12", "train")]
    found = []
    for i, (tile, split) in enumerate(rows):
        stem = f"top_potsdam_{tile}"
        pixels = _noise(4, i, (40, 40))
        image = _write(source / "4_Ortho_RGBIR" / f"{stem}_RGBIR.tif", pixels, **grid)
        _write(source / "2_Ortho_RGB" / f"{stem}_RGB.tif", pixels[:3], **grid)
        label = source / "5_Labels_all" / f"{stem}_label.tif"
        _write(label, _label("potsdam", i, (40, 40)), **grid)
        found.append(Published(image, label, image.stem, split, tile))
    return found


def _gid(source: Path, name: str = "gid", labels: str = "label_5classes") -> list[Published]:
    scenes = {
        "gid": {
            "GF2_PMS1__L1A0000564539-MSS1": "train",
            "GF2_PMS1__L1A0001064454-MSS1": "val",
            "GF2_PMS2__L1A0000607677-MSS2": "val",
            "GF2_PMS2__L1A0000635115-MSS2": "train",
        },
        "gid15": {
            "GF2_PMS1__L1A0001064454-MSS1": "train",
            "GF2_PMS1__L1A0001118839-MSS1": "train",
            "GF2_PMS1__L1A0001395956-MSS1": "train",
            "GF2_PMS1__L1A0001680858-MSS1": "train",
            "GF2_PMS2__L1A0000718813-MSS2": "val",
        },
    }[name]
    found = []
    for i, (scene, split) in enumerate(scenes.items()):
        pixels = _noise(4, i, (34, 36))
        image = _write(source / "image_NirRGB" / f"{scene}.tif", pixels)
        _write(source / "image_RGB" / f"{scene}.tif", pixels[1:])
        label = _write(source / labels / f"{scene}_label.tif", _label(name, i, (34, 36)))
        found.append(Published(image, label, scene, split, scene))
    return found


def _gid15(source: Path) -> list[Published]:
    return _gid(source, "gid15", "label_15classes")


def _loveda(source: Path) -> list[Published]:
    rows = [("Train", "Rural", 7), ("Train", "Urban", 1366), ("Val", "Rural", 2522)]
    found = []
    for split, domain, number in rows:
        folder = source / split / domain
        image = _write(folder / "images_png" / f"{number}.png", _noise(3, number, (32, 32)))
        label = folder / "masks_png" / f"{number}.png"
        _write(label, _label("loveda", number, (32, 32)))
        name, group = f"{domain.lower()}_{number}", f"{split.lower()}_{domain.lower()}"
        found.append(Published(image, label, name, split.lower(), group))
    _write(source / "Test" / "Urban" / "images_png" / "5000.png", _noise(3, 0, (32, 32)))
    return sorted(found, key=lambda each: each.name.startswith("urban"))


def _cityscapes(source: Path) -> list[Published]:
    rows = [("train", "aachen", 0), ("train", "hanover", 19), ("val", "frankfurt", 294)]
    found = []
    for split, town, frame in rows:
        name = f"{town}_000000_{frame:06}"
        image = source / "leftImg8bit" / split / town / f"{name}_leftImg8bit.png"
        label = source / "gtFine" / split / town / f"{name}_gtFine_labelIds.png"
        _write(image, _noise(3, frame, (16, 32)))
        _write(label, _label("cityscapes", frame, (16, 32)))
        _write(label.with_name(f"{name}_gtFine_color.png"), _noise(4, frame, (16, 32)))
        found.append(Published(image, label, name, split, town))
    test = source / "leftImg8bit" / "test" / "berlin"
    _write(test / "berlin_000000_000019_leftImg8bit.png", _noise(3, 0, (16, 32)))
    return found


MINIATURES: Mapping[str, Callable[[Path], list[Published]]] = {
    "dubai": _dubai,
    "vaihingen": _vaihingen,
    "potsdam": _potsdam,
    "gid": _gid,
    "gid15": _gid15,
    "loveda": _loveda,
    "cityscapes": _cityscapes,
}


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """A function that writes pixels ``(B, h, w)`` to a path, in the format that its name tells."""
    return _write


@pytest.fixture(scope="session")
def miniature() -> Callable[[str, Path], list[Published]]:
    """A function that lays out a dataset's miniature in a folder, and tells what must come of it.

    Pictures are told in the order of the catalogue.
    """
    return lambda name, source: MINIATURES[name](source)


@pytest.fixture(scope="session")
def meanings() -> Mapping[str, Mapping[Any, str | None]]:
    """By dataset, the class name that each value of a label means, None for unlabelled."""
    return MEANINGS


@pytest.fixture(scope="session")
def repaint() -> Callable[..., None]:
    """A function that changes the pixels ``(B, h, w)`` of a file in place, by a function."""

    def change(path: Path, by: Callable[[np.ndarray], np.ndarray]) -> None:
        with rasterio.open(path) as dataset:
            pixels = dataset.read()
        path.unlink()
        _write(path, by(pixels))

    return change
