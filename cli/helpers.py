"""Options and output that several commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from rsseg.errors import OptionError

VERBOSE = "rsseg.verbose"
Command = TypeVar("Command", bound=Callable[..., Any])


def output_options(command: Command) -> Command:
    """``--quiet``, ``--verbose`` and ``--json``; the command gets ``quiet`` and ``as_json``."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
        click.option(
            "--verbose",
            is_flag=True,
            expose_value=False,
            callback=_remember_verbose,
            help="Show tracebacks of errors.",
        ),
        click.option("--quiet", is_flag=True, help="Print nothing but errors."),
    ):
        command = option(command)
    return command


def drawn_bands(command: Command) -> Command:
    """``--bands`` of a scene that is drawn below a map; the command gets ``bands``, see `names`."""
    return click.option(
        "--bands",
        help="The scene's bands drawn as red, green and blue: 3,2,1 or nir,red,green; or one in "
        "grey. If not given, those of these names, else the first three.",
    )(command)


@contextmanager
def progress(label: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A callback ``(done, total)`` that moves a bar on stderr, if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress, TimeRemainingColumn

    with Progress(
        *Progress.get_default_columns()[:-1], TimeRemainingColumn(), console=Console(stderr=True)
    ) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def report(text: str, data: dict[str, Any], *, quiet: bool, as_json: bool) -> None:
    """Print a result for people, or as one JSON object."""
    if as_json:
        click.echo(json.dumps(data))
    elif not quiet:
        click.echo(text)


def note(sentences: tuple[str, ...], *, quiet: bool) -> None:
    """Print what the user should know on stderr."""
    for sentence in () if quiet else sentences:
        click.echo(f"note: {sentence}", err=True)


def names(text: str | None) -> list[str] | None:
    """What stands between commas; None if the option was not given.

    Raises:
        OptionError: If a name is empty: places in a list may count.
    """
    if text is None:
        return None
    found = [name.strip() for name in text.split(",")]
    if "" in found:
        raise OptionError("a list has an empty name", expected="a,b,c", got=f"'{text}'")
    return found


def shares(pixels: dict[str, int]) -> str:
    """Classes and their shares of the classified pixels, the largest first; or that it has none."""
    total = sum(pixels.values())
    if not total:
        return "no pixel has a class"
    ranked = sorted(pixels.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {100 * count / total:.1f} %" for name, count in ranked)


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns under a heading; numbers stand to the right."""
    lines = [tuple(heading), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numeric = [
        all(cell[:1].isdigit() or cell == "-" for cell in column[1:])
        for column in zip(*lines, strict=True)
    ]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def _remember_verbose(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    ctx.meta[VERBOSE] = value
