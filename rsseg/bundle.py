"""All that prediction needs to know of a network but its weights.

A model file is one ``.safetensors``: the tensors, and under the header key ``rsseg`` a Bundle as
JSON. A model exported for other software is one ``.onnx`` with the same key in its metadata. Both
are read without torch, so ``rsseg info`` and planning stay light.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from rsseg.errors import BundleError, RssegError
from rsseg.legend import Legend
from rsseg.normalise import Normalisation
from rsseg.onnx_header import read_texts

Output = Literal["logits", "probabilities"]
SCHEMA = 1
HEADER_KEY = "rsseg"
ROUNDING_KEY = "rsseg_bf16"
"""Key of an exported graph with what bf16 shifts its logits by."""
ROUNDING_SUFFIX = ".bf16.json"
"""What the name of a file with the same ends in, which lies beside a model file and its graph."""
DECAY_BINS = 16
"""Equal steps from the border of a window to its middle, in which receptive decay is told."""
GRAPH_SCALE = 255.0
"""Raw value that is 1 at the input of a graph with ``probabilities`` for output: QGIS's Deepness
divides by it whatever the type of the pixels."""
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class Bundle:
    """A trained network described: what goes in, what comes out, where it came from.

    Args:
        architecture: Name in `rsseg.models.BUILDERS`, or of a network passed in by the caller.
        legend: Classes by output channel.
        bands: Names of the input bands in order, such as ``("red", "green", "blue")``.
        normalisation: Scaling of raw values, one entry per band.
        options: Keyword arguments of the architecture beyond classes and bands.
        window: Side of the square window the network is best used with, pixels.
        gsd: Ground sample distance of the training scenes in metres, None if unknown.
        licence: Licence of the weights, as an SPDX identifier where there is one.
        provenance: How the weights came to be: recipe, seed, split, data, version.
        scores: Validation scores, as `ConfusionMatrix.scores` gives them.
        decay: Receptive decay: by distance from the border of a window, in ``DECAY_BINS`` equal
            steps up to its middle, the share of pixels classed otherwise than by many windows
            together; None if it was not measured. See `rsseg.prediction.planning.decay`.
        output: What the network or graph of the file gives: ``logits`` of normalised images; or
            ``probabilities``, where normalisation and softmax are in the graph, which then takes
            raw values divided by ``GRAPH_SCALE``.

    Raises:
        BundleError: If bands and normalisation differ in number, a size is not positive, the
            decay is not so many shares, or there is no such output.
    """

    architecture: str
    legend: Legend
    bands: tuple[str, ...]
    normalisation: Normalisation
    options: dict[str, Any] = field(default_factory=dict)
    window: int = 512
    gsd: float | None = None
    licence: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    decay: tuple[float, ...] | None = None
    output: Output = "logits"

    def __post_init__(self) -> None:
        if len(self.bands) != len(self.normalisation):
            raise BundleError(
                "the bundle's bands and normalisation do not match",
                expected=f"{len(self.bands)} bands",
                got=f"{len(self.normalisation)} normalised ones",
            )
        if self.window < 1 or (self.gsd is not None and self.gsd <= 0):
            raise BundleError(
                "the bundle's window and ground sample distance must be positive",
                got=f"window {self.window}, gsd {self.gsd}",
            )
        if self.decay is not None and (
            len(self.decay) != DECAY_BINS or not all(0 <= share <= 1 for share in self.decay)
        ):
            raise BundleError(
                "the bundle's receptive decay is not what was measured",
                expected=f"{DECAY_BINS} shares of pixels, 0-1",
                got=self.decay,
            )
        if self.output not in get_args(Output):
            raise BundleError(
                "the bundle's output is none that is known",
                expected=" or ".join(get_args(Output)),
                got=self.output,
            )

    def to_json(self) -> str:
        """The Bundle as one JSON object with sorted keys, the inverse of `from_json`."""
        more: dict[str, Any] = {} if self.decay is None else {"decay": list(self.decay)}
        if self.output != "logits":
            more["output"] = self.output
        return json.dumps(
            {
                "schema": SCHEMA,
                "architecture": self.architecture,
                "options": self.options,
                "bands": list(self.bands),
                "normalisation": self.normalisation.to_json(),
                "legend": self.legend.to_json(),
                "window": self.window,
                "gsd": self.gsd,
                "licence": self.licence,
                "provenance": self.provenance,
                "scores": self.scores,
            }
            | more,
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> Bundle:
        """Read what `to_json` wrote.

        Raises:
            BundleError: If the text is not such an object, or of a newer schema.
        """
        try:
            data = json.loads(text)
            if data["schema"] > SCHEMA:
                raise BundleError(
                    "the model was written by a newer rsseg",
                    expected=f"schema {SCHEMA}",
                    got=data["schema"],
                    remedy="pip install --upgrade rsseg",
                )
            return cls(
                architecture=str(data["architecture"]),
                options=dict(data["options"]),
                bands=tuple(data["bands"]),
                normalisation=Normalisation.from_json(data["normalisation"]),
                legend=Legend.from_json(data["legend"]),
                window=int(data["window"]),
                gsd=data["gsd"],
                licence=data["licence"],
                provenance=dict(data["provenance"]),
                scores=dict(data["scores"]),
                decay=None if data.get("decay") is None else tuple(map(float, data["decay"])),
                output=data.get("output", "logits"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the model's header is damaged: {error!r}") from error


def read_bundle(path: str | Path) -> Bundle:
    """The Bundle in a model file's header, read without loading the weights.

    Raises:
        BundleError: If there is no such file, or it is not a model file of rsseg.
    """
    if is_graph(path):
        metadata, kind, remedy = _read_texts(Path(path)), "an ONNX", "rsseg export MODEL --to onnx"
    else:
        metadata = _read_header(Path(path))[0].get("__metadata__") or {}
        kind, remedy = "a safetensors", "rsseg.models.save"
    if HEADER_KEY not in metadata:
        raise BundleError(
            f"{path} is {kind} file without an rsseg header", remedy=f"write models by {remedy}"
        )
    try:
        return Bundle.from_json(metadata[HEADER_KEY])
    except RssegError as error:
        raise BundleError(f"{path}: {error}") from error


def is_graph(path: str | Path) -> bool:
    """Whether a model file is a graph for OpenVINO alone, by its name."""
    return Path(path).suffix.lower() == ".onnx"


def read_layout(path: str | Path) -> tuple[int, dict[str, tuple[str, int, int]]]:
    """Where the tensors of a model file lie.

    Returns:
        The file offset of the data, and by tensor name its type as safetensors spells it
        (``F16``), first byte and byte after the last, counted from there.
    """
    header, length = _read_header(Path(path))
    tensors = {
        name: (entry["dtype"], *entry["data_offsets"])
        for name, entry in header.items()
        if name != "__metadata__"
    }
    return 8 + length, tensors


def _read_texts(path: Path) -> dict[str, str]:
    """The texts of an ONNX file by key."""
    if not path.is_file():
        raise BundleError(f"there is no model file {path}")
    try:
        return read_texts(path)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BundleError(
            f"{path} is not a model file: {error}", expected="an .onnx file written by rsseg export"
        ) from error


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The JSON header of a safetensors file and its length.

    Eight bytes of little-endian length stand before it.
    """
    if not path.is_file():
        raise BundleError(f"there is no model file {path}")
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            text = file.read(length) if 0 < length <= _LONGEST_HEADER else b""
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    try:
        header = json.loads(text)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise BundleError(
            f"{path} is not a model file",
            expected="a .safetensors file written by rsseg, or an .onnx by rsseg export",
        )
    return header, length
