"""``rsseg info``: what a model file, a class raster or a scene holds."""

from __future__ import annotations

import click

from . import helpers


@click.command("info")
@click.argument("file")
@click.option("--markdown", is_flag=True, help="Print the card of a model, to publish with it.")
@helpers.output_options
def command(file: str, markdown: bool, quiet: bool, as_json: bool) -> None:
    """Tell what FILE holds: a model, a class raster or a scene."""
    if markdown and as_json:
        raise click.UsageError("--markdown and --json exclude each other")
    if markdown:
        from rsseg.model_card import model_card

        click.echo(model_card(file), nl=False)
        return
    from rsseg.describe import describe

    data = describe(file)
    helpers.report("\n".join(_lines(data)), data, quiet=quiet, as_json=as_json)


def _lines(data: dict[str, object], indent: str = "") -> list[str]:
    """Keys and values, nested ones indented, numbers below 1 as people write them."""
    lines = []
    for key, value in data.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        elif isinstance(value, list):
            lines.append(f"{indent}{key}: {', '.join(map(str, value))}")
        elif isinstance(value, float):
            lines.append(f"{indent}{key}: {value:.4g}")
        elif value not in (None, "", {}):
            lines.append(f"{indent}{key}: {value}")
    return lines
