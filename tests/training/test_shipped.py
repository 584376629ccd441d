"""Recipes as files: found by name, variants merged, without torch."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from rsseg.errors import RecipeError
from rsseg.training.shipped import find_recipe, merged_values, read_values, shipped
from rsseg.training.yaml_text import to_text

TEXT = """
title: base
data: {window: 8, augment: {gamma: 2, hue: 0.1}}
model: {name: one, weights: imagenet, options: {dropout: 0.5, width: 3}}
loss: {name: npa, options: {offset: 0.5}}
variants:
  same:
  other:
    data: {augment: {hue: 0.2}}
    model: {name: two}
    loss: {options: {search_region: 4}}
  named-alike:
    model: {name: one, options: {width: 9}}
  another:
    model: {name: two, options: {depth: 1}}
    trainer: {steps: 3}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_shipped_recipes_go_by_the_name_of_their_file() -> None:
    found = shipped()
    assert list(found)[0] == "landcover"
    assert {"alpine", "lm-cityscapes", "mst-gid", "mst-taikang"} <= found.keys()
    assert {"mst-vaihingen", "npa-vaihingen"} <= found.keys()
    for name, path in found.items():
        assert find_recipe(name) == (path, None)
        assert find_recipe(f"{name}:row") == (path, "row")
        assert path.name == f"{name}.yaml"


def test_a_file_goes_before_a_shipped_recipe(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    file.rename("alpine")
    assert find_recipe("alpine") == (Path("alpine"), None)
    assert find_recipe("alpine:same") == (Path("alpine"), "same")
    Path("a:b").write_text(TEXT, encoding="utf-8")
    assert find_recipe("a:b") == (Path("a:b"), None)
    assert find_recipe("a:b:other") == (Path("a:b"), "other")


def test_without_a_variant_values_are_those_of_the_file(file: Path) -> None:
    values = yaml.safe_load(TEXT)
    assert read_values(file) == values
    del values["variants"]
    assert merged_values(file) == values


def test_a_variant_changes_values_and_keeps_the_others(file: Path) -> None:
    whole = merged_values(file)
    assert merged_values(f"{file}:same") == whole | {"title": "base: same"}
    other = merged_values(f"{file}:other")
    assert other["data"] == {"window": 8, "augment": {"gamma": 2, "hue": 0.2}}
    assert other["loss"] == {"name": "npa", "options": {"offset": 0.5, "search_region": 4}}
    assert merged_values(f"{file}:another")["trainer"] == {"steps": 3}
    assert merged_values(file) == whole


def test_options_fall_away_with_the_network_they_are_of(file: Path) -> None:
    """Those of the loss that stays are kept."""
    assert merged_values(f"{file}:other")["model"] == {"name": "two", "weights": "imagenet"}
    assert merged_values(f"{file}:another")["model"]["options"] == {"depth": 1}
    alike = merged_values(f"{file}:named-alike")["model"]
    assert alike["options"] == {"dropout": 0.5, "width": 9}


def test_the_text_of_a_variant_reads_as_its_values(file: Path, tmp_path: Path) -> None:
    values = merged_values(f"{file}:another")
    path = tmp_path / "copy.yaml"
    path.write_text(to_text(values), encoding="utf-8")
    assert merged_values(path) == values
    assert list(read_values(path)) == list(values)


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("named_alike", "no variant 'named_alike', expected named-alike$"),
        ("x", "expected same or other or named-"),
    ],
)
def test_an_unknown_variant_is_refused_with_the_nearest(
    file: Path, variant: str, words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        merged_values(f"{file}:{variant}")


def test_variants_where_there_are_none_are_refused() -> None:
    with pytest.raises(RecipeError, match="no variant 'x', expected none: leave it out"):
        merged_values("finetune:x")


@pytest.mark.parametrize("text", ["variants: 3", "variants: [a]", "variants: {a: 3}"])
def test_variants_that_are_none_are_refused(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=r"mine\.yaml"):
        merged_values(file)


def test_recipes_are_read_without_torch() -> None:
    heavy = ("torch", "lightning", "pydantic", "numpy")
    code = (
        "import sys\n"
        "from rsseg.training.shipped import merged_values\n"
        "merged_values('npa-vaihingen:fcn-dice')\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"


def test_the_tool_is_not_hidden_by_the_module_of_its_name() -> None:
    module = import_module("rsseg.training.train")
    package = import_module("rsseg.training")
    package.train = module  # as the import of the module does
    assert package.train is module.train
    with pytest.raises(AttributeError, match="no attribute fly"):
        _ = package.fly
