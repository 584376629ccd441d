"""By what a model is known again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rsseg.bundle import Bundle
from rsseg.prediction.engines.onnx_graph import file_hash

if TYPE_CHECKING:
    from torch import nn


def identity_of(model: Path | None, network: nn.Module | None, bundle: Bundle) -> str:
    """Hash of a model file, or of a network passed in and what describes it."""
    if model is not None:
        return file_hash(model)
    digest = hashlib.sha256(bundle.to_json().encode())
    if network is not None:
        digest.update(f"{type(network).__module__} {network!r}".encode())
        for name, value in sorted(network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
