"""``rsseg prepare``: a published dataset as tiled GeoTIFFs and a catalogue."""

from __future__ import annotations

import click

from . import helpers


@click.command("prepare")
@click.argument("dataset", type=click.Choice(["dubai"]))
@click.argument("source")
@click.argument("target")
@helpers.output_options
def command(dataset: str, source: str, target: str, quiet: bool, as_json: bool) -> None:
    """Turn DATASET, as its authors publish it in SOURCE, into scenes and labels in TARGET."""
    from importlib import import_module

    module = import_module(f"rsseg.data.datasets.{dataset}")
    with helpers.progress("preparing", quiet=quiet) as on_progress:
        catalogue = module.prepare(source, target, on_progress=on_progress)
    splits = {name: len(catalogue.split(name)) for name in catalogue.splits}
    text = f"{target}/catalogue.csv: " + ", ".join(f"{n} {name}" for name, n in splits.items())
    helpers.report(text, {"target": target, "scenes": splits}, quiet=quiet, as_json=as_json)
