"""``rsseg split``: a catalogue split anew, or one line why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from affine import Affine
from click.testing import CliRunner, Result

from rsseg.data import Catalogue, LabelledScene, read_catalogue, write_catalogue
from rsseg_cli.main import main


def split(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["split", *map(str, arguments)])


@pytest.fixture
def table(tmp_path: Path, make_scene: Callable[..., Path]) -> Path:
    rows = []
    for number in range(5):
        place = Affine(0.5, 0, 400_000 + 1000 * number, 0, -0.5, 5_000_000)
        image, label = (
            make_scene(f"{number}{kind}.tif", bands=1, transform=place) for kind in ("i", "l")
        )
        rows.append(LabelledScene(image, label, "all", f"town{number // 2}"))
    write_catalogue(tmp_path / "all.csv", Catalogue(tuple(rows)))
    return tmp_path / "all.csv"


@pytest.mark.parametrize("suffix", ["csv", "gpkg"])
def test_groups_are_split_whole(table: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"split.{suffix}"
    result = split(table, "--out", out, "--shares", "train=0.5, val=0.5", "--json")
    assert result.exit_code == 0, result.stderr
    catalogue = read_catalogue(out)
    assert json.loads(result.stdout)["rows"] == {
        name: len(catalogue.split(name)) for name in ("train", "val")
    }
    towns = {name: {s.group for s in catalogue.split(name)} for name in catalogue.splits}
    assert not towns["train"] & towns["val"]


def test_a_split_without_rows_is_noted(table: Path, tmp_path: Path) -> None:
    result = split(table, "--out", tmp_path / "s.csv", "--shares", "a=0.4,b=0.3,c=0.2,d=0.1")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == "note: the split 'd' is empty: there are too few groups\n"


def test_groups_that_overlap_on_the_ground_are_noted(
    tmp_path: Path, make_scene: Callable[..., Path]
) -> None:
    rows = []
    for number in range(2):
        image, label = (make_scene(f"{number}{kind}.tif", bands=1) for kind in ("i", "l"))
        rows.append(LabelledScene(image, label, "all", f"town{number}"))
    write_catalogue(tmp_path / "all.csv", Catalogue(tuple(rows)))
    shares = ("--shares", "a=0.5,b=0.5")
    result = split(tmp_path / "all.csv", "--out", tmp_path / "s.csv", *shares)
    assert result.exit_code == 0
    assert result.stderr.startswith("note: the splits 'a' and 'b' share ground: ")
    said = json.loads(
        split(tmp_path / "all.csv", "--out", tmp_path / "t.csv", *shares, "--json").stdout
    )
    assert result.stderr == f"note: {said['notes'][0]}\n"


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (("--by", "block", "--size", 32, "--gap", 4), 20),
        (("--by", "crops", "--size", 32, "--stride", 16), 45),
    ],
)
def test_parts_of_scenes(
    table: Path, tmp_path: Path, arguments: tuple[object, ...], rows: int
) -> None:
    result = split(table, "--out", tmp_path / "split.csv", *arguments)
    assert result.exit_code == 0, result.stderr
    catalogue = read_catalogue(tmp_path / "split.csv")
    assert len(catalogue) == rows
    assert all(scene.window is not None for scene in catalogue)
    for scene in catalogue:
        scene.grid()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--shares", "train=0.8"), "sum to 1"),
        (("--shares", "train:1"), "--shares cannot be read, expected train=0.8,val=0.2"),
        (("--shares", "=1"), "--shares cannot be read"),
        (("--shares", "train=1,"), "a list has an empty name"),
        (("--shares", "train=.5,train=.5"), "--shares has the split 'train' twice"),
        (("--by", "block", "--size", 9), "--by block needs --gap"),
        (("--by", "block"), "--by block needs --size and --gap"),
        (("--gap", 9), "--by group has no --gap"),
    ],
)
def test_wrong_options_leave_nothing(
    table: Path, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    result = split(table, "--out", tmp_path / "split.csv", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "split.csv").exists()
