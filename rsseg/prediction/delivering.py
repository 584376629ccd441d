"""The outputs of one scene, some of which belong into object stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rsseg import __version__
from rsseg.errors import OutputError
from rsseg.geo.objects import is_object, require_store
from rsseg.geo.state import fingerprint
from rsseg.prediction.onnx_graph import EMBEDDED_MODEL, file_hash
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.records import Record, read_record, sizes
from rsseg.prediction.staging import MAP, Place, Stage

_OF_NO_MATTER = ("memory", "batch_size", "overwrite", "restart", "confidence", "probabilities")
"""Options that do not change the bytes, or are told by the places."""


def deliver(
    places: Mapping[str, Place],
    make: Callable[..., dict[str, Any]],
    journal: Mapping[str, Any],
    *,
    overwrite: bool = False,
    scratch: str | Path | None = None,
) -> dict[str, Any]:
    """Make outputs, and put those that belong into object stores there, each whole, the map last.

    What was made and did not get there is kept in the scratch folder, and not made again.

    Args:
        places: Where outputs go, by kind; the map is ``map``.
        make: Called with paths by kind and ``overwrite``; gives the result in plain types.
        journal: What is made, and by which choices, see `asked_journal`.
        overwrite: Whether objects may be there already.
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
    stored = is_object(places[MAP])  # else a record of it would lie beside the user's map
    record = read_record(near[MAP]) if stored else None
    if record is not None and record.of_plan(journal) and record.sizes == sizes(near):
        result = record.result
    else:
        for place in places.values():
            if not overwrite and not is_object(place) and Path(place).exists():
                raise OutputError(
                    f"{place} is already there", remedy="add --overwrite to replace it"
                )
        result = make(near, overwrite=overwrite or stored)
        if stored:
            Record(dict(journal), sizes(near), result).write(near[MAP])
    try:
        stage.send(places, record=False)
    except BaseException as error:
        error.add_note(f"what was made is kept in {near[MAP].parent}: the same command goes on")
        raise
    named = {"out" if kind == MAP else kind: str(place) for kind, place in places.items()}
    return result | {key: name for key, name in named.items() if key in result}


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
