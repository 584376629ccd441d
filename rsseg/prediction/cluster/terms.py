"""What workers have to have in common, so that all of them come to the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from rsseg import __version__
from rsseg.bundle import is_graph
from rsseg.errors import ClusterError, OptionError
from rsseg.prediction.cluster.places import require_place
from rsseg.prediction.engines.engine import place
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL, file_hash
from rsseg.prediction.many_scenes.scenes import bands_of
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs.staging import Place
from rsseg.prediction.planning.differences import contrast, differences
from rsseg.prediction.planning.journal import changes

_OF_WORKERS = ("engine", "precision", "device", "library", "rsseg", "model")
"""Entries of a plan that a worker brings with it whatever the scene, the most telling first."""


def terms_of(
    folders: Iterable[Place], model: Path | None, options: PredictOptions
) -> dict[str, str]:
    """What this machine computes with, whatever the scene.

    Args:
        folders: Where workers write, on a disk or in a store; each is tried.
        model: A model file; None for the embedded model.
        options: The user's choices.

    Raises:
        BundleError: If the model cannot be used.
        MissingExtra: If a library is missing.
        OptionError: If the device or the engine is not there.
        OutputError: If one is not there or takes no file.
    """
    for folder in folders:
        require_place(folder)
    model = model or EMBEDDED_MODEL
    bands_of(model)
    chosen = place(options, own_network=False, graph=is_graph(model))
    return {
        "engine": chosen.engine,
        "precision": chosen.precision,
        "device": chosen.device.split(":")[0],
        "library": f"{chosen.engine} {version(chosen.engine)}",
        "rsseg": __version__,
        "model": file_hash(model),
    }


def require_same(agreed: Mapping[str, object], own: Mapping[str, object]) -> None:
    """Check that a worker comes to what the others have come to.

    Args:
        agreed: Entries of a plan's journal, or of `terms_of`.
        own: Those of the worker.

    Raises:
        ClusterError: If it differs in what it brings with it.
        OptionError: If it differs in what it sees of the scene.
    """
    changed = changes(dict(agreed), dict(own))
    if not changed:
        return
    key = next((name for name in _OF_WORKERS if name in changed), changed[0])
    expected, got = contrast(key, agreed.get(key), own.get(key))
    wrong = f"it differs from the others in {differences(changed)}"
    if key in _OF_WORKERS:
        remedy = "choose by --device, --engine and --precision what all have, or use equals"
        raise ClusterError(wrong, expected=expected, got=got, remedy=remedy)
    raise OptionError(wrong, expected=expected, got=got, remedy="have all see the same files")
