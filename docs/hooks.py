"""Pages that no one writes: of commands, from click itself, and of tables that benchmarks wrote."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rsseg_cli.main import main

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FOLDER = "commands"
COMMON = {
    "--json": "Print one JSON object on stdout.",
    "--quiet": "Print nothing but errors.",
    "--verbose": "Show tracebacks of errors.",
    "--help": "Show what the command does and its options, and exit.",
}
"""Options of all commands."""
GUIDES = {
    "assemble": ("Several machines", "scale-out"),
    "evaluate": ("Scores", "evaluate"),
    "export": ("Models for other programs", "export"),
    "info": ("File formats", "formats"),
    "models": ("Networks", "networks"),
    "predict": ("Maps", "predict"),
    "prepare": ("Labelled scenes", "scenes"),
    "qgis": ("QGIS", "qgis"),
    "recipes": ("Training", "train"),
    "report": ("Reports", "report"),
    "split": ("Labelled scenes", "scenes"),
    "stats": ("Labelled scenes", "scenes"),
    "train": ("Training", "train"),
    "vectorise": ("Polygons", "polygons"),
    "view": ("Local viewer", "view"),
}
"""Title and page of the guide to a command."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the entries ``Commands`` and ``Benchmarks`` of the navigation."""
    _extend(config.nav, {"Commands": list(pages()), "Benchmarks": list(tables())})
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages to those that are written."""
    from mkdocs.structure.files import File

    for path, text in (pages() | tables()).items():
        files.append(File.generated(config, path, content=text))
    return files


def on_post_page(output: str, **_: Any) -> str:
    """Give the search dialog, which the theme leaves without one, a name for screen readers."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')


def tables() -> dict[str, str]:
    """Markdown by path: what the longer benchmarks leave in their folder."""
    found = sorted(path for path in BENCHMARKS.glob("*.md") if path.name != "README.md")
    return {f"benchmarks/{path.name}": path.read_text(encoding="utf-8") for path in found}


def pages() -> dict[str, str]:
    """Markdown by path: the list of all commands first, then a page for each."""
    commands = {name: command for name, command in sorted(main.commands.items())}
    named = {name: each for name, each in commands.items() if each.name == name}
    rows = [
        f"| [`rsseg {name}`]({name}.md) | {_escaped(each.get_short_help_str(200))} |"
        for name, each in named.items()
    ]
    index = [
        "# Commands",
        "",
        "Exit 0 is success, 1 a failure with its reason in one line on stderr, 2 a wrong call. "
        "Progress bars are drawn on stderr, when that is a terminal. All commands have:",
        "",
        *(line for name, text in COMMON.items() for line in (f"`{name}`", f":   {text}", "")),
        "| command | |",
        "|---|---|",
        *rows,
    ]
    texts = {f"{FOLDER}/index.md": "\n".join(index) + "\n"}
    root = click.Context(main, info_name="rsseg")
    for name, command in named.items():
        ctx = click.Context(command, parent=root, info_name=name)
        also = [other for other, each in commands.items() if each is command and other != name]
        lines = [f"Also spelled {', '.join(f'`rsseg {other}`' for other in also)}.", ""] * bool(
            also
        )
        if name in GUIDES:
            title, guide = GUIDES[name]
            lines += [f"What it is for, with examples: [{title}](../{guide}.md).", ""]
        texts[f"{FOLDER}/{name}.md"] = "\n".join(_page(command, ctx, 1, lines))
    return texts


def _page(
    command: click.Command, ctx: click.Context, level: int, more: Sequence[str] = ()
) -> list[str]:
    """A command, or a group and what is in it, under a heading of this level."""
    usage = command.get_usage(ctx).removeprefix("Usage: ")
    lines = [f"{'#' * level} {ctx.command_path}", "", *_help(command)]
    lines += ["```text", " ".join(usage.split()), "```", "", *more]
    if isinstance(command, click.Group):
        for name, each in sorted(command.commands.items()):
            lines += _page(each, click.Context(each, parent=ctx, info_name=name), level + 1)
        return lines
    return [*lines, *_options(command, ctx)]


def _help(command: click.Command) -> Iterator[str]:
    """The paragraphs of a help text; those that begin with click's mark keep their lines."""
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            yield from ("```text", paragraph.removeprefix("\b").strip("\n"), "```", "")
        else:
            yield from (_escaped(" ".join(paragraph.split())), "")


def _options(command: click.Command, ctx: click.Context) -> Iterator[str]:
    """What ``--help`` says of each option, as a list of definitions; what all have in a line."""
    common = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record and isinstance(parameter, click.Option):
            names, meaning = record
            if parameter.opts[-1] in COMMON:
                common.append(f"`{parameter.opts[-1]}`")
            else:
                yield from (f"`{names}`", f":   {_escaped(meaning)}", "")
    yield from (f"{', '.join(common)}: as [all commands](index.md) have them.", "")


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, but for `code`."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_<>\[\]#|])", r"\\\1", part)
        for part in parts
    )


def _extend(entries: Any, more: dict[str, list[str]]) -> None:
    """Append paths to the entries of these titles, wherever they stand."""
    for entry in entries:
        for title, below in entry.items() if isinstance(entry, dict) else ():
            if title in more:
                below += more[title]
            elif isinstance(below, list):
                _extend(below, more)
