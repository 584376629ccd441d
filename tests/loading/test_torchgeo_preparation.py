"""torchgeo's own datasets, in their real layouts, written as scenes and catalogues."""

import json
import re

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image

from rsseg.data import RandomWindows, read_catalogue
from rsseg.data.datasets.class_tables import read_classes
from rsseg.legend import NODATA
from rsseg.loading import WindowDataset
from rsseg_cli.main import main

ISPRS = ((255, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0))
"""Colours by torchgeo's class index."""

quiet = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
pytestmark = quiet


def prepare(*arguments):
    return CliRunner().invoke(main, ["prepare", "torchgeo", *map(str, arguments)])


def save(path, pixels):
    """Pixels ``(h, w)`` or ``(B, h, w)`` in the format of the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    if path.suffix == ".tif":
        count, height, width = pixels.shape
        shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
        with rasterio.open(path, "w", driver="GTiff", **shape) as target:
            target.write(pixels)
    else:
        Image.fromarray(np.moveaxis(pixels, 0, -1).squeeze()).save(path)


def pictures(values, bands=3, side=(20, 24), seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (bands, *side), np.uint8), generator.choice(values, side)


@pytest.fixture
def isprs(tmp_path):
    def make(image, label, tiles, bands=3):
        truth = {}
        for number, tile in enumerate(tiles):
            pixels, classes = pictures(range(6), bands, seed=number)
            save(tmp_path / "source" / image.format(tile), pixels)
            colours = np.moveaxis(np.array(ISPRS, np.uint8)[classes], -1, 0)
            save(tmp_path / "source" / label.format(tile), colours)
            truth[tile] = pixels, classes
        return tmp_path / "source", truth

    return make


def written(target):
    """Pixels, codes and split of each row."""
    found = []
    for row in read_catalogue(target / "catalogue.csv"):
        with rasterio.open(row.image) as image, rasterio.open(row.label) as label:
            found.append((image.read(), label.read(1), row.split))
    return found


@pytest.mark.parametrize(
    ("name", "image", "label", "tiles", "bands"),
    [
        (
            "Vaihingen2D",
            "top/top_mosaic_09cm_area{}.tif",
            "top_mosaic_09cm_area{}.tif",
            {"1": "train", "6": "test"},
            3,
        ),
        (
            "Potsdam2D",
            "4_Ortho_RGBIR/top_potsdam_{}_RGBIR.tif",
            "top_potsdam_{}_label.tif",
            {"2_10": "train", "5_15": "test"},
            4,
        ),
    ],
)
def test_isprs(isprs, tmp_path, name, image, label, tiles, bands):
    source, truth = isprs(image, label, tiles, bands)
    result = prepare(name, source, tmp_path / "target", "--bands", ",".join("abcd"[:bands]))
    assert result.exit_code == 0, result.stderr
    found = written(tmp_path / "target")
    assert [split for *_, split in found] == list(tiles.values())
    for (pixels, codes, _), (expected, classes) in zip(found, truth.values(), strict=True):
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, expected)
        assert np.array_equal(codes, classes)
    legend = read_classes(str(tmp_path / "target" / "classes.csv")).legend
    assert [each.colour for each in legend] == list(ISPRS)
    catalogue = read_catalogue(tmp_path / "target" / "catalogue.csv")
    data = WindowDataset(catalogue, RandomWindows(8, 4), legend=legend, bands=("b", "a"))
    assert data[0]["image"].shape == (2, 8, 8)


def test_gid15_whose_test_masks_are_withheld(tmp_path):
    source, truth = tmp_path / "source", {}
    for split in ("train", "val", "test"):
        truth[split] = pictures(range(16), seed=len(split))
        save(source / "GID" / "img_dir" / split / f"{split}_0.tif", truth[split][0])
        if split != "test":
            mask = truth[split][1].astype(np.uint8)
            save(source / "GID" / "ann_dir" / split / f"{split}_0_15label.png", mask)
    result = prepare("GID15", source, tmp_path / "target", "--unlabelled", 0, "--json")
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["scenes"] == {"train": 1, "val": 1}
    assert said["left_out"] == ["split 'test': 1 picture without masks"]
    assert "0 unlabelled, 1 industrial_land" in said["notes"][0]
    for pixels, codes, split in written(tmp_path / "target"):
        assert np.array_equal(pixels, truth[split][0])
        classes = truth[split][1]
        assert np.array_equal(codes, np.where(classes == 0, NODATA, classes))


@pytest.fixture
def loveda(tmp_path):
    """Masks of LoveDA hold 1-7, and 0 where there is no data."""
    truth = []
    for split in ("Train", "Val"):
        for number, domain in enumerate(("Rural", "Urban")):
            pixels, classes = pictures(range(8), seed=number)
            folder = tmp_path / "source" / split / domain
            save(folder / "images_png" / "1.png", pixels)
            save(folder / "masks_png" / "1.png", classes.astype(np.uint8))
            truth.append((pixels, classes))
    return tmp_path / "source", truth


def test_loveda_with_the_classes_of_its_masks(loveda, tmp_path):
    source, truth = loveda
    result = prepare("LoveDA", source, tmp_path / "target")
    assert result.exit_code == 0, result.stderr
    assert "0 unlabelled, 1 background, 2 building" in result.stderr
    legend = read_classes(str(tmp_path / "target" / "classes.csv")).legend
    assert [(each.code, each.name) for each in legend][::6] == [
        (1, "background"),
        (7, "agriculture"),
    ]
    found = written(tmp_path / "target")
    assert [split for *_, split in found] == ["train", "train", "val", "val"]
    for (pixels, codes, _), (expected, classes) in zip(found, truth, strict=True):
        assert np.array_equal(pixels, expected)
        assert np.array_equal(codes, np.where(classes == 0, NODATA, classes))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--classes", "a,b,c"), 1, "holds [3-7], expected 0, 1, 2, 255; name its class in --cl"),
        (("--classes", "a,b", "--unlabelled", 1), 2, "the value 1 is a class and unlabelled"),
        (("--bands", "nir"), 2, "has 3 bands, expected the names of so many, not nir"),
        (("--dtype", "int8"), 2, "cannot be written in that type, expected uint8, uint16, float32"),
    ],
)
def test_wrong_options_are_one_line(loveda, tmp_path, arguments, code, message):
    result = prepare("LoveDA", loveda[0], tmp_path / "target", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert len(result.stderr.splitlines()) == 1
    assert re.search(message, result.stderr)
    assert not (tmp_path / "target" / "catalogue.csv").exists()


def test_a_missing_mask_is_one_line(loveda, tmp_path):
    (loveda[0] / "Val" / "Urban" / "masks_png" / "1.png").unlink()
    result = prepare("LoveDA", loveda[0], tmp_path / "target")
    assert result.exit_code == 1
    assert re.search(
        r"picture 1 of the split 'val' of LoveDA cannot be read: .*1\.png", result.stderr
    )
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("Nonsense", 2, "torchgeo has no dataset of pictures 'Nonsense'"),
        ("Vaihingn2D", 2, "GID15; did you mean Vaihingen2D?"),
        ("RasterDataset", 2, "torchgeo has no dataset of pictures 'RasterDataset'"),
        ("GID15", 1, "is not torchgeo's GID15"),
        ("EuroSAT", 1, "is not torchgeo's EuroSAT"),
    ],
)
def test_what_is_no_such_dataset_is_refused(tmp_path, name, code, message):
    result = prepare(name, tmp_path, tmp_path / "target")
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
