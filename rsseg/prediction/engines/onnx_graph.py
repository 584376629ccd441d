"""The ONNX graph of a model file: shipped beside it, or converted once and cached."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rsseg import __version__
from rsseg.bundle import GRAPH_SCALE, Bundle, is_graph, read_bundle
from rsseg.caching import cache_folder, cache_place
from rsseg.errors import BundleError, MissingExtra
from rsseg.normalise import Normalisation
from rsseg.replacing import replacing

if TYPE_CHECKING:
    from torch import nn

ASSETS = Path(__file__).parents[2] / "assets"
EMBEDDED_MODEL = ASSETS / "landcover.safetensors"
"""The model used when none is named."""


def onnx_graph(model: Path, identity: str | None = None) -> Path:
    """The ONNX graph of a model file, from normalised images to logits.

    The embedded model has its own, and an exported one is one, see `as_fed`. Any other is converted
    in a child process, so that this one stays free of torch, and kept under the hash of the file.

    Args:
        model: The model file.
        identity: Its hash, where that is known already.

    Raises:
        MissingExtra: If the conversion needs torch and it is not installed.
        BundleError: If the conversion fails.
        OutputError: If the cache cannot be made.
    """
    if is_graph(model):
        return model
    identity = identity or file_hash(model)
    if _is_embedded(model, identity):  # wherever it lies
        return EMBEDDED_MODEL.with_suffix(".onnx")
    name = f"{identity}-{__version__}.onnx"
    if (cache_folder() / "onnx" / name).is_file():
        return cache_folder() / "onnx" / name
    for package in ("torch", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, "torch")
    cached = cache_place("onnx", name)
    unfinished = cached.with_name(f".{os.getpid()}.{cached.name}")
    # -P: nothing from the folder it runs in, where a user's onnx.py may lie
    command = [sys.executable, "-P", "-m", "rsseg.export.onnx", str(model), str(unfinished)]
    try:
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        if child.returncode:
            last = (child.stderr.strip().splitlines() or ["no message"])[-1]
            raise BundleError(f"{model} cannot be converted to ONNX: {last}")
        os.replace(unfinished, cached)
    finally:
        unfinished.unlink(missing_ok=True)
    return cached


def as_fed(bundle: Bundle, model: Path | None) -> Bundle:
    """The Bundle with the scaling of raw values into what the graph of its model takes.

    That is its own scaling, unless the graph does that itself: then it takes raw values divided by
    ``GRAPH_SCALE``. Where the Bundle was given another scaling meanwhile, to stretch a scene, the
    graph is fed what it makes the same images of.

    Args:
        bundle: Describes the model.
        model: Its file.
    """
    if bundle.output == "logits" or model is None:
        return bundle
    inside, wanted = read_bundle(model).normalisation, bundle.normalisation
    pairs = list(zip(inside.scale, inside.mean, inside.std, strict=True))
    news = list(zip(wanted.scale, wanted.mean, wanted.std, strict=True))
    # raw / scale - mean, times 255, is what the graph scales: images = raw / s / d - m / d
    fed = Normalisation(
        scale=tuple(
            GRAPH_SCALE * (s1 * d1) / (s0 * d0)
            for (s0, _, d0), (s1, _, d1) in zip(pairs, news, strict=True)
        ),
        mean=tuple(
            (m1 / d1 - m0 / d0) * s0 * d0 / GRAPH_SCALE
            for (s0, m0, d0), (_, m1, d1) in zip(pairs, news, strict=True)
        ),
        std=(1.0,) * len(pairs),
    )
    return replace(bundle, normalisation=fed)


def network_graph(network: nn.Module, bundle: Bundle, side: int, identity: str) -> Path:
    """The ONNX graph of a network passed in, for windows of one size.

    Networks of others often check the size of their input, so the graph has no other. It is kept
    under the network's identity.

    Args:
        network: Maps normalised images to logits.
        bundle: Describes it.
        side: Side of the windows, pixels.
        identity: Hash of the network and its weights.

    Raises:
        MissingExtra: If the conversion's library is not installed.
        BundleError: If the network cannot be converted.
        OutputError: If the cache cannot be made.
    """
    cached = cache_place("onnx", f"{identity}-{side}-{__version__}.onnx")
    if cached.is_file():
        return cached
    if importlib.util.find_spec("onnxscript") is None:
        raise MissingExtra("onnxscript", "torch")
    from rsseg.export.onnx import write_onnx

    with replacing(cached) as unfinished:
        try:
            write_onnx(network, bundle, unfinished, side=side)
        except Exception as error:  # whatever the converter stumbles over
            raise BundleError(
                f"the network cannot be converted to ONNX: {type(error).__name__} {error}",
                remedy="use engine torch",
            ) from error
    return cached


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_embedded(model: Path, identity: str) -> bool:
    if model == EMBEDDED_MODEL:
        return True
    alike = model.stat().st_size == EMBEDDED_MODEL.stat().st_size
    return alike and identity == file_hash(EMBEDDED_MODEL)
