"""``rsseg report``: a map explained, as one HTML file."""

from __future__ import annotations

import click

from . import helpers


@click.command("report")
@click.argument("raster")
@click.option("--scene", help="The scene that RASTER is a map of; the map may be a part of it.")
@click.option(
    "--truth", help="A class raster on the map's grid, or polygons or points with a class."
)
@click.option("--confidence", help="The map's confidence, from rsseg predict.")
@click.option("--title", help="Title of the report; the name of RASTER if not given.")
@helpers.drawn_bands
@click.option(
    "--erode",
    type=float,
    help="Score also without truth this near (pixels) to a border, 3 if not given; 0 for the full "
    "truth alone.",
)
@click.option(
    "--boundary",
    type=float,
    help="Score borders with this tolerance in pixels, 3 if not given; 0 to leave that out.",
)
@click.option("--field", help="Field of a vector file with the class; class or class_id.")
@click.option("--layer", help="Layer of a vector file; the first with geometries.")
@click.option("--out", required=True, help="Page to write, .html.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it is there.")
@helpers.output_options
def command(
    raster: str,
    scene: str | None,
    truth: str | None,
    confidence: str | None,
    title: str | None,
    bands: str | None,
    erode: float | None,
    boundary: float | None,
    field: str | None,
    layer: str | None,
    out: str,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write a report of the class map RASTER: one HTML file that needs no network.

    It shows the map over its scene, the area of each class, where the map is least certain and,
    with truth, how good it is and where it is wrong most.
    """
    from rsseg.report import TruthOptions, report

    options = TruthOptions(erode, boundary, field, layer)
    with helpers.progress("reporting", quiet=quiet) as on_progress:
        result = report(
            raster,
            out,
            scene=scene,
            truth=truth,
            confidence=confidence,
            title=title,
            bands=helpers.names(bands),
            options=None if options == TruthOptions() else options,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    helpers.note(result.notes, quiet=quiet)
    text = f"{result.out} ({result.bytes / 1e6:.1f} MB): {helpers.shares(result.classes)}"
    helpers.report(text, result.to_json(), quiet=quiet, as_json=as_json)
