"""How large the network in a model file is, without torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from rsseg.bundle import is_graph, read_layout
from rsseg.errors import BundleError
from rsseg.onnx_header import read_texts

SIZE_KEY = "rsseg_size"
"""Of the metadata of an exported graph. Its weights are not the network's: those of normalisation
are folded into convolutions."""
_WIDTHS = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
_WIDTHS |= {"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
"""Bytes of a value by the type that a model file names."""
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Last parts of the names of tensors that batch normalisation counts, and training does not."""


@dataclass(frozen=True)
class NetworkSize:
    """How large a network is.

    Args:
        parameters: Numbers that training sets.
        memory: Bytes of all its tensors in 32 bits, as it is loaded.
    """

    parameters: int
    memory: int

    @classmethod
    def of(cls, tensors: Iterable[tuple[str, int]]) -> NetworkSize:
        """Of a network whose tensors have these names, and so many values."""
        values = dict(tensors)
        trained = sum(count for name, count in values.items() if not name.endswith(_STATISTICS))
        return cls(trained, 4 * sum(values.values()))

    def to_json(self) -> str:
        """What stands under ``SIZE_KEY``."""
        return json.dumps(asdict(self))


def network_size(model: Path) -> NetworkSize | None:
    """The size of the network in a model file; None of a graph that does not tell it.

    Raises:
        BundleError: If it is no model file of rsseg.
    """
    if is_graph(model):
        text = read_texts(model).get(SIZE_KEY)
        try:
            return None if text is None else NetworkSize(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise BundleError(f"{model} does not tell its size: {error}") from error
    return NetworkSize.of(
        (name, (end - start) // _WIDTHS[kind])
        for name, (kind, start, end) in read_layout(model)[1].items()
    )
