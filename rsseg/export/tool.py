"""The export tool: a model file in, a file for other software out."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsseg.bundle import ROUNDING_SUFFIX, Bundle, is_graph, read_bundle
from rsseg.errors import BundleError, MissingExtra, OptionError, OutputError, RssegError
from rsseg.export.stac_mlm import is_installed, write_item
from rsseg.writable import require_writable

if TYPE_CHECKING:
    from torch import nn

SUFFIXES = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "torch-export": ".pt2",
    "stac-mlm": ".json",
}
"""What the name of a file ends in, by format."""

_NEEDED = {
    "onnx": ("torch", "onnx"),
    "openvino": ("torch", "onnx", "onnxscript"),
    "torch-export": ("torch",),
}
"""Packages of an extra, by format."""

_Writer = Callable[["nn.Module", Bundle, Path], None]


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Args:
        out: The file.
        format: One of ``SUFFIXES``.
        files: It, and what goes with it.
        bytes: Their sizes together.
        notes: What the user should know, one sentence each.
    """

    out: str
    format: str
    files: tuple[str, ...]
    bytes: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields in plain types."""
        return asdict(self)


def export(
    model: str | Path, out: str | Path, *, to: str = "onnx", overwrite: bool = False
) -> ExportResult:
    """Write a model for other software.

    - ``onnx``: one file that QGIS's plugin Deepness and `rsseg.prediction` run; see
      `rsseg.export.deepness`.
    - ``openvino``: a graph from raw pixels to probabilities and its weights, see
      `rsseg.export.openvino_ir`.
    - ``torch-export``: a program from raw pixels to probabilities, see
      `rsseg.export.torch_program`.
    - ``stac-mlm``: a STAC item that describes the model file, see `rsseg.export.stac_mlm`.

    Args:
        model: Model file of rsseg, ``.safetensors``; for ``stac-mlm`` also ``.onnx``.
        out: Target; its name ends as ``SUFFIXES`` says.
        to: The format.
        overwrite: Whether a file that is there is replaced.

    Raises:
        BundleError: If it is no such model file, or its network cannot be converted.
        OptionError: If there is no such format, or the name does not end so.
        OutputError: If the file is there already or cannot be written.
        MissingExtra: If torch or the converter is missing.
    """
    model, out = Path(model), Path(out)
    if to not in SUFFIXES:
        raise OptionError("there is no such format", expected=", ".join(SUFFIXES), got=to)
    files = (out, out.with_suffix(".bin")) if to == "openvino" else (out,)
    bundle = read_bundle(model)
    require_writable(out, (SUFFIXES[to],), beside=files[1:], inputs=(model,), overwrite=overwrite)
    try:
        if to == "stac-mlm":
            write_item(model, out)
        else:
            _convert(model, out, to)
        size = sum(file.stat().st_size for file in files)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}") from error
    return ExportResult(str(out), to, tuple(map(str, files)), size, _notes(model, bundle, to))


def _convert(model: Path, out: Path, to: str) -> None:
    """Load the network and write it in a format."""
    if is_graph(model):
        raise OptionError(
            f"{model} was exported already", remedy="export the .safetensors file it was made of"
        )
    for package in _NEEDED[to]:
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, "torch")
    from rsseg.models import load

    network, bundle = load(model)
    try:
        _writer(model, to)(network, bundle, out)
    except (OSError, RssegError):
        raise
    except Exception as error:  # whatever the converters stumble over
        raise BundleError(
            f"{model} cannot be converted to {to}: {type(error).__name__} {error}"
        ) from error


def _writer(model: Path, to: str) -> _Writer:
    """What writes a model in a format; no other's libraries are loaded."""
    if to == "onnx":
        from rsseg.export.deepness import write_deepness

        beside = model.with_suffix(ROUNDING_SUFFIX)
        rounding = beside.read_text(encoding="utf-8") if beside.is_file() else None
        return functools.partial(write_deepness, rounding=rounding)
    if to == "openvino":
        from rsseg.export.openvino_ir import write_openvino

        return write_openvino
    from rsseg.export.torch_program import write_program

    return write_program


def _notes(model: Path, bundle: Bundle, to: str) -> tuple[str, ...]:
    if to == "onnx" and bundle.gsd is None:
        return ("the model's ground sample distance is unknown, so Deepness has to be told one",)
    if to == "stac-mlm" and is_installed(model):
        return (f"the item looks for {model.name} beside itself: copy it from {model}",)
    return ()
