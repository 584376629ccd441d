"""``rsseg qgis``: a QGIS project of a map and its scene."""

from __future__ import annotations

import click

from . import helpers


@click.command("qgis")
@click.argument("raster")
@click.option("--scene", help="The scene that RASTER is a map of, drawn below it.")
@click.option("--polygons", help="Its polygons, from rsseg vectorise.")
@click.option("--confidence", help="Its confidence, from rsseg predict.")
@helpers.drawn_bands
@click.option("--out", required=True, help="Project to write, .qgz; QGIS is not needed for it.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it is there.")
@helpers.output_options
def command(
    raster: str,
    scene: str | None,
    polygons: str | None,
    confidence: str | None,
    bands: str | None,
    out: str,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write a QGIS project of the class map RASTER and what belongs to it.

    It opens where the map lies, named and coloured, the scene shining through. It names files
    relative to itself: move them together.
    """
    from rsseg.geo.qgis_project import write_project

    result = write_project(
        raster,
        out,
        scene=scene,
        polygons=polygons,
        confidence=confidence,
        bands=helpers.names(bands),
        overwrite=overwrite,
    )
    helpers.note(result.notes, quiet=quiet)
    text = f"{result.out}: {', '.join(result.layers)}"
    helpers.report(text, result.to_json(), quiet=quiet, as_json=as_json)
