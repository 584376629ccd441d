"""OpenVINO's own format: an ``.xml`` with the graph and a ``.bin`` with the weights."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import openvino
from torch import nn

from rsseg.bundle import HEADER_KEY, Bundle
from rsseg.errors import OutputError
from rsseg.export.onnx import write_onnx
from rsseg.export.probabilities import Probabilities
from rsseg.replacing import replacing


def write_openvino(network: nn.Module, bundle: Bundle, out: str | Path) -> None:
    """Write a graph from raw pixels to probabilities, of images of any height and width.

    Both files appear, or none: without the ``.xml`` the ``.bin`` is no model, and the ``.xml`` is
    there last. The Bundle is the runtime information ``rsseg``.

    Args:
        network: In evaluation mode, on the CPU.
        bundle: Describes it.
        out: Target, ``.xml``; the weights go beside it.

    Raises:
        OutputError: If the files cannot be written.
    """
    out = Path(out)
    module = Probabilities(network, bundle.normalisation).eval()
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.onnx"
        write_onnx(module, bundle, graph, names=("pixels", "probabilities"))
        model = openvino.convert_model(graph)
        model.set_rt_info(bundle.to_json(), HEADER_KEY)
        xml = Path(folder) / out.name
        try:
            openvino.save_model(model, xml, compress_to_fp16=False)
        except RuntimeError as error:
            raise OutputError(f"{out} cannot be written: {error}") from error
        if not _is_whole(xml):
            raise OutputError(
                f"{out} cannot be written: the folder for temporary files is full",
                got=folder,
                remedy="free some space, or set TMPDIR",
            )
        _put(xml, out)


def weights_of(out: Path) -> Path:
    """The file of weights that goes with an ``.xml``."""
    return out.with_suffix(".bin")


def _is_whole(xml: Path) -> bool:
    """Whether the graph can be parsed and its last weight lies within the file of weights.

    OpenVINO does not say when a disk is full.
    """
    try:
        constants = [
            data.attrib
            for data in ElementTree.parse(xml).iter("data")
            if {"offset", "size"} <= data.attrib.keys()
        ]
        size = weights_of(xml).stat().st_size
    except (ElementTree.ParseError, OSError):
        return False
    return all(int(each["offset"]) + int(each["size"]) <= size for each in constants)


def _put(made: Path, out: Path) -> None:
    """Put graph and weights in place, so that no graph ever stands beside other weights."""
    try:
        with replacing(out) as graph, replacing(weights_of(out)) as weights:  # the last goes first
            shutil.copyfile(weights_of(made), weights)
            shutil.copyfile(made, graph)
            out.unlink(missing_ok=True)
    except BaseException:
        if not out.exists():
            weights_of(out).unlink(missing_ok=True)
        raise
