"""ONNX graphs of networks: normalised images in, logits out, any height and width.

As a program, ``python -m rsseg.export.onnx MODEL OUT`` converts a model file (prediction runs it in
a child process), and ``--beside MODEL`` writes a graph that leaves the weights in the model file.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from torch import nn

from rsseg.bundle import Bundle, read_layout
from rsseg.errors import RssegError
from rsseg.models import load

OPSET = 18
_TYPES = {"F16": onnx.TensorProto.FLOAT16, "F32": onnx.TensorProto.FLOAT}


def write_onnx(
    network: nn.Module,
    bundle: Bundle,
    out: str | Path,
    *,
    side: int | None = None,
    names: tuple[str, str] = ("images", "logits"),
) -> None:
    """Write the graph and weights of a network in one file.

    Args:
        network: In evaluation mode, on the CPU.
        bundle: Gives bands and window.
        out: Target, ``.onnx``.
        side: Side of the only images the graph takes, pixels; None for a graph that takes any.
        names: Of its input and its output.
    """
    shape = side or bundle.window, side or bundle.window
    example = torch.zeros(1, len(bundle.bands), *shape)
    height, width = torch.export.Dim("height", min=1), torch.export.Dim("width", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(out),
            input_names=names[:1],
            output_names=names[1:],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            optimize=False,  # the runtime folds batch normalisation; tensors keep their names
            dynamic_shapes=({2: height, 3: width},) if side is None else None,
            verbose=False,
        )


def write_graph_beside(model: str | Path) -> Path:
    """Write ``MODEL.onnx`` beside a model file, its weights left in the model file.

    Each weight of the graph is a reference to the bytes of the tensor of the same name, so that
    graph and model file cannot differ; 16-bit weights are widened in the graph.

    Returns:
        The path of the graph.
    """
    model = Path(model)
    network, bundle = load(model)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.onnx"
        write_onnx(network, bundle, whole)
        graph = onnx.load(str(whole))
    _refer_to(graph, model)
    target = model.with_suffix(".onnx")
    target.write_bytes(graph.SerializeToString(deterministic=True))
    return target


def _refer_to(graph: onnx.ModelProto, model: Path) -> None:
    """Replace the weights in a graph by references into the safetensors file beside it."""
    start, tensors = read_layout(model)
    casts = []
    for weight in graph.graph.initializer:
        if weight.name not in tensors:
            continue
        kind, first, last = tensors[weight.name]
        stored = f"{weight.name}.stored"
        casts.append(onnx.helper.make_node("Cast", [stored], [weight.name], to=weight.data_type))
        weight.name = stored
        weight.data_type = _TYPES[kind]
        weight.ClearField("raw_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        place = {"location": model.name, "offset": start + first, "length": last - first}
        for key, value in place.items():
            weight.external_data.add(key=key, value=str(value))
    nodes = [*casts, *graph.graph.node]
    for part in (*nodes, *graph.graph.value_info):
        part.ClearField("metadata_props")  # where in the source each node came from
        part.ClearField("doc_string")
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def main(arguments: list[str]) -> int:
    """Convert a model file; prints the reason and returns 1 on failure."""
    try:
        if arguments[0] == "--beside":
            write_graph_beside(arguments[1])
        else:
            write_onnx(*load(arguments[0]), arguments[1])
    except RssegError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
