"""``rsseg prepare gaofen1``: Gaofen-1 scenes as delivered, orthorectified and pansharpened."""

from __future__ import annotations

import click

from . import helpers


@click.command("gaofen1")
@click.argument("source")
@click.argument("target")
@click.option("--dem", help="Heights above the ellipsoid in metres; one height if not given.")
@click.option(
    "--gains",
    help="CSV of band, gain, offset (perhaps sensor, year): write radiances, not digital numbers.",
)
@click.option("--polygons", help="Field polygons to rasterise into labels and a catalogue.")
@click.option("--class-field", help="Their field that holds the class.")
@click.option("--background", help="Name of the class outside of polygons; else unlabelled.")
@click.option("--areas", help="Polygons of what was annotated: all outside is unlabelled.")
@click.option("--split", help="Split of the catalogue.  [default: train]")
@click.option("--overviews", is_flag=True, help="Add overviews to the scenes.")
@helpers.output_options
def command(
    source: str,
    target: str,
    dem: str | None,
    gains: str | None,
    polygons: str | None,
    class_field: str | None,
    background: str | None,
    areas: str | None,
    split: str | None,
    overviews: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Gaofen-1 PMS, 2 m, blue, green, red, nir.

    SOURCE is the folder of a scene as delivered, with its PAN and MSS .tiff, .rpb and .xml, or a
    folder of such folders; TARGET is made.
    """
    if (polygons is None) != (class_field is None):
        raise click.UsageError("--polygons and --class-field go together")
    if polygons is None and (background or areas or split):
        raise click.UsageError("--background, --areas and --split need --polygons")
    from rsseg.data.gaofen1 import FieldPolygons, prepare

    fields = None
    if polygons is not None and class_field is not None:
        fields = FieldPolygons(polygons, class_field, background, areas, split or "train")
    with helpers.progress("preparing", quiet=quiet) as on_progress:
        prepared = prepare(
            source,
            target,
            dem=dem,
            gains=gains,
            fields=fields,
            overviews=overviews,
            on_progress=on_progress,
        )
    helpers.note(prepared.notes, quiet=quiet)
    scenes = f"{len(prepared.images)} scene{'' if len(prepared.images) == 1 else 's'}"
    text = f"{target}: {scenes}"
    if prepared.catalogue is not None:
        text = f"{target}/catalogue.csv: {scenes}, {len(prepared.catalogue)} labelled, "
        text += helpers.shares(prepared.pixels)
    helpers.report(text, {"target": target, **prepared.to_json()}, quiet=quiet, as_json=as_json)
