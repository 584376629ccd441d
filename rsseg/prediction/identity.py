"""By what a scene and a model are known again.

A scene's fingerprint is kept in the journal of its run, so it holds no address and no key.
"""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from rsseg.bundle import Bundle
from rsseg.geo.remote import is_remote, public_name
from rsseg.geo.state import pixel_digest, sources_of, state_at_server
from rsseg.prediction.onnx_graph import file_hash

if TYPE_CHECKING:
    from torch import nn

State = list[int | str]

_AT_ONCE = 16
"""Servers asked at the same time."""


def fingerprint(scene: str) -> list[State]:
    """The state of every file that a scene's pixels come from.

    Of a local file its size and time stamp, of a VRT its text and the files it names, of an
    address what the server says: size, ETag and time. Where nobody says anything, such as a server
    without ETag and time, or a bucket, a digest of a sample of the pixels.

    Raises:
        SceneError: If the scene cannot be opened, or a server does not answer.
    """
    files = [scene, *sources_of(scene)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(_state, files))


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


def _state(name: str) -> State:
    path = Path(name)
    if path.is_file() and path.suffix.lower() == ".vrt":
        return [_digest_of_vrt(path)]
    if path.is_file():
        status = path.stat()
        return [status.st_size, status.st_mtime_ns]
    if is_remote(name):
        return state_at_server(name) or [pixel_digest(name)]
    return [pixel_digest(name)]


def _digest_of_vrt(path: Path) -> str:
    """Hash of a VRT's text, whose sources count by their last name: folders and keys may change."""
    text = re.sub(
        r"(<SourceFilename[^>]*>)([^<]*)",
        lambda found: found[1] + Path(public_name(found[2])).name,
        path.read_text(encoding="utf-8"),
    )
    return hashlib.sha256(text.encode()).hexdigest()
