"""By what a scene and a model are known again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rsseg.bundle import Bundle
from rsseg.prediction.onnx_graph import file_hash

if TYPE_CHECKING:
    from torch import nn


def fingerprint(scene: str) -> list[int | str]:
    """Size and time stamp of a local file, the name of anything else."""
    path = Path(scene)
    if not path.is_file():
        return [scene]
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


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
