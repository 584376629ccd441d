"""``rsseg recipes``: what there is, what it says, and copies that train."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from rsseg.training.shipped import merged_values, read_values, shipped
from rsseg_cli.main import main


def recipes(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["recipes", *map(str, arguments)])


def listed(*arguments: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(recipes("list", *arguments, "--json").stdout)[
        "recipes"
    ]
    return rows


def test_the_list_has_every_recipe_on_a_line() -> None:
    lines = recipes("list").stdout.splitlines()
    names = [line.split()[0] for line in lines[1 : len(shipped()) + 1]]
    assert names == list(shipped())
    [line] = [line for line in lines if line.startswith("npa-vaihingen")]
    for part in ("fcn-resnet101", " npa ", "data/vaihingen", "The NPALoss paper"):
        assert part in line
    columns = {line.index(word) for line, word in zip(lines, ("network", "mst-"), strict=False)}
    assert len(columns) == 1, "the columns are aligned"


def test_rows_name_the_variants() -> None:
    rows = {row["name"]: row for row in listed()}
    assert rows.keys() == shipped().keys()
    for name, file in shipped().items():
        assert rows[name]["variants"] == list(read_values(file).get("variants") or {})
        assert rows[name]["title"] == read_values(file)["title"]
    assert rows["landcover"]["network"] == "mst-deeplabv3plus"
    assert rows["landcover"]["loss"] == "cl"


def test_the_variants_of_one_are_listed_as_they_are_trained() -> None:
    rows = {row["name"]: row for row in listed("npa-vaihingen")}
    assert list(rows) == list(read_values(shipped()["npa-vaihingen"])["variants"])
    assert rows["fcn-weighted"]["loss"] == "cross-entropy (weighted)"
    assert rows["deeplabv3-npa"]["network"] == "deeplabv3-resnet101"
    text = recipes("list", "npa-vaihingen").stdout
    assert all(name in text for name in rows)
    rows = {row["name"]: row for row in listed("mst-gid")}
    assert (rows["mst"]["start"], rows["mst-random"]["start"]) == ("imagenet", None)
    assert "random" in recipes("list", "mst-gid").stdout


def test_a_recipe_is_shown_as_it_stands() -> None:
    for name, file in shipped().items():
        result = recipes("show", name)
        assert result.exit_code == 0
        assert result.stdout == file.read_text(encoding="utf-8").rstrip() + "\n"
        assert json.loads(recipes("show", name, "--json").stdout)["recipe"] == read_values(file)


def test_a_variant_is_shown_with_its_values_in_place() -> None:
    name = "npa-vaihingen:pspnet-cross-entropy"
    values = merged_values(name)
    assert yaml.safe_load(recipes("show", name).stdout) == values
    assert json.loads(recipes("show", name, "--json").stdout)["recipe"] == values
    assert values["model"]["name"] == "pspnet-resnet101"
    assert "variants" not in values


def test_a_copy_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = recipes("copy", "alpine")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "rsseg train alpine.yaml" in result.stdout
    text = shipped()["alpine"].read_text(encoding="utf-8")
    assert Path("alpine.yaml").read_text(encoding="utf-8") == text
    Path("mine").mkdir()
    assert json.loads(recipes("copy", "alpine", "mine", "--json").stdout) == {
        "path": "mine/alpine.yaml"
    }
    assert recipes("copy", "alpine", "mine/other.yaml").exit_code == 0
    assert merged_values("mine/other.yaml:unet-iou") == merged_values("alpine:unet-iou")


def test_a_copy_of_a_variant_reads_as_the_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert recipes("copy", "alpine:unet-iou").exit_code == 0
    assert merged_values("alpine-unet-iou.yaml") == merged_values("alpine:unet-iou")


def test_a_file_that_is_there_is_kept_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("precious", encoding="utf-8")
    result = recipes("copy", "alpine", path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "already there; add --overwrite" in result.stderr
    assert path.read_text(encoding="utf-8") == "precious"
    assert recipes("copy", "alpine", path, "--overwrite").exit_code == 0
    assert path.read_bytes() == shipped()["alpine"].read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "alpin"), "there is no recipe alpin, expected a file or landcover"),
        (("list", "alpin"), "there is no recipe alpin"),
        (("copy", "alpin"), "there is no recipe alpin"),
        (("show", "alpine:unet-iuo"), "no variant 'unet-iuo', expected unet-iou"),
        (("copy", "alpine", "no/such/folder.yaml"), "there is no folder no/such; make it first"),
        (("show", "ODD"), "is not a recipe"),
        (("list", "ODD"), "is not a recipe"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(
    arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ODD").write_text("[1, 2]", encoding="utf-8")
    result = recipes(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1, result.exception
    assert words in result.stderr


def test_a_recipe_is_not_replaced_by_a_copy_of_its_variant(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    assert recipes("copy", "alpine", path).exit_code == 0
    result = recipes("copy", f"{path}:unet-iou", path, "--overwrite")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "would replace its own input" in result.stderr
    assert path.read_bytes() == shipped()["alpine"].read_bytes()


def test_sections_that_are_none_do_not_break_the_list(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text("model: 3\nvariants: {a: {loss: 4}}\n", encoding="utf-8")
    assert recipes("list", path).exit_code == 0


def test_without_a_yaml_reader_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "yaml" else there(name)
    )
    result = recipes("list")
    assert result.exit_code == 1
    assert result.stderr == "Error: PyYAML is not installed; pip install 'rsseg[train]'\n"


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys\n"
        "from rsseg_cli.main import main\n"
        "main(['recipes', 'list', 'alpine'], standalone_mode=False)\n"
        "print([n for n in ('torch', 'pydantic', 'numpy', 'rasterio') if n in sys.modules])\n"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.splitlines()[-1] == "[]"
