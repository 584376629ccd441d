"""``rsseg vectorise``: polygons of a class raster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from . import helpers


@click.command("vectorise")
@click.argument("raster")
@click.option("--out", required=True, help="Polygons: .gpkg, .fgb, .parquet or .geojson.")
@click.option(
    "--connectivity",
    type=click.Choice(["4", "8"]),
    default="4",
    show_default=True,
    help="4 joins pixels by their edges; 8 also by their corners, into multipolygons.",
)
@click.option(
    "--sieve",
    type=int,
    default=0,
    metavar="PX",
    help="First, regions of fewer pixels take the class of their largest neighbour.",
)
@click.option(
    "--min-area",
    type=float,
    default=0.0,
    metavar="M2",
    help="Smaller regions join the neighbour with the longest shared border.",
)
@click.option(
    "--simplify",
    type=float,
    default=0.0,
    metavar="M",
    help="Straighten borders: triangles up to this squared go; neighbours go on sharing them.",
)
@click.option("--smooth", is_flag=True, help="Round the corners of borders.")
@click.option("--classes", default="", help="Classes to write, by name or code: a,b.")
@click.option("--by-class", is_flag=True, help="A layer for each class (.gpkg).")
@click.option("--layer", help="Name of the layer; the file's own if left out.")
@click.option("--confidence", help="Confidence raster of the map, for the field mean_conf.")
@click.option("--memory", help="Memory for the rows at work, such as 200MB; at most about 1 GB.")
@click.option("--cluster", help="Work on a Dask cluster: its address, or local:N.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it is there.")
@helpers.output_options
def command(
    raster: str, out: str, cluster: str | None, quiet: bool, as_json: bool, **choices: Any
) -> None:
    """Write the polygons of the class map RASTER with their classes, areas and perimeters.

    Where the map is in degrees, metres are taken as pixels of the size in its middle.
    """
    vectorise, options = _vectoriser(cluster), _options(**choices)
    with helpers.progress("vectorising", quiet=quiet) as on_progress:
        result = vectorise(raster, out, options=options, on_progress=on_progress)
    helpers.note(result.notes, quiet=quiet)
    polygons = f"{result.polygons:,} polygon{'' if result.polygons == 1 else 's'}"
    classes = f"{len(result.classes)} class{'' if len(result.classes) == 1 else 'es'}"
    text = f"{result.out}: {polygons} of {classes}"
    helpers.report(text, result.to_json(), quiet=quiet, as_json=as_json)


def _vectoriser(cluster: str | None) -> Callable[..., Any]:
    """The tool that vectorises, on a cluster if one is named."""
    if cluster is None:
        from rsseg.vectorise import vectorise

        return vectorise
    import functools
    import importlib.util

    from rsseg.errors import MissingExtra

    if importlib.util.find_spec("distributed") is None:
        raise MissingExtra("distributed", "dask")
    from rsseg.vectorise_cluster import vectorise_on_cluster

    return functools.partial(vectorise_on_cluster, cluster=cluster)


def _options(connectivity: str, classes: str, memory: str | None, **rest: Any) -> Any:
    """The text of the command line as `VectoriseOptions`."""
    from rsseg.prediction.options import parse_bytes
    from rsseg.vectorise import VectoriseOptions

    return VectoriseOptions(
        connectivity=int(connectivity),
        classes=tuple(helpers.names(classes or None) or ()),
        memory=None if memory is None else parse_bytes(memory),
        **rest,
    )
