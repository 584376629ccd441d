"""``rsseg predict``: a land-cover map, and polygons if wanted, of a scene."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import click

from . import helpers, predict_cluster, predict_many, predict_one


@click.command("predict")
@click.argument("scenes", nargs=-1, required=True, metavar="SCENE...")
@click.option("--out", required=True, help="Class GeoTIFF to write; of several scenes, a folder.")
@click.option(
    "--asset",
    metavar="NAME[,NAME]",
    help="Assets of STAC items that are the scene, by key or role; or the column of a table.",
)
@click.option("--as-one", is_flag=True, help="The files are parts of one scene, the first on top.")
@click.option("--model", help="Model file (.safetensors, .onnx); the embedded one if left out.")
@click.option("--polygons", help="Also write polygons of the map, as `rsseg vectorise`.")
@click.option("--bands", help="Bands in the model's order: 4,1,2 or nir,red,green.")
@click.option("--tile-size", type=int, help="Side of the windows in pixels; the model's own.")
@click.option("--overlap", help="Pixels (128), a fraction (0.25) or auto; 0.25.")
@click.option(
    "--blend",
    type=click.Choice(["taper", "uniform"]),
    default="taper",
    show_default=True,
    help="How overlapping windows are weighed; uniform alone sets a stride of a third.",
)
@click.option(
    "--rescale",
    is_flag=True,
    help="Predict at the model's ground sample distance, write on the scene's grid.",
)
@click.option("--gsd", type=float, help="Metres per pixel of a scene whose file does not tell.")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda (all GPUs of a kind), cuda:N, several such as cuda:0,cuda:2, or mps.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "torch", "openvino"]),
    default="auto",
    show_default=True,
    help="openvino runs on CPUs without torch.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16", "int8"]),
    default="auto",
    show_default=True,
    help="auto takes bf16 where the device computes in it; int8 runs on CPUs.",
)
@click.option("--compile", is_flag=True, help="Compile the network first; for long runs on a GPU.")
@click.option("--confidence", help="Also write how sure the class of each pixel is to this .tif.")
@click.option(
    "--confidence-kind",
    type=click.Choice(["top1", "margin"]),
    default="top1",
    show_default=True,
    help="Probability of the class, or by how much it is above the next.",
)
@click.option("--min-confidence", type=float, default=0.0, help="Less sure pixels become nodata.")
@click.option("--probabilities", help="Also write the probability of each class to this .tif.")
@click.option(
    "--tta",
    type=click.Choice(["none", "flip", "d4"]),
    default="none",
    show_default=True,
    help="Average over 4 mirrored or all 8 positions of each window; takes as many times longer.",
)
@click.option("--stretch", help="Percentiles that count as black and full brightness: p2,p98.")
@click.option("--bbox", help="Map only this box: west,south,east,north in the scene's CRS.")
@click.option("--aoi", help="Map only what the polygons of this file cover, in any CRS.")
@click.option("--batch-size", type=int, help="Windows per engine call; those of one forward pass.")
@click.option("--memory", help="Bound on memory, such as 2GB; a quarter of the machine's.")
@click.option("--vrt", is_flag=True, help="Of several scenes, also write a VRT over all maps.")
@click.option(
    "--scratch",
    help="Folder for what goes to a store; or, with --cluster, one in a store for shards.",
)
@click.option("--overwrite", is_flag=True, help="Replace outputs that are there.")
@click.option(
    "--restart", is_flag=True, help="Forget an unfinished run, and a map that waits for its store."
)
@click.option("--dry-run", is_flag=True, help="Print windows, memory and time, and stop.")
@predict_cluster.options
@helpers.output_options
def command(
    scenes: tuple[str, ...],
    out: str,
    asset: str | None,
    as_one: bool,
    model: str | None,
    polygons: str | None,
    vrt: bool,
    scratch: str | None,
    dry_run: bool,
    cluster: str | None,
    shard: str | None,
    quiet: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Write the land-cover map of SCENE as a GeoTIFF on the scene's grid.

    SCENE is a file, an address, or anything GDAL opens. Of several, of a folder, a list (a path on
    each line of a .txt), STAC items or a catalogue (.json), or a table of footprints (.parquet,
    .gpkg), the maps go to the folder --out one after the other, and so do --confidence,
    --probabilities and --polygons to theirs. Outputs may lie in object stores (s3://, gs://, az://).
    """
    began = time.perf_counter()
    from rsseg.geo.objects import is_object
    from rsseg.geo.scene_list import find_scenes, is_many, is_table_or_stac
    from rsseg.prediction.outputs.staging import scratch_folder

    options = _options(**choices)
    output = {"quiet": quiet, "as_json": as_json}
    is_map = Path(out).suffix.lower() in (".tif", ".tiff")
    into_folder = not is_map if is_object(out) else Path(out).is_dir()
    many = len(scenes) > 1 or is_many(scenes[0]) or into_folder
    if asset and not any(map(is_table_or_stac, scenes)):
        raise click.UsageError("--asset goes with STAC items or a table of footprints")
    if vrt and (as_one or not many):
        raise click.UsageError("--vrt goes with several scenes")
    places = (out, polygons, choices["confidence"], choices["probabilities"])
    stored = [place for place in places if place and is_object(place)]
    near = scratch_folder(scratch)
    if scratch and not near and not cluster:
        raise click.UsageError("--scratch in an object store goes with --cluster")
    if near and not stored:
        raise click.UsageError("--scratch goes with outputs in object stores, such as s3://")
    if shard and stored:
        raise click.UsageError("--shard writes to a folder; copy the map when it is assembled")
    excluded = {"dry_run": dry_run, "polygons": bool(shard and polygons)}
    predict_cluster.require_fitting(cluster, shard, many=many, as_one=as_one, **excluded)
    if not as_one and many:
        if is_map:
            raise click.UsageError("several scenes need a folder as --out, or --as-one")
        chosen = predict_many.Choices(
            scenes, out, model, options, tuple(helpers.names(asset) or ())
        )
        if dry_run:
            predict_many.dry_run(functools.partial(predict_one.tell, model=model), chosen, **output)
        else:
            tool = predict_cluster.scenes_predictor(cluster)
            predict_many.run(tool, chosen, polygons, vrt, scratch, **output)
        return
    from rsseg.geo.together import as_one_scene

    found = find_scenes(scenes, asset)
    files = [scene for scene in found if isinstance(scene, str)]
    if len(files) < len(found):
        raise click.UsageError("--as-one takes files, not items of STAC")
    with as_one_scene(files) as scene:
        # what several files are one by lies in a folder that is gone when the user looks for it
        hidden = "" if len(files) == 1 else str(Path(scene).parent / "_")[:-1]
        with predict_one.hiding(hidden):
            if dry_run:
                predict_one.dry_run(scene, model, options, hidden, **output)
            elif shard:
                predict_cluster.run_share(scene, out, model, shard, options, **output)
            else:
                one = predict_one.Choices(scene, out, model, options, polygons, near, began)
                with predict_cluster.tools(cluster, out, scratch) as tools:
                    predict_one.run(tools, one, hidden, **output)


def _options(
    bands: str | None,
    overlap: str | None,
    memory: str | None,
    stretch: str | None,
    confidence: str | None,
    probabilities: str | None,
    bbox: str | None,
    aoi: str | None,
    **rest: Any,
) -> Any:
    """The text of the command line as `PredictOptions`."""
    from rsseg.prediction import PredictOptions
    from rsseg.prediction.options import (
        parse_bands,
        parse_box,
        parse_bytes,
        parse_overlap,
        parse_stretch,
    )

    return PredictOptions(
        bands=None if bands is None else parse_bands(bands),
        overlap=None if overlap is None else parse_overlap(overlap),
        memory=None if memory is None else parse_bytes(memory),
        stretch=None if stretch is None else parse_stretch(stretch),
        confidence=_place(confidence),
        probabilities=_place(probabilities),
        bbox=None if bbox is None else parse_box(bbox),
        aoi=None if aoi is None else Path(aoi),
        **rest,
    )


def _place(text: str | None) -> Any:
    """A file by its path, an object by its name."""
    from rsseg.geo.objects import is_object

    return text if text is None or is_object(text) else Path(text)
