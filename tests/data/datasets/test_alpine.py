"""The alpine dataset, in miniatures of its layout."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from rsseg.data import read_catalogue
from rsseg.data.datasets.alpine import BLACK, BLOCK, FREQUENT, SHARES, SPLITS, STRIDE, Alpine
from rsseg.errors import CatalogueError, GridMismatch, LegendError, OptionError, RssegError
from rsseg.geo.class_raster import read_legend
from rsseg.geo.grid import Grid
from rsseg.legend import NODATA
from rsseg_cli.main import main
from rsseg_cli.prepare import alpine as command

Write = Callable[..., Path]
SIDE = 8
"""Pixels along an image here; 400 in the dataset."""
PLACE = {"transform": Affine(0.5, 0, 2_559_500, 0, -0.5, 1_102_700), "crs": "EPSG:2056"}


def _image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (3, SIDE, SIDE), dtype=np.uint8)


def _codes(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 8, (1, SIDE // 2, SIDE // 2), dtype=np.uint8)


@pytest.fixture
def alpine(write: Write, tmp_path: Path) -> Callable[..., Path]:
    """A function that lays out images of the given names, and the published lists."""

    def lay_out(names: dict[str, str], *, lists: bool = True, **profile: Any) -> Path:
        source = tmp_path / "ipeo_data"
        for number, name in enumerate(names):
            write(source / "rgb" / f"{name}_rgb.tif", _image(number), **profile)
            label = dict(profile)
            if "transform" in label:
                label["transform"] = label["transform"] @ Affine.scale(STRIDE)
            write(source / "alpine_label" / f"{name}_label.tif", _codes(number), **label)
        if lists:
            (source / "splits").mkdir()
            for split in SHARES:
                listed = [name for name in names if names[name] == split]
                (source / "splits" / f"{split}.csv").write_text("".join(f"{n}\n" for n in listed))
        return source

    return lay_out


NAMES = {
    "25595_11025": "val",
    "25597_11025": "train",
    "25599_11025": "train",
    "25601_11027": "test",
}


def test_images_and_their_coarser_labels_are_kept(
    alpine: Callable[..., Path], tmp_path: Path
) -> None:
    source = alpine(NAMES, **PLACE)
    prepared = Alpine().prepare(source, tmp_path / "target")
    assert read_catalogue(tmp_path / "target" / "catalogue.csv") == prepared.catalogue
    assert {scene.image.stem: scene.split for scene in prepared.catalogue} == NAMES
    assert (prepared.left_out, prepared.notes) == ((), ())
    for number, name in enumerate(NAMES):
        scene = next(s for s in prepared.catalogue if s.image.stem == name)
        assert scene.group == name
        with rasterio.open(scene.image) as image, rasterio.open(scene.label) as label:
            assert np.array_equal(image.read(), _image(number))
            assert label.read(1).tolist() == _codes(number)[0].tolist()
            assert (label.nodata, read_legend(label)) == (NODATA, Alpine.legend)
            grid = Grid.of(image)
            assert Grid.of(label) == grid.resized((SIDE // STRIDE, SIDE // STRIDE))
            assert label.bounds == image.bounds
        assert scene.grid(label_stride=STRIDE) == grid
        with pytest.raises(GridMismatch):
            scene.grid()


def test_pictures_without_a_place_and_other_types_of_labels_are_taken(
    alpine: Callable[..., Path], write: Write, tmp_path: Path
) -> None:
    source = alpine(NAMES)
    for dtype, name in zip(("int32", "float32", "uint16"), NAMES, strict=False):
        path = source / "alpine_label" / f"{name}_label.tif"
        path.unlink()
        write(path, _codes(7).astype(dtype))
    for scene in Alpine().prepare(source, tmp_path / "target").catalogue.scenes[:3]:
        with rasterio.open(scene.label) as label:
            assert (label.dtypes, label.crs) == (("uint8",), None)
            assert np.array_equal(label.read(), _codes(7))
        assert scene.grid(label_stride=STRIDE).height == SIDE


def test_every_picture_is_listed_or_left_out_with_a_reason(
    alpine: Callable[..., Path], write: Write, tmp_path: Path
) -> None:
    names = dict(NAMES) | {f"25701_{11101 + i}": "train" for i in range(5)}
    source = alpine(names)
    damaged, empty, black, dim, unlisted, *_ = names
    image, label = source / "rgb" / "{}_rgb.tif", source / "alpine_label" / "{}_label.tif"
    path = Path(str(image).format(damaged))
    path.write_bytes(path.read_bytes()[:120])
    Path(str(label).format(empty)).write_bytes(b"")
    for name, share in ((black, BLACK + 0.04), (dim, BLACK - 0.04)):
        pixels = _image()
        pixels.reshape(3, -1)[:, : round(share * SIDE * SIDE)] = 0
        Path(str(image).format(name)).unlink()
        write(Path(str(image).format(name)), pixels)
    for path in (source / "splits").iterdir():
        path.write_text(path.read_text().replace(f"{unlisted}\n", ""))

    prepared = Alpine().prepare(source, tmp_path / "target")
    kept = {scene.image.stem for scene in prepared.catalogue}
    reasons = dict(sentence.split(": ", 1) for sentence in prepared.left_out)
    assert kept | set(reasons) == set(names)
    assert not kept & set(reasons)
    assert set(reasons) == {damaged, empty, black, unlisted}
    assert f"{damaged}_rgb.tif" in reasons[damaged]
    assert f"{empty}_label.tif" in reasons[empty]
    assert reasons[black] == "98 % of the image is black"
    assert reasons[unlisted] == "no split lists it"
    assert {path.stem for path in (tmp_path / "target").glob("*.tif")} == {
        stem for name in kept for stem in (name, f"{name}_label")
    }


def test_only_dominated_training_images_of_the_frequent_classes_are_left_out(
    alpine: Callable[..., Path], write: Write, tmp_path: Path
) -> None:
    names = {f"25595_{11025 + i}": "train" for i in range(9)} | {"25695_11025": "val"}
    source = alpine(names)
    for code, name in enumerate(names):
        path = source / "alpine_label" / f"{name}_label.tif"
        path.unlink()
        codes = np.full((1, 4, 4), min(code, 7), np.uint8)
        codes.ravel()[: 8 if code == 8 else 7] = 3  # exactly half of the last but one is frequent
        write(path, codes)
    everything = Alpine().prepare(source, tmp_path / "all")
    assert len(everything.catalogue) == len(names)
    prepared = Alpine(dominance=0.5).prepare(source, tmp_path / "target")
    gone = [sentence.split(": ")[0] for sentence in prepared.left_out]
    assert gone == [list(names)[Alpine.legend.names.index(name)] for name in FREQUENT]
    assert prepared.left_out[0].endswith("dominated by one class, grass and other 56 %")


def test_blocks_stay_together_in_the_shares_of_the_paper(
    alpine: Callable[..., Path], write: Write, tmp_path: Path
) -> None:
    source = tmp_path / "ipeo_data"
    for folder in ("rgb", "alpine_label"):
        (source / folder).mkdir(parents=True)
    names = [f"{x}_{y}" for x in range(25501, 25581, 2) for y in range(10901, 10981, 2)]
    for name in names:
        (source / "rgb" / f"{name}_rgb.tif").touch()
        (source / "alpine_label" / f"{name}_label.tif").touch()
    pairs = Alpine("blocks").pairs(source)
    assert [pair.name for pair in pairs] == sorted(names)
    assert pairs == Alpine("blocks").pairs(source)
    splits = defaultdict(set)
    for pair in pairs:
        splits[pair.group].add(pair.split)
        x, y = (int(number) // BLOCK for number in pair.name.split("_"))
        assert pair.group == f"block {x}_{y}"
    assert all(len(split) == 1 for split in splits.values())
    largest = max(Counter(pair.group for pair in pairs).values())
    counts = Counter(pair.split for pair in pairs)
    for split, share in SHARES.items():
        assert abs(counts[split] - share * len(pairs)) <= 2 * largest


def test_a_catalogue_by_blocks_needs_no_lists(alpine: Callable[..., Path], tmp_path: Path) -> None:
    source = alpine(NAMES, lists=False)
    prepared = Alpine("blocks").prepare(source, tmp_path / "target")
    assert len(prepared.catalogue) == len(NAMES)
    assert prepared.left_out == ()
    with pytest.raises(CatalogueError, match=r"no list .*train\.csv; .*--splits blocks"):
        Alpine().prepare(source, tmp_path / "other")


def _label(source: Path) -> Path:
    return source / "alpine_label" / "25595_11025_label.tif"


Fault = tuple[Callable[[Path, Write], object], type[RssegError], str]
FAULTS: dict[str, Fault] = {
    "unknown code": (
        lambda s, write: write(_label(s), np.full((1, 4, 4), 8, np.uint8)),
        LegendError,
        r"25595_11025_label\.tif holds the code 8, expected 0-7",
    ),
    "no whole number": (
        lambda s, write: write(_label(s), np.full((1, 4, 4), 1.5, np.float32)),
        LegendError,
        r"holds the code 1\.5",
    ),
    "colours": (
        lambda s, write: write(_label(s), np.zeros((3, 4, 4), np.uint8)),
        LegendError,
        "has 3 bands, expected one band",
    ),
    "label of the image's size": (
        lambda s, write: write(_label(s), np.zeros((1, 8, 8), np.uint8)),
        CatalogueError,
        r"has 8 x 8 pixels, expected 4 x 4, half of .*rgb\.tif",
    ),
    "label elsewhere": (
        lambda s, write: write(_label(s), _codes(), **PLACE),
        GridMismatch,
        r"25595_11025_label\.tif is 4 x 4 pixels of 0\.5 .*half of",
    ),
    "missing label": (lambda s, _: _label(s).unlink(), CatalogueError, "'val' has no label"),
    "missing image": (
        lambda s, _: (s / "rgb" / "25595_11025_rgb.tif").unlink(),
        CatalogueError,
        "25595_11025 of the split 'val' has no image",
    ),
    "listed twice": (
        lambda s, _: (s / "splits" / "test.csv").write_text("25595_11025\n25597_11025\n"),
        CatalogueError,
        r"test\.csv lists 25597_11025, which is in 'train' already",
    ),
    "other names": (
        lambda s, write: write(s / "rgb" / "holiday.tif", _image()),
        CatalogueError,
        r"holiday\.tif does not tell its place, expected X_Y_rgb\.tif",
    ),
    "other bands": (
        lambda s, write: write(s / "rgb" / "25595_11025_rgb.tif", _image()[:1]),
        CatalogueError,
        "has 1 bands, expected red, green, blue",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_clear_error(
    alpine: Callable[..., Path], write: Write, fault: str, tmp_path: Path
) -> None:
    source = alpine(NAMES, **PLACE)
    spoil, error, words = FAULTS[fault]
    spoil(source, write)
    with pytest.raises(error, match=words):
        Alpine().prepare(source, tmp_path / "target")
    assert not (tmp_path / "target" / "catalogue.csv").exists()


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="no splits 'random', expected published or blocks"):
        Alpine("random")
    for share in (0.0, 1.5):
        with pytest.raises(OptionError, match="dominant class"):
            Alpine(dominance=share)
    choices = next(option.type for option in command.params if option.name == "splits")
    assert tuple(choices.choices) == SPLITS  # type: ignore[attr-defined]


def test_the_command(alpine: Callable[..., Path], tmp_path: Path) -> None:
    source, target = alpine(NAMES), tmp_path / "target"
    (source / "rgb" / "25595_11025_rgb.tif").write_bytes(b"")
    result = CliRunner().invoke(main, ["prepare", "alpine", str(source.parent), str(target)])
    assert (result.exit_code, result.stdout) == (0, f"{target}/catalogue.csv: 1 test, 2 train\n")
    assert result.stderr.startswith("note: 25595_11025: ")
    arguments = ["prepare", "alpine", str(source), str(target), "--splits", "blocks"]
    result = CliRunner().invoke(main, [*arguments, "--dominance", "0.01", "--json"])
    data = json.loads(result.stdout)
    assert sum(data["scenes"].values()) + len(data["left_out"]) == len(NAMES)
    assert CliRunner().invoke(main, [*arguments[:-1], "random"]).exit_code == 2
