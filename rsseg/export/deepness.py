"""ONNX files for QGIS's plugin Deepness, which ``rsseg predict`` runs as well.

Deepness (https://github.com/PUTvision/qgis-plugin-deepness) gives a graph float32 ``(N, B, h, w)``:
the first B bands, divided by 255 whatever their type, less ``standardization_mean`` and divided by
``standardization_std`` where a version knows these keys. It wants class probabilities back, and
takes tile size, overlap and so on from the file's metadata. Here the graph undoes the division and
does all scaling itself, so that every version and every type of pixels gives the same map.
"""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import replace
from pathlib import Path

import onnx
import torch
from torch import nn

from rsseg.bundle import GRAPH_SCALE, HEADER_KEY, ROUNDING_KEY, Bundle
from rsseg.export.probabilities import Probabilities
from rsseg.export.size import SIZE_KEY, NetworkSize
from rsseg.replacing import replacing

OPSET, IR_VERSION = 17, 8
"""What ONNX Runtime 1.12 reads, the oldest that Deepness allows."""
OVERLAP = 25
"""Per cent of a tile that its neighbour covers too, as in prediction unless it is told otherwise.
Deepness blends nothing: each tile gives its middle up to half of that."""


def write_deepness(
    network: nn.Module, bundle: Bundle, out: str | Path, *, rounding: str | None = None
) -> None:
    """Write graph, weights and metadata in one file, whole or not at all.

    The graph takes one square image of the Bundle's window. Beside Deepness' own keys the file has
    the Bundle under ``rsseg``, with ``probabilities`` for output, and its `NetworkSize`.

    Args:
        network: In evaluation mode, on the CPU.
        bundle: Describes it.
        out: Target, ``.onnx``.
        rounding: What bf16 shifts the logits by, as JSON, where that was measured on real scenes.
    """
    graph = onnx.load_model_from_string(_graph(network, bundle))
    graph.ir_version = IR_VERSION
    graph.producer_name, graph.producer_version = "rsseg", ""
    graph.doc_string = (
        f"Pixel values of {', '.join(bundle.bands)} divided by {GRAPH_SCALE:g} in, "
        f"probabilities of {', '.join(bundle.legend.names)} out."
    )
    size = NetworkSize.of((name, value.numel()) for name, value in network.state_dict().items())
    more = {SIZE_KEY: size.to_json()} | ({} if rounding is None else {ROUNDING_KEY: rounding})
    onnx.helper.set_model_props(graph, metadata_of(bundle) | more)
    onnx.checker.check_model(graph)
    data = graph.SerializeToString(deterministic=True)
    with replacing(out) as unfinished:
        unfinished.write_bytes(data)


def metadata_of(bundle: Bundle) -> dict[str, str]:
    """The texts of the file by key; those of Deepness are JSON, as its documentation has them.

    ``tile_size`` is what its code reads, ``tiles_size`` what its documentation says. The
    standardisation is that which changes nothing; without it some versions assume three bands.
    """
    count = len(bundle.bands)
    told: dict[str, object] = {
        "model_type": "Segmentor",
        "class_names": dict(enumerate(bundle.legend.names)),
        "tile_size": bundle.window,
        "tiles_size": bundle.window,
        "tiles_overlap": OVERLAP,
        "seg_thresh": 0.0,
        "seg_small_segment": 0,
        "standardization_mean": [0.0] * count,
        "standardization_std": [1.0] * count,
    }
    if bundle.gsd is not None:
        told["resolution"] = round(100 * bundle.gsd, 6)
    texts = {key: json.dumps(value) for key, value in told.items()}
    return texts | {HEADER_KEY: replace(bundle, output="probabilities").to_json()}


def _graph(network: nn.Module, bundle: Bundle) -> bytes:
    # the newer exporter writes no opset below 18
    shape = (1, len(bundle.bands), bundle.window, bundle.window)
    module = Probabilities(network, bundle.normalisation, scale=GRAPH_SCALE).eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(shape),),
            buffer,  # type: ignore[arg-type]
            input_names=["pixels"],
            output_names=["probabilities"],
            opset_version=OPSET,
            dynamo=False,
        )
    return buffer.getvalue()
