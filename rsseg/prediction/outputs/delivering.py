"""The outputs of one scene, some of which belong into object stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rsseg import __version__
from rsseg.errors import OutputError
from rsseg.geo.objects import is_object, require_store
from rsseg.geo.state import fingerprint
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL, file_hash
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs.records import Record, rasters_of, read_record, record_path, sizes
from rsseg.prediction.outputs.staging import MAP, Place, Stage

_OF_NO_MATTER = ("memory", "batch_size", "overwrite", "restart", "confidence", "probabilities")
"""Options that do not change the bytes, or are told by the places."""


def deliver(
    places: Mapping[str, Place],
    make: Callable[..., dict[str, Any]],
    journal: Mapping[str, Any],
    *,
    complete: Callable[..., dict[str, Any]] = lambda near, result, *, overwrite: result,
    overwrite: bool = False,
    restart: bool = False,
    scratch: str | Path | None = None,
) -> dict[str, Any]:
    """Make outputs, and put those that belong into object stores there, each whole, the map last.

    What was made and did not get there is kept in the scratch folder, and not made again.

    Args:
        places: Where outputs go, by kind; the map is ``map``.
        make: Makes the rasters: called with paths by kind and ``overwrite``; gives the result in
            plain types.
        journal: What is made, and by which choices, see `asked_journal`.
        complete: Makes polygons of the rasters: called with paths by kind, that result, and
            ``overwrite``; gives the result of all.
        overwrite: Whether objects may be there already.
        restart: Remake what waits to be put there, too.
        scratch: A folder kept between runs; one in the cache if None.

    Returns:
        The result, which names outputs by their places.

    Raises:
        OutputError: If an output is there already or cannot be written.
    """
    stage = Stage(scratch)
    for place in places.values():
        if is_object(place):
            require_store(str(place), overwrite=overwrite)
    near = stage.prepare(places)
    rasters = rasters_of(near)
    stored = is_object(places[MAP])  # else a record of it would lie beside the user's map
    if stored and restart:
        record_path(near[MAP]).unlink(missing_ok=True)
    found = read_record(near[MAP]) if stored else None
    record = found if found is not None and found.of_plan(journal) else None
    allowed = {"overwrite": overwrite or stored}
    try:
        if record is None or record.sizes not in (sizes(rasters), sizes(near)):
            _require_none(places.values(), overwrite=overwrite)
            record = Record(dict(journal), {}, make(near, **allowed))
            record = replace(record, sizes=sizes(rasters))
            if stored:  # polygons may take long
                record.write(near[MAP])
        elif record.sizes != sizes(near):
            _require_none([places["polygons"]], overwrite=overwrite)
        if record.sizes != sizes(near):
            record = replace(record, result=complete(near, record.result, **allowed))
            record = replace(record, sizes=sizes(near))
            if stored:
                record.write(near[MAP])
        stage.send(places, record=False)
    except BaseException as error:
        if stored and record is not None and record.sizes in (sizes(rasters), sizes(near)):
            error.add_note(f"what was made is kept in {near[MAP].parent}: the same command goes on")
        raise
    named = {"out" if kind == MAP else kind: str(place) for kind, place in places.items()}
    return record.result | {key: name for key, name in named.items() if key in record.result}


def asked_journal(scene: str, model: str | Path | None, options: PredictOptions) -> dict[str, Any]:
    """What a user has asked for, by which that is known again.

    Nothing is resolved: on which device, and how precisely, those decide who compute, which may be
    other machines.

    Raises:
        SceneError: If the scene cannot be seen.
    """
    chosen = {k: v for k, v in asdict(options).items() if k not in _OF_NO_MATTER}
    area = None if options.aoi is None else file_hash(options.aoi)
    return {
        "rsseg": __version__,
        "scene": fingerprint(scene),
        "model": file_hash(EMBEDDED_MODEL if model is None else Path(model)),
        "options": chosen | {"aoi": area},
    }


def _require_none(places: Iterable[Place], *, overwrite: bool) -> None:
    """Refuse to replace files of a disk."""
    for place in places:
        if not overwrite and not is_object(place) and Path(place).exists():
            raise OutputError(f"{place} is already there", remedy="add --overwrite to replace it")
