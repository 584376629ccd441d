"""``rsseg predict``: a land-cover map, and polygons if wanted, of a scene."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from . import helpers, predict_many


@click.command("predict")
@click.argument("scenes", nargs=-1, required=True, metavar="SCENE...")
@click.option("--out", required=True, help="Class GeoTIFF to write; of several scenes, a folder.")
@click.option("--as-one", is_flag=True, help="The files are parts of one scene, the first on top.")
@click.option("--model", help="Model file (.safetensors); the embedded model if left out.")
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
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N, mps.")
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
@click.option("--overwrite", is_flag=True, help="Replace outputs that are there.")
@click.option("--restart", is_flag=True, help="Forget an unfinished run of this output.")
@click.option("--dry-run", is_flag=True, help="Print windows, memory and time, and stop.")
@helpers.output_options
def command(
    scenes: tuple[str, ...],
    out: str,
    as_one: bool,
    model: str | None,
    polygons: str | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Write the land-cover map of SCENE as a GeoTIFF on the scene's grid.

    SCENE is a file, an address, or anything GDAL opens. Of several, of a folder or a list (a path
    on each line of a .txt), the maps go to the folder --out one after the other, and so do
    --confidence, --probabilities and --polygons to theirs.
    """
    began = time.perf_counter()
    from rsseg.geo.scene_list import find_scenes, is_many

    options = _options(**choices)
    output = {"quiet": quiet, "as_json": as_json}
    if not as_one and (len(scenes) > 1 or is_many(scenes[0]) or Path(out).is_dir()):
        if Path(out).suffix.lower() in (".tif", ".tiff"):
            raise click.UsageError("several scenes need a folder as --out, or --as-one")
        if dry_run:
            tell = functools.partial(_dry_run, model=model, options=options)
            predict_many.dry_run(tell, scenes, out, **output)
        else:
            predict_many.run(scenes, out, model, polygons, options, **output)
        return
    from rsseg.geo.together import as_one_scene

    files = find_scenes(scenes)
    with as_one_scene(files) as scene:
        # what several files are one by lies in a folder that is gone when the user looks for it
        hidden = "" if len(files) == 1 else str(Path(scene).parent / "_")[:-1]
        if dry_run:
            text, data = _dry_run(scene, model, options)
            data |= {"scene": _without(hidden, data["scene"])}
            data |= {"notes": [_without(hidden, note) for note in data["notes"]]}
            helpers.note(tuple(data["notes"]), quiet=quiet)
            helpers.report(_without(hidden, text), data, **output)
        else:
            _predict(scene, out, model, polygons, options, began, hidden, **output)


def _predict(
    scene: str,
    out: str,
    model: str | None,
    polygons: str | None,
    options: Any,
    began: float,
    hidden: str,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Map one scene and print what came of it, less a folder that is hidden."""
    from rsseg.prediction import predict

    if polygons:
        _require_polygons(scene, polygons, overwrite=options.overwrite)
    with helpers.progress("predicting", quiet=quiet) as on_progress:
        imports = time.perf_counter() - began
        result = predict(scene, out, bundle=model, options=options, on_progress=on_progress)
    result = result.after(imports)
    result = replace(result, notes=tuple(_without(hidden, note) for note in result.notes))
    helpers.note(result.notes, quiet=quiet)
    data = result.to_json()
    text = (
        f"{out}: {result.width} x {result.height} pixels in {result.seconds:.1f} s; "
        f"{predict_many.shares(result.classes)}"
    )
    if polygons:
        from rsseg.vectorise import VectoriseOptions, vectorise

        wanted = VectoriseOptions(overwrite=options.overwrite, confidence=options.confidence)
        with helpers.progress("vectorising", quiet=quiet) as on_progress:
            made = vectorise(out, polygons, options=wanted, on_progress=on_progress)
        data |= {"polygons": polygons, "polygon_count": made.polygons}
        text += f"\n{polygons}: {made.polygons:,} polygons"
    helpers.report(text, data, quiet=quiet, as_json=as_json)


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
        confidence=None if confidence is None else Path(confidence),
        probabilities=None if probabilities is None else Path(probabilities),
        bbox=None if bbox is None else parse_box(bbox),
        aoi=None if aoi is None else Path(aoi),
        **rest,
    )


def _without(hidden: str, text: str) -> str:
    return text.replace(hidden, "") if hidden else text


def _require_polygons(scene: str, polygons: str, *, overwrite: bool) -> None:
    """Refuse at once what could not be vectorised after the whole prediction."""
    from rsseg.geo.opening import open_raster
    from rsseg.vectorise import require_writable
    from rsseg.vectorise.measure import Measure

    require_writable(polygons, inputs=[scene], overwrite=overwrite)
    with open_raster(scene) as dataset:
        Measure.of(dataset)


def _dry_run(
    scene: str, model: str | None, options: Any, engines: Any = None
) -> tuple[str, dict[str, Any]]:
    """What a run would take, for people and as data."""
    from rsseg.geo.remote import public_name
    from rsseg.prediction.predict import expected_seconds, load_engine, plan

    work = plan(scene, bundle=model, options=options)
    data = {
        "scene": public_name(scene),
        "width": work.grid.width,
        "height": work.grid.height,
        "windows": work.windows,
        "swaths": len(work.swaths),
        "repeated_windows": work.passes - work.windows,
        "tile_size": work.tiling.size,
        "stride": work.tiling.stride,
        "expected_memory_mb": round(work.memory / 1e6),
        "expected_seconds": round(expected_seconds(work, (engines or load_engine)(work)), 1),
        "engine": work.placement.engine,
        "device": work.placement.device,
        "precision": work.placement.precision,
        "notes": list(work.notes),
    }
    text = (
        f"{data['scene']}: {data['windows']} windows of {data['tile_size']} pixels every "
        f"{data['stride']}, about {data['expected_memory_mb']} MB and "
        f"{data['expected_seconds']} s with {data['engine']} in {data['precision']} "
        f"on {data['device']}"
    )
    return text, data
