"""8-bit graphs: calibrated once per model on windows of a scene, checked, and kept in the cache.

As a program, ``python -m rsseg.prediction.engines.quantising GRAPH WINDOWS.npy SHARE OUT.xml``
calibrates; it runs in a child process, for nncf and its libraries take hundreds of megabytes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg import __version__
from rsseg.bundle import Bundle
from rsseg.caching import cache_folder, cache_place
from rsseg.errors import BundleError, MissingExtra, OptionError

CALIBRATED_ON = 16
"""Windows that the ranges of activations are taken from."""
CHECKED_ON = 8
"""Other windows that the result is compared with fp32 on."""
LEAST_AGREEMENT = 0.995
DECIDED = 0.5
"""Pixels whose two best logits differ by so much in fp32 must keep their class."""
SPARED = (0.0, 0.5)
"""Shares of the convolutions, from the input on, that stay as they are: the first is taken that
passes. The first layers suffer most from 8 bits and are the fewest operations."""


def quantised_graph(identity: str) -> Path:
    """Where the 8-bit graph of the model of this identity lies, or will lie."""
    return cache_folder() / "int8" / f"{identity}-{__version__}" / "graph.xml"


def quantise(
    graph: Path, identity: str, bundle: Bundle, sample: Callable[[int], npt.NDArray[Any]]
) -> Path:
    """The 8-bit graph of a model, calibrated unless the cache has it.

    Args:
        graph: ONNX file, normalised images to logits.
        identity: Hash of the model.
        bundle: Gives the normalisation.
        sample: Gives so many raw windows ``(N, B, h, w)`` at most.

    Raises:
        MissingExtra: If nncf is not installed.
        OptionError: If 8 bits change too many decided pixels.
        BundleError: If the graph cannot be quantised.
        OutputError: If the cache cannot be made.
    """
    found = quantised_graph(identity)
    if found.is_file():
        return found
    if importlib.util.find_spec("nncf") is None:
        raise MissingExtra("nncf", "int8")
    windows = sample(CALIBRATED_ON + CHECKED_ON)
    # every third one is held back; the window of a tiny scene has to serve for both
    held = np.arange(len(windows)) % 3 == 2 if len(windows) > 2 else np.ones(len(windows), bool)
    seen = ~held if len(windows) > 2 else held
    place = cache_place("int8", found.parent.name)
    with tempfile.TemporaryDirectory(prefix=".", dir=place.parent) as folder:
        scaling = bundle.normalisation
        gain, offset = scaling.gain[:, None, None], scaling.offset[:, None, None]
        images = Path(folder) / "images.npy"
        np.save(images, (windows[seen] * gain + offset).astype(np.float32))
        agreement = 0.0
        for number, share in enumerate(SPARED):
            made = Path(folder) / str(number) / "graph.xml"
            made.parent.mkdir()
            _calibrate(graph, images, share, made)
            agreement = max(agreement, _agreement(graph, made, bundle, windows[held]))
            if agreement >= LEAST_AGREEMENT:
                _move(made.parent, place)
                return found
    raise OptionError(
        "this model does not stand 8 bits: of the pixels it is decided on in fp32 "
        f"{100 * agreement:.1f} % keep their class",
        expected=f"at least {100 * LEAST_AGREEMENT:.1f} %",
        remedy="use --precision auto",
    )


def quantised_hash(graph: Path) -> str:
    """SHA-256 of an 8-bit graph and its weights, hexadecimal."""
    digest = hashlib.sha256(graph.read_bytes())
    digest.update(graph.with_suffix(".bin").read_bytes())
    return digest.hexdigest()


def decided_agreement(
    reference: npt.NDArray[np.float32], other: npt.NDArray[np.float32]
) -> tuple[float, float]:
    """Shares of pixels with the same class: of those the reference is decided on, and of all.

    Args:
        reference: Probabilities ``(N, K, h, w)``.
        other: Probabilities of the same shape.
    """
    same = reference.argmax(axis=1) == other.argmax(axis=1)
    two = np.sort(reference, axis=1)[:, -2:] if reference.shape[1] > 1 else None
    if two is None:
        return 1.0, 1.0
    # logits and log-probabilities have the same differences
    margin = np.log(np.maximum(two[:, 1], 1e-30)) - np.log(np.maximum(two[:, 0], 1e-30))
    decided = same[margin >= DECIDED]
    return float(decided.mean()) if decided.size else 1.0, float(same.mean())


def _agreement(graph: Path, quantised: Path, bundle: Bundle, windows: npt.NDArray[Any]) -> float:
    from rsseg.prediction.engines.openvino_engine import OpenVINOEngine

    side, dtype = windows.shape[-1], windows.dtype
    exact, low = (
        OpenVINOEngine(each, bundle, side, dtype, precision)(windows)
        for each, precision in ((graph, "fp32"), (quantised, "int8"))
    )
    return decided_agreement(exact, low)[0]


def _calibrate(graph: Path, images: Path, share: float, out: Path) -> None:
    # -P: nothing from the folder it runs in, where a user's onnx.py may lie
    program = [sys.executable, "-P", "-m", "rsseg.prediction.engines.quantising"]
    command = [*program, str(graph), str(images), str(share), str(out)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise BundleError(f"{graph} cannot be quantised: {last}")


def _move(made: Path, place: Path) -> None:
    """Put a folder in place as a whole; one that another process put there meanwhile stays."""
    try:
        os.replace(made, place)
    except OSError:
        if not (place / "graph.xml").is_file():
            raise


def main(arguments: list[str]) -> None:
    """Calibrate a graph on normalised images and write it."""
    graph, images, share, out = arguments
    import nncf
    import openvino

    model = openvino.Core().read_model(graph)
    layers = [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() in ("Convolution", "GroupConvolution")
    ]
    spared = layers[: round(float(share) * len(layers))]
    windows = [image[None] for image in np.load(images)]
    quantised = nncf.quantize(
        model,
        nncf.Dataset(windows),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(windows),
        ignored_scope=nncf.IgnoredScope(names=spared) if spared else None,
    )
    openvino.save_model(quantised, out, compress_to_fp16=False)


if __name__ == "__main__":
    main(sys.argv[1:])
