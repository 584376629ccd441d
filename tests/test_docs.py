"""The pages of the site and the README: what they tell can be typed, imported and found."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from inspect import ismodule
from pathlib import Path
from typing import Any, NamedTuple

import click
import matplotlib as mpl
import numpy as np
import pytest
import yaml

from rsseg.bundle import read_bundle
from rsseg.errors import RssegError
from rsseg.prediction import PredictResult
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg_cli.main import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
TEXTS = [README, *sorted(DOCS.rglob("*.md"))]
HOOKS = runpy.run_path(str(DOCS / "hooks.py"))
PAGES = HOOKS["pages"]()
PUBLIC = {
    "rsseg.bundle": "Bundle read_bundle",
    "rsseg.legend": "Legend LandClass",
    "rsseg.models": "create load save",
    "rsseg.affinity": "neighbouring_pixel_affinity",
    "rsseg.losses": "neighbouring_pixel_affinity CrossEntropyLoss FocalLoss DiceLoss IoULoss"
    " LovaszSoftmaxLoss CLLoss NPALoss DeepSupervision median_frequency_weights",
    "rsseg.metrics": "ConfusionMatrix boundary_scores",
    "rsseg.data": "read_catalogue RandomWindows BalancedWindows GridWindows",
    "rsseg.data.splits": "by_group by_block random_crops",
    "rsseg.loading": "WindowDataset",
    "rsseg.training": "Recipe train",
    "rsseg.prediction": "predict PredictOptions",
    "rsseg.vectorise": "vectorise polygonise",
    "rsseg.evaluate": "evaluate",
    "rsseg.errors": "RssegError",
}
"""What users may rely on."""


class Block(NamedTuple):
    """A fenced block of a page."""

    where: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for path in TEXTS:
        text = path.read_text("utf-8")
        for found in re.finditer(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", text, re.M | re.S):
            line = text[: found.start()].count("\n") + 1
            yield Block(f"{path.relative_to(ROOT)}:{line}", found[2], found[3])


BLOCKS = list(blocks())
CALLS = [
    (block.where, line)
    for block in BLOCKS
    if block.language != "text"
    for line in block.text.replace("\\\n", " ").splitlines()
    if line.lstrip().startswith("rsseg ")
]
MENTIONS = [
    (str(path.relative_to(ROOT)), " ".join(found.split()))
    for path in TEXTS
    for found in re.findall(
        r"(?<!`)`(rsseg [^`]+)`", re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.S)
    )
]


def command_of(words: list[str]) -> tuple[click.Command, list[str], click.Context]:
    """The command that words begin with, those after it, and its context."""
    command: click.Command = main
    ctx = click.Context(main, info_name="rsseg")
    while isinstance(command, click.Group) and words and not re.match("-|[A-Z]+$", words[0]):
        assert words[0] in command.commands, f"{ctx.command_path} has no command {words[0]}"
        command, *words = command.commands[words[0]], *words[1:]
        ctx = click.Context(command, parent=ctx, info_name=command.name)
    return command, words, ctx


def words_of(line: str) -> list[str]:
    """The words after ``rsseg``, as a shell sees them, up to a redirection or pipe."""
    words = shlex.split(line, comments=True)[1:]
    ends = [words.index(sign) for sign in (">", "|", "&&") if sign in words]
    return words[: min(ends, default=len(words))]


def test_there_is_something_to_test() -> None:
    assert len(CALLS) > 30
    assert len(MENTIONS) > 30
    assert sum(block.language == "python" for block in BLOCKS) > 8
    assert {"predict", "train", "vectorise"} <= {words_of(line)[0] for _, line in CALLS}


@pytest.mark.parametrize(("where", "line"), CALLS)
def test_commands_can_be_typed(where: str, line: str) -> None:
    """Click takes them as they stand: options, choices, types and all that is required."""
    command, words, ctx = command_of(words_of(line))
    assert not isinstance(command, click.Group), f"{where}: {line} names no command"
    command.make_context(command.name, words, parent=ctx.parent)


@pytest.mark.parametrize(("where", "text"), MENTIONS)
def test_commands_that_are_mentioned_are_there(where: str, text: str) -> None:
    """Words in running text: they need not be whole, but what they name must be there."""
    command, words, ctx = command_of(text.replace("...", "").split()[1:])
    known = {name for each in command.get_params(ctx) for name in each.opts}
    named = {word.partition("=")[0].rstrip(",") for word in words if word.startswith("--")}
    assert named <= known, f"{where}: {text}"


def test_recipes_that_are_named_are_read_with_their_settings() -> None:
    from rsseg.training import read_recipe
    from rsseg.training.shipped import shipped

    read = 0
    for where, line in CALLS:
        command, words, ctx = command_of(words_of(line))
        if command.name != "train":
            continue
        given = command.make_context("train", words, parent=ctx.parent).params
        if given["recipe"].partition(":")[0] in shipped():
            try:
                read_recipe(given["recipe"], tuple(given["settings"]))
            except RssegError as error:
                pytest.fail(f"{where}: {line}: {error}")
            read += 1
    assert read > 3


@pytest.mark.parametrize(
    "block", [each for each in BLOCKS if each.language == "python"], ids=lambda each: each.where
)
def test_python_compiles_and_finds_what_it_imports(block: Block) -> None:
    tree = ast.parse(block.text, block.where)
    compile(tree, block.where, "exec")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


def test_every_command_has_a_page_with_all_its_options() -> None:
    assert HOOKS["GUIDES"].keys() == {command.name for command in main.commands.values()}
    for name, command in main.commands.items():
        page = PAGES[f"commands/{command.name}.md"]
        assert f"`rsseg {name}`" in page or f"# rsseg {name}\n" in page
        assert f"`rsseg {command.name}`" in PAGES["commands/index.md"]
        for each in (command, *getattr(command, "commands", {}).values()):
            for option in each.params:
                if isinstance(option, click.Option):
                    assert option.opts[0] in page, (name, option.opts)


def test_the_readme_lists_every_command() -> None:
    text = README.read_text("utf-8")
    for command in main.commands.values():
        assert re.search(rf"^\| `rsseg {command.name}\b[^|]*\|", text, re.M), command.name


def test_public_names_are_documented() -> None:
    pages = "\n".join(path.read_text("utf-8") for path in (DOCS / "api").glob("*.md"))
    documented = re.findall(r"^::: (\S+)", pages, re.M)
    found = [_imported(name) for name in documented]
    assert not [name for name, each in zip(documented, found, strict=True) if ismodule(each)]
    for module, names in PUBLIC.items():
        for name in names.split():
            public = getattr(importlib.import_module(module), name)
            assert any(public is each for each in found), f"{module}.{name} has no entry"


def _imported(path: str) -> object:
    """What a dotted path names; a module of the same name as its function is passed by."""
    module, _, name = path.rpartition(".")
    importlib.import_module(module)
    return getattr(sys.modules[module], name)


@pytest.mark.parametrize("path", [README, DOCS / "install.md"], ids=lambda path: path.name)
def test_every_extra_is_told(path: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    told = re.findall(r"^\| `pip install \"\.\[(\w+)\]\"` \|", path.read_text("utf-8"), re.M)
    assert sorted(told) == sorted(extras["optional-dependencies"].keys() - {"test", "dev"})


def test_keys_of_a_prediction_are_told() -> None:
    text = (DOCS / "formats.md").read_text("utf-8")
    keys = [field.name for field in dataclasses.fields(PredictResult)]
    assert [key for key in keys if f"`{key}`" not in text] == []


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README.read_text("utf-8"))
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_every_page_is_in_the_navigation() -> None:
    class Loader(yaml.SafeLoader):
        """Reads the settings of plugins as plain values."""

    Loader.add_multi_constructor("", lambda loader, tag, node: None)
    nav = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), Loader)["nav"]

    def leaves(entry: object) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        for below in entry.values() if isinstance(entry, dict) else ():
            yield from leaves(below)
        for each in entry if isinstance(entry, list) else ():
            yield from leaves(each)

    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert set(leaves(nav)) == pages


def test_messages_that_questions_quote_are_said() -> None:
    said = "\n".join(_texts(path) for path in sorted((ROOT / "rsseg").rglob("*.py")))
    headings = re.findall(r"^### (.*\".*)$", (DOCS / "faq.md").read_text("utf-8"), re.M)
    assert len(headings) > 8
    for heading in headings:
        for quoted in re.findall(r'"([^"]+)"', heading):
            for part in filter(None, map(str.strip, quoted.split("..."))):
                assert part in said, part


def _texts(path: Path) -> str:
    """All texts in a source, those that belong together in one line."""
    tree = ast.parse(path.read_text("utf-8"))
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return "\n".join(text for text in found if isinstance(text, str))


@pytest.mark.parametrize("path", [README, DOCS / "model.md"], ids=lambda path: path.name)
def test_scores_of_the_embedded_model_are_those_of_its_file(path: Path) -> None:
    text, scores = path.read_text("utf-8"), read_bundle(EMBEDDED_MODEL).scores
    for name, row in scores["classes"].items():
        cells = (name, f"{row['iou']:.3f}", f"{row['f1']:.3f}", f"{row['pixels'] / 1e6:.2f}")
        assert f"| {' | '.join(cells)} |" in text
    assert f"| **mean** | **{scores['miou']:.3f}** | {scores['f1']:.3f} | |" in text
    assert f"Pixel accuracy {scores['oa']:.3f}, kappa {scores['kappa']:.3f}." in text


# The built site


class Elements(HTMLParser):
    """Addresses that a page loads by itself: scripts, styles, pictures, frames."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video"):
            self.loaded.append(given.get("src") or "")
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.loaded.append(given.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` does."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.mark.slow
def test_the_site_builds_and_has_all_pages(site: Path) -> None:
    wanted = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    wanted |= {Path(path).with_suffix(".html") for path in PAGES | HOOKS["tables"]()}
    assert {path.relative_to(site) for path in site.rglob("*.html")} == {*wanted, Path("404.html")}
    assert not list(site.rglob("*.py"))


@pytest.mark.slow
def test_nothing_of_the_site_comes_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        elements = Elements()
        elements.feed(page.read_text("utf-8"))
        assert elements.loaded
        for address in filter(None, elements.loaded):
            assert not re.match(r"(https?:)?//", address), f"{page}: {address}"
            if page.name != "404.html" and not address.startswith("data:"):
                assert (page.parent / address.partition("?")[0]).is_file(), f"{page}: {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", style.read_text("utf-8")), style


@pytest.mark.slow
def test_commands_and_names_can_be_searched_for(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text("utf-8")
    for text in ("commands/predict.html", "PredictOptions", "mosaic.html", "--min-area"):
        assert text in index


# The pictures


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the script that draws them defines."""
    monkeypatch.syspath_prepend(str(DOCS))
    yield runpy.run_path(str(DOCS / "pictures.py"))
    sys.modules.pop("drawings")


@pytest.mark.slow
def test_the_seams_that_the_picture_tells_of_are_there(pictures: dict[str, Any]) -> None:
    """One pixel in three changes where windows meet, and none more than elsewhere with overlap."""
    demo_map, changes, side = (pictures[name] for name in ("demo_map", "changes", "TILE"))
    bare, everywhere = changes(demo_map(0.0), side)
    blended, as_well = changes(demo_map(0.25), side)
    assert bare > 0.3
    assert bare > 10 * everywhere
    assert blended < 1.2 * as_well


def test_changes_at_borders_are_counted(pictures: dict[str, Any]) -> None:
    codes = np.zeros((6, 6), np.uint8)
    codes[:, 3:] = 1  # all of it changes at the border of squares of 3, nowhere else
    assert pictures["changes"](codes, 3) == (6 / 12, 6 / 60)


def test_drawn_pictures_are_those_of_the_code(pictures: dict[str, Any], tmp_path: Path) -> None:
    """Drawing needs no network, and gives the same bytes again."""
    for name in ("stages", "windows", "weights", "shards", "resume"):
        draw = pictures["PICTURES"][f"mosaic-{name}.svg"]
        written = [tmp_path / f"{number}.svg" for number in range(2)]
        with mpl.rc_context({"svg.hashsalt": "rsseg"}):
            for path in written:
                pictures["save"](draw(), path)
        assert written[0].read_bytes() == written[1].read_bytes()


def test_pictures_are_there_and_shown(pictures: dict[str, Any]) -> None:
    pages = "\n".join(path.read_text("utf-8") for path in DOCS.rglob("*.md"))
    for name in pictures["PICTURES"]:
        assert (DOCS / "images" / name).is_file()
        assert f"images/{name}" in pages
