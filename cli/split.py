"""``rsseg split``: which rows of a catalogue train and which test."""

from __future__ import annotations

from typing import Any

import click

from rsseg.errors import OptionError

from . import helpers


@click.command("split")
@click.argument("catalogue")
@click.option("--out", required=True, help="Catalogue to write, .csv or .gpkg.")
@click.option(
    "--shares",
    default="train=0.8,val=0.2",
    show_default=True,
    help="Share of each split, summing to 1.",
)
@click.option(
    "--by",
    type=click.Choice(["group", "block", "crops"]),
    default="group",
    show_default=True,
    help="Whole groups; square blocks of every scene with a gap between them; or overlapping crops"
    " at random, which leak and only serve to repeat what was published so.",
)
@click.option("--size", type=click.IntRange(1), help="Side of blocks or crops, pixels.")
@click.option("--gap", type=click.IntRange(0), help="Pixels left out between blocks.")
@click.option("--stride", type=click.IntRange(1), help="Distance between crops, pixels.")
@click.option("--overwrite", is_flag=True, help="Replace --out if it is there.")
@click.option("--seed", default=0, show_default=True, help="Another seed, other splits.")
@helpers.output_options
def command(
    catalogue: str,
    out: str,
    shares: str,
    by: str,
    size: int | None,
    gap: int | None,
    stride: int | None,
    overwrite: bool,
    seed: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Split CATALOGUE anew, so that no pixel of a group or block is in two splits."""
    from rsseg.data import read_catalogue, splits, write_catalogue
    from rsseg.data.tables import require_output

    require_output(out, catalogue, overwrite=overwrite)
    needed = {"group": (), "block": ("size", "gap"), "crops": ("size", "stride")}[by]
    given = {"size": size, "gap": gap, "stride": stride}
    for verb, names in (
        ("needs", [name for name in needed if given[name] is None]),
        ("has no", [name for name in given if given[name] is not None and name not in needed]),
    ):
        if names:
            raise OptionError(f"--by {by} {verb} " + " and ".join(f"--{name}" for name in names))
    tool: Any = {
        "group": splits.by_group, "block": splits.by_block, "crops": splits.random_crops
    }[by]  # fmt: skip
    sizes = {name: given[name] for name in needed}
    wanted = _shares(shares)
    done = tool(read_catalogue(catalogue), wanted, **sizes, seed=seed)
    write_catalogue(out, done)
    rows = {name: len(done.split(name)) for name in done.splits}
    text = f"{out}: " + ", ".join(f"{count} {name}" for name, count in rows.items())
    empty = tuple(
        f"the split '{name}' is empty: there are too few {by.removesuffix('s')}s"
        for name, share in wanted.items()
        if share and name not in rows
    )
    shared = splits.shared_ground(done)
    helpers.note(empty + shared, quiet=quiet)
    data = {"out": out, "rows": rows, "notes": [*empty, *shared]}
    helpers.report(text, data, quiet=quiet, as_json=as_json)


def _shares(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in helpers.names(text) or ():
        name, _, share = (piece.strip() for piece in part.partition("="))
        try:
            value = float(share)
        except ValueError as error:
            raise _unreadable(text) from error
        if not name:
            raise _unreadable(text)
        if name in found:
            raise OptionError(f"--shares has the split '{name}' twice", got=f"'{text}'")
        found[name] = value
    return found


def _unreadable(shares: str) -> OptionError:
    return OptionError("--shares cannot be read", expected="train=0.8,val=0.2", got=f"'{shares}'")
