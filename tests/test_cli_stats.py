"""``rsseg stats``: figures for people, one JSON object, a filtered catalogue, one-line errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from click.testing import CliRunner, Result

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.tables import read_catalogue, write_catalogue
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import NODATA, Legend
from rsseg_cli.main import main

LEGEND = Legend.of({"forest": (0, 99, 0), "rock": (99, 99, 99), "snow": (255, 255, 255)})


def stats(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["stats", *map(str, arguments)])


@pytest.fixture
def table(make_scene: Callable[..., Path], tmp_path: Path) -> Path:
    """Two good training images, a black and a rocky one, and a black one for validation."""
    rows = []
    for name, split, black, codes in (
        ("a", "train", False, [0, 1]),
        ("b", "train", False, [0, 1, 2, NODATA]),
        ("dark", "train", True, [0, 1]),
        ("rocky", "train", False, [1]),
        ("night", "val", True, [0, 2]),
    ):
        options = {"pixels": np.zeros((3, 16, 16), np.uint8)} if black else {"seed": len(rows)}
        image = make_scene(f"images/{name}.tif", height=16, width=16, **options)
        with rasterio.open(image) as dataset:
            grid = Grid.of(dataset)
        label = np.resize(np.array(codes, np.uint8), (1, 16, 16))
        write_raster(tmp_path / f"{name}.tif", label, grid, nodata=NODATA, legend=LEGEND)
        rows.append(LabelledScene(image, tmp_path / f"{name}.tif", split, name))
    path = tmp_path / "catalogue.csv"
    write_catalogue(path, Catalogue(tuple(rows)))
    return path


def test_people_read_tables_and_paste_the_normalisation(table: Path) -> None:
    result = stats(table, "--split", "train")
    assert (result.exit_code, result.stderr) == (0, "")
    text = result.stdout
    assert text.startswith("split train: 4 images, 0.0 Mpx of uint8, 100.00 % valid, 6.25 % unl")
    for words in (["band", "mean", "std", "min", "2 %", "98 %", "max"], ["red"], ["snow", "2"]):
        assert any(line.split()[: len(words)] == words or words[0] in line for line in text.split())
    pasted = text[text.index("normalisation:") : text.index("for the options")]
    normalisation = yaml.safe_load(pasted)["normalisation"]
    data = json.loads(stats(table, "--split", "train", "--json").stdout)
    assert set(normalisation) == {"scale", "mean", "std"}
    for key, values in normalisation.items():
        assert values == pytest.approx(data["normalisation"][key], rel=1e-5)
    line = next(line for line in text.splitlines() if line.startswith("class_weights:"))
    weights = [row["weight"] for row in data["classes"].values()]
    assert yaml.safe_load(line)["class_weights"] == pytest.approx(weights, rel=1e-5)


def test_json_is_one_object_with_all_figures(table: Path) -> None:
    result = stats(table, "--json")
    assert len(result.stdout.splitlines()) == 1
    data = json.loads(result.stdout)
    assert (data["images"], data["pixels"], data["dtype"]) == (5, 5 * 256, "uint8")
    assert data["split"] is None
    assert set(data["bands"]["red"]) == {"mean", "std", "minimum", "maximum", "p2", "p98"}
    rock = data["classes"]["rock"]
    assert (rock["code"], rock["pixels"], rock["images"]) == (1, 128 + 64 + 128 + 256, 4)
    assert rock["share"] == pytest.approx(rock["pixels"] / (5 * 256 - 64))
    assert data["unlabelled_share"] == pytest.approx(64 / (5 * 256))
    assert [Path(name).name for name in data["black"]] == ["dark.tif", "night.tif"]
    (only,) = data["dominated"]
    assert (Path(only["image"]).name, only["class"], only["share"]) == ("rocky.tif", "rock", 1.0)


def test_small_numbers_are_numbers_in_yaml(make_scene: Callable[..., Path], table: Path) -> None:
    """YAML takes 1e-07 without a point for a text."""
    image = make_scene("tiny.tif", pixels=np.full((1, 16, 16), 1e-7, np.float32))
    tiny = table.with_name("tiny.csv")
    row = read_catalogue(table).scenes[0]
    write_catalogue(tiny, Catalogue((LabelledScene(image, row.label, "train", ""),)))
    text = stats(tiny).stdout
    pasted = yaml.safe_load(text[text.index("normalisation:") : text.index("for the options")])
    assert pasted["normalisation"]["mean"] == [pytest.approx(1e-7)]
    assert pasted["normalisation"]["scale"] == [1]


def test_black_and_dominated_images_of_the_split_are_dropped(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "filtered.csv"
    drop = ("--drop-black", "--drop-dominant", "--out", out)
    result = stats(table, "--split", "train", *drop)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith(f"{out}: 3 images, 2 left out\n")
    kept = read_catalogue(out)
    assert [(row.group, row.split) for row in kept] == [
        ("a", "train"),
        ("b", "train"),
        ("night", "val"),  # another split stays whole
    ]
    again = stats(table, "--split", "train", *drop)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "already there; add --overwrite" in again.stderr
    data = json.loads(stats(table, "--drop-black", "--out", out, "--overwrite", "--json").stdout)
    assert (data["out"], data["kept"], data["dropped"]) == (str(out), 3, 2)
    assert [row.group for row in read_catalogue(out)] == ["a", "b", "rocky"]


def test_thresholds_and_classes_of_the_filters_are_kept(table: Path) -> None:
    def dominated(*options: str) -> list[str]:
        rows = json.loads(stats(table, "--json", *options).stdout)["dominated"]
        return [f"{Path(row['image']).stem} {row['class']}" for row in rows]

    assert dominated("--dominant", "0.5") == [
        "a forest",
        "dark forest",
        "rocky rock",
        "night forest",
    ]
    assert dominated("--dominant", "0.5", "--dominant-classes", "snow") == ["night snow"]
    assert dominated("--dominant-classes", "forest") == []


def test_classes_may_be_a_table(table: Path, tmp_path: Path) -> None:
    whole = json.loads(stats(table, "--json").stdout)["classes"]
    lines = [f"{row['code']},the {name}" for name, row in whole.items()]
    (tmp_path / "classes.csv").write_text("\n".join(["code,name", *lines]))
    result = stats(table, "--json", "--classes", tmp_path / "classes.csv")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)["classes"]
    assert found == {f"the {name}": row for name, row in whole.items()}
    result = stats(table, "--classes", tmp_path / "none.csv")
    assert "none.csv cannot be read" in result.stderr


def test_bands_and_classes_are_chosen(table: Path) -> None:
    arguments = ("--bands", "blue,1", "--classes", "trees,bare,2:ice", "--json")
    data = json.loads(stats(table, *arguments).stdout)
    assert list(data["bands"]) == ["blue", "red"]
    assert list(data["classes"]) == ["trees", "bare", "ice"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--bands", "nir"), "no band 'nir'"),
        (("--classes", "one"), "holds the code 1"),
        (("--split", "trains"), "no scene is in the split 'trains', expected train, val"),
        (("--dominant-classes", "ice"), "no class 'ice'"),
        (("--drop-black", "--out", "x/y.csv"), "there is no folder x"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    table: Path, arguments: tuple[str, ...], reason: str
) -> None:
    result = stats(table, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1, result.exception
    assert reason in result.stderr


def test_the_catalogue_itself_is_not_replaced(table: Path) -> None:
    before = table.read_bytes()
    result = stats(table, "--drop-black", "--overwrite", "--out", table)
    assert "would replace its own input" in result.stderr
    assert table.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [(), ("t.csv", "--out", "o.csv"), ("t.csv", "--drop-black"), ("t.csv", "--black", "2")],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    result = stats(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_name_of_no_format_is_wrong_usage_too(table: Path) -> None:
    result = stats(table, "--drop-black", "--out", "y.txt")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "ending in .csv or .gpkg" in result.stderr


@pytest.mark.parametrize("option", ["--bands", "--classes", "--dominant-classes"])
@pytest.mark.parametrize("names", ["", "1,,2", "1,"])
def test_lists_have_no_empty_names(table: Path, option: str, names: str) -> None:
    """A class that is left out would give its number to the next one."""
    result = stats(table, option, names)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"a list has an empty name, expected a,b,c, got '{names}'" in result.stderr
