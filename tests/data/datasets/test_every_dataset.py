"""What holds for every published dataset that needs no options."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rasterio.enums import ColorInterp

from rsseg.data import read_catalogue
from rsseg.data.datasets import DATASETS, published
from rsseg.data.datasets.gid import VALIDATION, Gid
from rsseg.data.datasets.potsdam import Potsdam
from rsseg.data.datasets.vaihingen import Vaihingen
from rsseg.errors import CatalogueError, LegendError, OptionError, RssegError, SceneError
from rsseg.geo.class_raster import read_legend
from rsseg.legend import NODATA
from rsseg_cli import prepare as cli
from rsseg_cli.main import main

NAMES = sorted(cli.DATASETS)
WITH_OPTIONS = ("alpine", "folder", "gaofen1", "torchgeo")
OTHER_LAYOUT = ("dubai",)
"""Datasets of which no file can be there twice, as their names are unique in one folder."""

each = pytest.mark.parametrize("name", NAMES)
Miniature = Callable[[str, Path], list[Any]]


@each
def test_a_miniature_becomes_a_catalogue(name: str, miniature: Miniature, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    expected = miniature(name, source)
    progress: list[tuple[int, int]] = []
    prepared = published(name).prepare(
        source, target, on_progress=lambda *done: progress.append(done)
    )
    assert progress == [(i + 1, len(expected)) for i in range(len(expected))]
    assert read_catalogue(target / "catalogue.csv") == prepared.catalogue
    assert [(s.image, s.label, s.split, s.group) for s in prepared.catalogue] == [
        (target / f"{p.name}.tif", target / f"{p.name}_label.tif", p.split, p.group)
        for p in expected
    ]
    assert {path.name for path in target.iterdir()} == {"catalogue.csv"} | {
        path.name for scene in prepared.catalogue for path in (scene.image, scene.label)
    }


@each
def test_pictures_are_kept_and_grids_agree(name: str, miniature: Miniature, tmp_path: Path) -> None:
    expected = miniature(name, tmp_path / "source")
    dataset = published(name)
    catalogue = dataset.prepare(tmp_path / "source", tmp_path / "target").catalogue
    for scene, original in zip(catalogue, expected, strict=True):
        grid = scene.grid()  # refuses an image and a label on different grids
        with rasterio.open(scene.image) as image, rasterio.open(original.image) as picture:
            assert np.array_equal(image.read(), picture.read())
            assert (grid.transform, grid.crs) == (picture.transform, picture.crs)
            assert image.descriptions == dataset.band_names(original.image)
            assert ColorInterp.alpha not in image.colorinterp
            assert image.profile["tiled"]


@each
def test_labels_are_decoded_pixel_by_pixel(
    name: str,
    miniature: Miniature,
    meanings: Mapping[str, Mapping[Any, str | None]],
    tmp_path: Path,
) -> None:
    expected = miniature(name, tmp_path / "source")
    dataset = published(name)
    catalogue = dataset.prepare(tmp_path / "source", tmp_path / "target").catalogue
    seen = set()
    for scene, original in zip(catalogue, expected, strict=True):
        with rasterio.open(scene.label) as label:
            codes = label.read(1).tolist()
            assert (label.count, label.dtypes[0], label.nodata) == (1, "uint8", NODATA)
            assert read_legend(label) == dataset.legend
        with rasterio.open(original.label) as label:
            values = np.moveaxis(label.read(), 0, -1).tolist()
        for row, line in enumerate(values):
            for column, value in enumerate(line):
                meaning = meanings[name][tuple(value) if len(value) > 1 else value[0]]
                found = dataset.legend.by_code(codes[row][column])
                assert (found.name if found else None) == meaning
                assert found is not None or codes[row][column] == NODATA
                seen.add(meaning)
    assert set(dataset.legend.names) <= seen


@each
def test_no_group_is_in_two_splits(name: str, miniature: Miniature, tmp_path: Path) -> None:
    miniature(name, tmp_path / "source")
    catalogue = published(name).prepare(tmp_path / "source", tmp_path / "target").catalogue
    splits = defaultdict(set)
    for scene in catalogue:
        splits[scene.group].add(scene.split)
    assert all(len(where) == 1 for where in splits.values())
    assert {"train", "val"} <= set(catalogue.splits)


@each
def test_the_command_does_the_same(name: str, miniature: Miniature, tmp_path: Path) -> None:
    miniature(name, tmp_path / "source")
    ours = published(name).prepare(tmp_path / "source", tmp_path / "ours")
    theirs = tmp_path / "theirs"
    arguments = ["prepare", name, str(tmp_path / "source"), str(theirs), "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["scenes"] == {s: len(ours.catalogue.split(s)) for s in ours.catalogue.splits}
    assert data["left_out"] == list(ours.left_out)
    files = sorted(path.name for path in theirs.iterdir())
    assert files == sorted(path.name for path in (tmp_path / "ours").iterdir())
    for file in files:
        assert (theirs / file).read_bytes() == (tmp_path / "ours" / file).read_bytes()


@each
@pytest.mark.parametrize("there", [True, False])
def test_an_empty_folder_is_refused_with_layout_and_home(
    name: str, there: bool, tmp_path: Path
) -> None:
    source, dataset = tmp_path / "source", published(name)
    if there:
        source.mkdir()
    with pytest.raises(CatalogueError) as caught:
        dataset.prepare(source, tmp_path / "target")
    for words in (str(source), dataset.title, dataset.layout, dataset.home):
        assert " ".join(words.split()) in str(caught.value)
    assert str(caught.value).startswith(f"{source} is not" if there else "there is no folder")
    assert not (tmp_path / "target").exists()


@each
def test_what_is_not_there_is_noted_with_where_to_get_it(
    name: str, miniature: Miniature, tmp_path: Path
) -> None:
    dataset, expected = published(name), miniature(name, tmp_path / "source")
    splits = [picture.split for picture in expected]
    lacking = [
        f"{splits.count(split):,} of {number:,} {split}" for split, number in dataset.whole.items()
    ]
    notes = dataset.prepare(tmp_path / "source", tmp_path / "target").notes
    if lacking:
        assert notes[0].startswith(f"not all pictures are there: {', '.join(lacking)}; get the")
        assert notes[0].endswith(dataset.home)
    else:
        assert not notes


def test_a_whole_dataset_is_not_noted(
    miniature: Miniature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = Counter(picture.split for picture in miniature("vaihingen", tmp_path / "source"))
    monkeypatch.setattr(Vaihingen, "whole", dict(splits))
    assert Vaihingen().prepare(tmp_path / "source", tmp_path / "target").notes == ()


def test_wholes_are_those_of_the_split() -> None:
    """Tiles to train and to validate on, as they are listed; no tile is listed twice."""
    for kind in (Vaihingen, Potsdam):
        listed = {"train": len(set(kind.train)), "val": len(set(kind.validation))}
        assert kind.whole == listed
        assert set(kind.train).isdisjoint(kind.validation)
    assert Gid.whole == {"train": 150 - len(VALIDATION), "val": len(VALIDATION)}


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _paint(value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(pixels: np.ndarray) -> np.ndarray:
        pixels[:, 5:, 7:] = value
        return pixels

    return change


Faults = Mapping[str, tuple[Callable[..., object], type[RssegError], str]]
FAULTS: Faults = {
    "truncated picture": (lambda p, _: _truncate(p.image), SceneError, "{image}.*damaged"),
    "truncated label": (lambda p, _: _truncate(p.label), SceneError, "{label}.*damaged"),
    "missing label": (lambda p, _: p.label.unlink(), CatalogueError, "{image} has no "),
    "unknown value": (
        lambda p, repaint: repaint(p.label, _paint(77)),
        LegendError,
        r"{label} has [\d,]+ pixels of unknown .*77.* at row 5, column 7",
    ),
    "label of another size": (
        lambda p, repaint: repaint(p.label, lambda pixels: pixels[:, 1:]),
        CatalogueError,
        r"{label} has \d+ x \d+ pixels, expected \d+ x \d+ as .*{image}",
    ),
    "label of another kind": (
        lambda p, repaint: repaint(p.label, lambda pixels: np.repeat(pixels[:1], 2, axis=0)),
        CatalogueError,
        "{label} has 2 bands, expected",
    ),
    "picture of another kind": (
        lambda p, repaint: repaint(p.image, lambda pixels: pixels[:1]),
        CatalogueError,
        "{image} has 1 bands, expected .*red",
    ),
}


@each
@pytest.mark.parametrize("fault", FAULTS)
def test_one_clear_error_and_no_catalogue(
    name: str, fault: str, miniature: Miniature, repaint: Any, tmp_path: Path
) -> None:
    expected = miniature(name, tmp_path / "source")
    target = tmp_path / "target"
    published(name).prepare(tmp_path / "source", target)
    assert (target / "catalogue.csv").exists()
    spoil, error, words = FAULTS[fault]
    picture = expected[0]
    spoil(picture, repaint)
    files = {"image": picture.image.name, "label": picture.label.name}
    with pytest.raises(error, match=words.format(**files)):
        published(name).prepare(tmp_path / "source", target)
    result = CliRunner().invoke(main, ["prepare", name, str(tmp_path / "source"), str(target)])
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    if fault != "missing label":  # found before anything is written
        assert not (target / "catalogue.csv").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_target_that_cannot_be_a_folder_is_refused(
    place: str, miniature: Miniature, tmp_path: Path
) -> None:
    miniature("dubai", tmp_path / "source")
    (tmp_path / "file").write_text("mine")
    arguments = ["prepare", "dubai", str(tmp_path / "source"), str(tmp_path / place)]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert f"the folder {tmp_path / place} cannot be made" in result.stderr
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OTHER_LAYOUT])
def test_files_that_are_there_twice_are_refused(
    name: str, miniature: Miniature, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    image = miniature(name, source)[0].image
    twin = image.with_suffix(image.suffix.upper())
    shutil.copyfile(image, twin)
    with pytest.raises(CatalogueError, match=rf"{twin.name} and .*{image.name} are both"):
        published(name).prepare(source, tmp_path / "target")
    twin.unlink()
    twin = source / "copy" / image.relative_to(source)
    twin.parent.mkdir(parents=True)
    shutil.copyfile(image, twin)
    with pytest.raises(CatalogueError, match=r"are both|would both become|/copy/.* has no label"):
        published(name).prepare(source, tmp_path / "target")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OTHER_LAYOUT])
def test_deeper_and_differently_written_folders_are_found(
    name: str, miniature: Miniature, tmp_path: Path
) -> None:
    expected = miniature(name, tmp_path / "unpacked" / "twice")
    (tmp_path / "unpacked" / "__MACOSX").mkdir()
    for folder in sorted((tmp_path / "unpacked" / "twice").iterdir()):
        folder.rename(folder.with_name(folder.name.swapcase()))
    catalogue = published(name).prepare(tmp_path / "unpacked", tmp_path / "target").catalogue
    assert [scene.image.stem for scene in catalogue] == [picture.name for picture in expected]
    assert [scene.split for scene in catalogue] == [picture.split for picture in expected]


@each
def test_a_dataset_says_what_it_is(name: str) -> None:
    dataset = published(name)
    for text in (dataset.title, dataset.home, dataset.layout, dataset.licence):
        assert text.strip()
    assert len({tuple(each.colour) for each in dataset.legend}) == len(dataset.legend)
    assert type(dataset).__doc__


def test_the_command_line_has_every_dataset() -> None:
    own = {name for name, command in cli.command.commands.items() if name not in cli.DATASETS}
    assert own <= set(WITH_OPTIONS)
    assert set(cli.DATASETS) == set(DATASETS) - set(WITH_OPTIONS)
    assert set(DATASETS) <= set(cli.command.commands)


def test_there_are_no_other_datasets() -> None:
    with pytest.raises(OptionError, match=r"no dataset 'mars', expected .*vaihingen.*, got 'mars'"):
        published("mars")


def test_datasets_are_prepared_without_torch(miniature: Miniature, tmp_path: Path) -> None:
    miniature("loveda", tmp_path / "source")
    program = (
        "import sys; from rsseg.data.datasets import published;"
        f"published('loveda').prepare({str(tmp_path / 'source')!r}, {str(tmp_path / 'to')!r});"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
