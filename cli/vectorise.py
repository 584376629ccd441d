"""``rsseg vectorise``: polygons of a class raster."""

from __future__ import annotations

import click

from . import helpers


@click.command("vectorise")
@click.argument("raster")
@click.option("--out", required=True, help="Polygons to write: .gpkg, .fgb or .geojson.")
@click.option(
    "--connectivity",
    type=click.Choice(["4", "8"]),
    default="4",
    show_default=True,
    help="4 joins pixels by their edges; 8 also by their corners, into multipolygons.",
)
@click.option("--overwrite", is_flag=True, help="Replace the output if it is there.")
@helpers.output_options
def command(
    raster: str, out: str, connectivity: str, overwrite: bool, quiet: bool, as_json: bool
) -> None:
    """Write the polygons of the class map RASTER with their classes, areas and perimeters."""
    from rsseg.vectorise import vectorise

    with helpers.progress("vectorising", quiet=quiet) as on_progress:
        result = vectorise(
            raster,
            out,
            connectivity=int(connectivity),
            overwrite=overwrite,
            on_progress=on_progress,
        )
    polygons = f"{result.polygons:,} polygon{'' if result.polygons == 1 else 's'}"
    classes = f"{len(result.classes)} class{'' if len(result.classes) == 1 else 'es'}"
    text = f"{result.out}: {polygons} of {classes}"
    helpers.report(text, result.to_json(), quiet=quiet, as_json=as_json)
