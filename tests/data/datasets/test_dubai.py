import numpy as np
import pytest
import rasterio

from rsseg.data.datasets.dubai import VALIDATION_TILES, Dubai
from rsseg.data.tables import read_catalogue
from rsseg.errors import CatalogueError, LegendError
from rsseg.geo.class_raster import read_legend
from rsseg.legend import LAND_COVER, NODATA

PUBLISHED = {
    (0x3C, 0x10, 0x98): "building",
    (0x84, 0x29, 0xF6): "land",
    (0x6E, 0xC1, 0xE4): "road",
    (0xFE, 0xDD, 0x3A): "vegetation",
    (0xE2, 0xA9, 0x29): "water",
    (0x9B, 0x9B, 0x9B): None,
}
"""Colours in the dataset's own classes.json."""


def _picture(source, name, mask, *, paletted=False):
    """An image and its mask, ``(h, w)`` of indices into PUBLISHED, as the authors publish them."""
    for folder in ("images", "masks"):
        (source / folder).mkdir(parents=True, exist_ok=True)
    height, width = mask.shape
    size = {"height": height, "width": width}
    image = np.random.default_rng(0).integers(0, 255, (3, height, width), dtype=np.uint8)
    with rasterio.open(
        source / "images" / f"{name}.jpg", "w", driver="JPEG", count=3, dtype="uint8", **size
    ) as target:
        target.write(image)
    colours = np.array(list(PUBLISHED), np.uint8)
    with rasterio.open(
        source / "masks" / f"{name}.png",
        "w",
        driver="PNG",
        count=1 if paletted else 3,
        dtype="uint8",
        **size,
    ) as target:
        if paletted:
            target.write(mask, 1)
            target.write_colormap(1, {i: (*map(int, c), 255) for i, c in enumerate(colours)})
        else:
            target.write(np.moveaxis(colours[mask], -1, 0))


def _mask(seed=0, height=30, width=41):
    return np.random.default_rng(seed).integers(0, 6, (height, width), dtype=np.uint8)


def _expected(mask):
    codes = {name: LAND_COVER.names.index(name) for name in LAND_COVER.names} | {None: NODATA}
    return np.array([codes[name] for name in PUBLISHED.values()], np.uint8)[mask]


def test_a_miniature_becomes_a_catalogue(tmp_path):
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    names = ["tile1_part_001", "tile1_part_002", f"tile{VALIDATION_TILES[0]}_part_001"]
    for number, name in enumerate(names):
        _picture(source, name, _mask(number), paletted=number == 1)
    progress = []
    catalogue = (
        Dubai().prepare(source, target, on_progress=lambda *done: progress.append(done)).catalogue
    )

    assert progress == [(1, 3), (2, 3), (3, 3)]
    assert read_catalogue(target / "catalogue.csv") == catalogue
    assert [(scene.split, scene.group) for scene in catalogue] == [
        ("train", "tile1"),
        ("train", "tile1"),
        ("val", f"tile{VALIDATION_TILES[0]}"),
    ]
    for number, scene in enumerate(catalogue):
        grid = scene.grid()
        assert (grid.height, grid.width) == (30, 41)
        with rasterio.open(scene.label) as label:
            assert np.array_equal(label.read(1), _expected(_mask(number)))
            assert label.nodata == NODATA
            assert read_legend(label) == LAND_COVER
        picture = source / "images" / f"{names[number]}.jpg"
        with rasterio.open(scene.image) as image, rasterio.open(picture) as original:
            assert np.array_equal(image.read(), original.read())


def test_unknown_colours_are_refused_by_file(tmp_path):
    _picture(tmp_path, "tile1_part_001", _mask())
    with rasterio.open(tmp_path / "masks" / "tile1_part_001.png") as mask:
        pixels = mask.read()
    pixels[:, 3, 4] = (1, 2, 3)
    with rasterio.open(
        tmp_path / "masks" / "tile1_part_001.png",
        "w",
        driver="PNG",
        count=3,
        dtype="uint8",
        height=30,
        width=41,
    ) as mask:
        mask.write(pixels)
    with pytest.raises(LegendError, match=r"tile1_part_001\.png .*\(1, 2, 3\) at row 3, column 4"):
        Dubai().prepare(tmp_path, tmp_path / "target")
    assert not (tmp_path / "target" / "catalogue.csv").exists()


def test_missing_masks_are_refused_by_file(tmp_path):
    _picture(tmp_path, "tile1_part_001", _mask())
    (tmp_path / "masks" / "tile1_part_001.png").unlink()
    with pytest.raises(CatalogueError, match=r"tile1_part_001\.jpg has no mask, expected .*\.png"):
        Dubai().prepare(tmp_path, tmp_path / "target")


def test_masks_of_another_size_are_refused(tmp_path):
    _picture(tmp_path, "tile1_part_001", _mask())
    _picture(tmp_path / "other", "tile1_part_001", _mask(height=29))
    small = tmp_path / "other" / "masks" / "tile1_part_001.png"
    small.replace(tmp_path / "masks" / "tile1_part_001.png")
    with pytest.raises(CatalogueError, match=r"tile1_part_001\.png has 29 x 41 pixels"):
        Dubai().prepare(tmp_path, tmp_path / "target")


def test_names_without_a_tile_and_other_folders_are_refused(tmp_path):
    with pytest.raises(CatalogueError, match="not the Dubai dataset.*images/.*masks/.*get it from"):
        Dubai().prepare(tmp_path, tmp_path / "target")
    assert not (tmp_path / "target").exists()
    _picture(tmp_path, "holiday", _mask())
    with pytest.raises(CatalogueError, match=r"holiday\.jpg does not tell its tile"):
        Dubai().prepare(tmp_path, tmp_path / "target")


@pytest.mark.slow
def test_the_real_dataset(real_data, tmp_path):
    catalogue = Dubai().prepare(real_data / "dubai_mbrsc", tmp_path).catalogue
    assert len(catalogue) == 54
    groups = {name: {s.group for s in catalogue.split(name)} for name in catalogue.splits}
    assert not groups["train"] & groups["val"]
    assert groups["val"] == {f"tile{tile}" for tile in VALIDATION_TILES}
    seen = set()
    for scene in catalogue.split("val"):
        scene.grid()
        with rasterio.open(scene.label) as label:
            seen |= set(np.unique(label.read(1)).tolist())
    assert set(range(5)) <= seen <= {*range(5), NODATA}
