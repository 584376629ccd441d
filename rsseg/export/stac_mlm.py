"""STAC items of models by the Machine Learning Model extension, version 1.5.2; without torch.

An item says of a model file what a catalogue of models wants to know: what goes in and how it is
scaled, what comes out, how large it is, what it was trained on and how good it is. What the file
does not say is left out. Scores and training data have no field in the extension and stand under
names that begin with ``rsseg:``.

Source: https://github.com/stac-extensions/mlm
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rsseg.bundle import GRAPH_SCALE, Bundle, is_graph, read_bundle
from rsseg.export.size import network_size
from rsseg.geo.bands import common_name
from rsseg.replacing import replacing

STAC_VERSION = "1.1.0"
MLM = "https://stac-extensions.github.io/mlm/v1.5.2/schema.json"
EO = "https://stac-extensions.github.io/eo/v1.1.0/schema.json"
"""For the bands: where the core of STAC 1.1 has them, on assets, MLM 1.5 does not look."""
_TASK = "semantic-segmentation"
_INSTALLED = Path(__file__).resolve().parents[1]
"""The package; resolved, for an environment may lie behind a link."""


def write_item(model: str | Path, out: str | Path, *, href: str | None = None) -> None:
    """Write the item of a model file as JSON, whole or not at all.

    Args:
        model: Model file, ``.safetensors`` or ``.onnx``.
        out: Target.
        href: Where the item says that the model is; if None its path from the item's folder, and
            of one that belongs to the installation its name: no one else has that folder.

    Raises:
        BundleError: If it is no model file of rsseg.
    """
    if href is None:
        path = Path(os.path.relpath(model, Path(out).parent))
        href = Path(model).name if is_installed(model) else path.as_posix()
    text = json.dumps(item_of(model, href), indent=1, ensure_ascii=False)
    with replacing(out) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")


def is_installed(model: str | Path) -> bool:
    """Whether a model file belongs to the installation, as the embedded model does."""
    return Path(model).resolve().is_relative_to(_INSTALLED)


def item_of(model: str | Path, href: str) -> dict[str, Any]:
    """The item of a model file.

    Its place on the ground is null, for model files do not tell it, and its time that at which the
    file was written.

    Args:
        model: Model file.
        href: Where the item says that it is.

    Raises:
        BundleError: If it is no model file of rsseg.
    """
    model, bundle = Path(model), read_bundle(model)
    with model.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [MLM, EO],
        "id": f"{bundle.architecture}-{digest[:12]}",
        "geometry": None,
        "properties": _properties(model, bundle),
        "links": [],
        "assets": {"model": _asset(model, href, bundle.bands)},
    }


def _properties(model: Path, bundle: Bundle) -> dict[str, Any]:
    written = datetime.fromtimestamp(model.stat().st_mtime, UTC)
    provenance = bundle.provenance
    trained_on = {
        key: provenance[key]
        for key in ("attribution", "split", "seed")
        if provenance.get(key) not in (None, "", {})
    }
    told: dict[str, Any] = {
        "title": provenance.get("title"),
        "license": _licence(bundle.licence),
        "gsd": bundle.gsd,
        "mlm:hyperparameters": _hyperparameters(bundle),
        **_size(model),
        "rsseg:scores": {k: v for k, v in bundle.scores.items() if k != "confusion"},
        "rsseg:training_data": trained_on,
        "rsseg:licence": bundle.licence if _licence(bundle.licence) == "other" else None,
    }
    return {
        "datetime": written.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "description": "The time is that at which the model file was written.",
        "mlm:name": _name(bundle.architecture),
        "mlm:architecture": bundle.architecture,
        "mlm:framework": "ONNX" if is_graph(model) else "PyTorch",
        "mlm:tasks": [_TASK],
        "mlm:accelerator_constrained": False,
        "mlm:input": [_input(bundle)],
        "mlm:output": [_output(bundle)],
        **{key: value for key, value in told.items() if value not in (None, {}, "")},
    }


def _input(bundle: Bundle) -> dict[str, Any]:
    inside = bundle.output == "probabilities"  # scaling and softmax
    scaling = bundle.normalisation
    if inside:
        values = [{"type": "min-max", "minimum": 0, "maximum": GRAPH_SCALE}] * len(bundle.bands)
    else:
        values = [
            {"type": "z-score", "mean": scale * mean, "stddev": scale * std}
            for scale, mean, std in zip(scaling.scale, scaling.mean, scaling.std, strict=True)
        ]
    return {
        "name": "pixels",
        "description": (
            "Raw pixel values divided by 255 whatever their type; what follows is in the graph"
            if inside
            else "Raw pixel values, scaled by band as value_scaling says"
        ),
        "bands": list(bundle.bands),
        "input": {
            "shape": [1 if inside else -1, len(bundle.bands), bundle.window, bundle.window],
            "dim_order": ["batch", "bands", "height", "width"],
            "data_type": "float32",
        },
        "value_scaling": values,
        "resize_type": None,
        "pre_processing_function": None,
    }


def _output(bundle: Bundle) -> dict[str, Any]:
    inside = bundle.output == "probabilities"
    return {
        "name": bundle.output,
        "description": (
            "Probability of each class"
            if inside
            else "Logit of each class; softmax over the classes gives probabilities"
        ),
        "tasks": [_TASK],
        "result": {
            "shape": [1 if inside else -1, len(bundle.legend), bundle.window, bundle.window],
            "dim_order": ["batch", "class", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": [
            {
                "value": index,
                "name": _slug(known.name) or f"class_{index}",
                "description": f"{known.name}, {known.code} in class rasters of rsseg",
                "color_hint": known.hex.lstrip("#").upper(),
            }
            for index, known in enumerate(bundle.legend)
        ],
        "post_processing_function": None,
    }


def _asset(model: Path, href: str, bands: Sequence[str]) -> dict[str, Any]:
    kind, media = (
        ("onnx.save", "application/octet-stream; application=onnx")
        if is_graph(model)
        else (
            "safetensors.torch.save_file",
            "application/octet-stream; framework=pytorch; application=safetensors",
        )
    )
    return {
        "href": href,
        "type": media,
        "title": "Weights and description",
        "roles": ["mlm:model", "mlm:weights"],
        "mlm:artifact_type": kind,
        "eo:bands": [
            {"name": band} | ({"common_name": common} if (common := common_name(band)) else {})
            for band in bands
        ],
    }


def _size(model: Path) -> dict[str, int]:
    size = network_size(model)
    if size is None:
        return {}
    return {"mlm:total_parameters": size.parameters, "mlm:memory_size": size.memory}


def _hyperparameters(bundle: Bundle) -> dict[str, Any]:
    """The recipe's sections but for the model, which other fields describe."""
    recipe = bundle.provenance.get("recipe") or {}
    return {key: value for key, value in recipe.items() if key not in ("title", "model")}


def _licence(licence: str) -> str | None:
    """The licence if it is an SPDX identifier, ``other`` if it is told in other words.

    STAC 1.1 speaks of SPDX expressions too (``MIT AND CC-BY-4.0``), but its published schema
    refuses the spaces in them.
    """
    if not licence:
        return None
    return licence if re.fullmatch(r"[\w.+-]+", licence) else "other"


def _name(architecture: str) -> str:
    """The name in letters, digits and what may stand between them."""
    name = re.sub(r"[^a-zA-Z0-9_.\-\s]+", "-", architecture).strip("-_. ")
    return name if re.match(r"[a-zA-Z]..", name) else f"model-{name}".strip("-")


def _slug(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z_-]+", "_", name).strip("_")
