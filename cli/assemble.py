"""``rsseg assemble``: a map of the shards that several processes have computed."""

from __future__ import annotations

import click

from . import helpers


@click.command("assemble")
@click.argument("out", metavar="OUT.tif")
@click.option("--overwrite", is_flag=True, help="Replace outputs that are there.")
@helpers.output_options
def command(out: str, overwrite: bool, quiet: bool, as_json: bool) -> None:
    """Make OUT.tif of the shards that `rsseg predict --shard I/N` has left in OUT.tif.parts.

    All that is needed lies in that folder, which is removed at the end. If shards are missing, the
    command says which, and by which command they come.
    """
    from rsseg.prediction.outputs.finishing import assemble_parts

    made = assemble_parts(out, overwrite=overwrite)
    text = (
        f"{out}: {made.width} x {made.height} pixels of {made.shards} shards in "
        f"{made.seconds:.1f} s; {helpers.shares(made.classes)}"
    )
    helpers.report(text, made.to_json(), quiet=quiet, as_json=as_json)
