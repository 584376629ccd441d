"""``rsseg predict`` of one scene: its map, and polygons of it, where they belong."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rsseg.errors import RssegError

from . import helpers


@dataclass(frozen=True)
class Choices:
    """What a scene is mapped by.

    Args:
        scene: What is read.
        out: The map.
        model: The model file; None for the embedded one.
        options: `PredictOptions`.
        polygons: Polygons of the map, if they are asked for.
        scratch: Folder for what goes to an object store.
        began: When the command began, by ``time.perf_counter``.
    """

    scene: str
    out: str
    model: str | None
    options: Any
    polygons: str | None
    scratch: str | Path | None
    began: float


def run(tools: Any, chosen: Choices, hidden: str, *, quiet: bool, as_json: bool) -> None:
    """Map a scene and print what came of it, less a folder that is hidden.

    Args:
        tools: `predict` and `vectorise`, see `predict_cluster.Tools`.
        chosen: The scene and how it is mapped.
        hidden: Folder to leave out of messages.
        quiet: Print nothing but errors.
        as_json: Print one JSON object.
    """
    from rsseg.geo.objects import is_object

    options = chosen.options
    asked = {
        "map": chosen.out,
        "confidence": options.confidence,
        "probabilities": options.probabilities,
        "polygons": chosen.polygons,
    }
    places = {kind: place for kind, place in asked.items() if place is not None}

    make = partial(_mapped, tools, chosen, quiet=quiet)
    complete = partial(_vectorised, tools, chosen, quiet=quiet)
    if any(map(is_object, places.values())):
        from rsseg.prediction.outputs.delivering import asked_journal, deliver

        journal = asked_journal(chosen.scene, chosen.model, options)
        data = deliver(
            places,
            make,
            journal,
            complete=complete,
            overwrite=options.overwrite,
            restart=options.restart,
            scratch=chosen.scratch,
        )
    else:
        data = make(places, overwrite=options.overwrite)
        data = complete(places, data, overwrite=options.overwrite)
    data |= {"notes": [_without(hidden, note) for note in data["notes"]]}
    helpers.note(tuple(data["notes"]), quiet=quiet)
    text = (
        f"{data['out']}: {data['width']} x {data['height']} pixels in {data['seconds']:.1f} s; "
        f"{helpers.shares(data['classes'])}"
    )
    if "polygons" in data:
        text += f"\n{data['polygons']}: {data['polygon_count']:,} polygons"
    helpers.report(text, data, quiet=quiet, as_json=as_json)


def dry_run(
    scene: str, model: str | None, options: Any, hidden: str, *, quiet: bool, as_json: bool
) -> None:
    """Print what a run would take, less a folder that is hidden."""
    text, data = tell(scene, model, options)
    data |= {"scene": _without(hidden, data["scene"])}
    data |= {"notes": [_without(hidden, note) for note in data["notes"]]}
    helpers.note(tuple(data["notes"]), quiet=quiet)
    helpers.report(_without(hidden, text), data, quiet=quiet, as_json=as_json)


def tell(
    scene: str, model: str | None, options: Any, engines: Any = None
) -> tuple[str, dict[str, Any]]:
    """What a run would take, for people and as data.

    Args:
        scene: What is read.
        model: The model file; None for the embedded one.
        options: `PredictOptions`.
        engines: Gives the engine of a plan; it is loaded anew if None.
    """
    from rsseg.geo.remote import public_name
    from rsseg.prediction.computing.devices import on_one
    from rsseg.prediction.predict import expected_seconds, load_engine, plan, shared_by

    devices = shared_by(options, model, None)
    work = plan(scene, bundle=model, options=on_one(options, devices))
    devices = devices[: len(work.shards)]  # each is computed by one
    data = {
        "scene": public_name(scene),
        "width": work.grid.width,
        "height": work.grid.height,
        "windows": work.windows,
        "swaths": len(work.swaths),
        "repeated_windows": work.passes - work.windows,
        "tile_size": work.tiling.size,
        "stride": work.tiling.stride,
        "expected_memory_mb": round(work.memory * len(devices) / 1e6),
        "expected_seconds": round(
            expected_seconds(work, (engines or load_engine)(work)) / len(devices), 1
        ),
        "engine": work.placement.engine,
        "device": ",".join((work.placement.device, *devices[1:])),
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


@contextmanager
def hiding(folder: str) -> Iterator[None]:
    """Leave a folder out of messages of errors."""
    try:
        yield
    except RssegError as error:
        error.args = (_without(folder, str(error)),)
        raise


def _mapped(
    tools: Any, chosen: Choices, near: dict[str, Any], *, overwrite: bool, quiet: bool
) -> dict[str, Any]:
    """Write the rasters to their paths by kind; the result in plain types."""
    beside = {kind: near.get(kind) for kind in ("confidence", "probabilities")}
    options = replace(chosen.options, overwrite=overwrite, **beside)
    if "polygons" in near:
        _require_polygons(chosen.scene, near["polygons"], overwrite=overwrite)
    with helpers.progress("predicting", quiet=quiet) as on_progress:
        imports = time.perf_counter() - chosen.began
        result = tools.predict(
            chosen.scene, near["map"], bundle=chosen.model, options=options, on_progress=on_progress
        )
    data: dict[str, Any] = result.after(imports).to_json()
    return data


def _vectorised(
    tools: Any,
    chosen: Choices,
    near: dict[str, Any],
    data: dict[str, Any],
    *,
    overwrite: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Make polygons of a map that is there, if they are asked for; the result with them."""
    if "polygons" not in near:
        return data
    from rsseg.geo.objects import is_object
    from rsseg.vectorise import VectoriseOptions

    out, polygons, confidence = near["map"], near["polygons"], near.get("confidence")
    wanted = VectoriseOptions(overwrite=overwrite, confidence=confidence)
    try:
        with helpers.progress("vectorising", quiet=quiet) as on_progress:
            made = tools.vectorise(out, polygons, options=wanted, on_progress=on_progress)
    except BaseException as error:
        asked = (chosen.out, chosen.polygons, chosen.options.confidence)
        if not any(is_object(place) for place in asked if place is not None):
            sure = "" if confidence is None else f" --confidence {shlex.quote(str(confidence))}"
            files = f"{shlex.quote(str(out))} --out {shlex.quote(str(polygons))}{sure}"
            error.add_note(f"the map is there, its polygons come by rsseg vectorise {files}")
        raise
    told = {"polygons": str(polygons), "polygon_count": made.polygons}
    return data | told | {"notes": [*data["notes"], *made.notes]}


def _require_polygons(scene: str, polygons: Any, *, overwrite: bool) -> None:
    """Refuse at once what could not be vectorised after the whole prediction."""
    from rsseg.geo.opening import open_raster
    from rsseg.vectorise import require_writable
    from rsseg.vectorise.measure import Measure

    require_writable(polygons, inputs=[scene], overwrite=overwrite)
    with open_raster(scene) as dataset:
        Measure.of(dataset)


def _without(hidden: str, text: str) -> str:
    return text.replace(hidden, "") if hidden else text
