"""What bf16 shifts the logits of a network by, which is measured once and taken back.

Weights and biases are rounded to 8 significant bits. That moves the logits of each class by much
the same amount at every pixel, and all pixels that are nearly undecided to the same classes; what
activations are rounded by comes to nothing on the whole. The shift is the mean difference of fp32
and bf16 over some images (bias correction, Nagel et al. 2019, of the last layer alone). It lies
beside a graph as ``GRAPH.bf16.json``, in the metadata of an exported one, or in the cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg import __version__
from rsseg.bundle import GRAPH_SCALE, ROUNDING_KEY, ROUNDING_SUFFIX, Bundle, is_graph, read_bundle
from rsseg.caching import cache_folder, cache_place
from rsseg.errors import OutputError
from rsseg.normalise import Normalisation
from rsseg.onnx_header import read_texts
from rsseg.prediction.engines.onnx_graph import file_hash
from rsseg.replacing import replacing

MEASURED_ON = 4
"""Images of noise that the shift of a graph is measured on, where nothing better is known."""
_GREY, _SPREAD = 0.45, 0.2
"""Mean and deviation of scenes, of their full range."""
_STEEPNESS = 1.5
_COLOURED = 0.35
_DIGITS = 4
_LEAST = 1e-30


def shift_of(
    graph: Path, bundle: Bundle, window: int, identity: str | None = None
) -> npt.NDArray[np.float32]:
    """What is to be added to the logits ``(K,)`` of a graph in bf16; measured if not known.

    Args:
        graph: ONNX file.
        bundle: Gives classes, output, and the scaling of raw values into what it takes.
        window: Side of the windows, pixels.
        identity: Hash of the graph or of its weights, where that is known already.

    Raises:
        BundleError: If the graph cannot be used.
    """
    classes = len(bundle.legend)
    for told in (_text(shift_beside(graph)), _told_by(graph)):
        if (found := _parsed(told, classes)) is not None:
            return found
    name = f"{identity or file_hash(graph)}-{window}-{__version__}-{version('openvino')}.json"
    if (found := _parsed(_text(cache_folder() / "bf16" / name), classes)) is not None:
        return found
    whole = bundle.output != "logits"  # an exported graph, which scales by itself
    inside = read_bundle(graph).normalisation if whole else bundle.normalisation
    images = noise(len(bundle.bands), window, MEASURED_ON)
    as_shares = np.array(inside.std) == 1  # of the full range, not standardised
    images[:, as_shares] = np.clip(_GREY + _SPREAD * images[:, as_shares], 0, 1)
    if whole:  # the values that it makes the same images of
        scale, mean, std = (
            np.array(each, np.float32)[:, None, None]
            for each in (inside.scale, inside.mean, inside.std)
        )
        images = (images * std + mean) * scale / GRAPH_SCALE
    # as the graph takes them, so that the shift is the same however a scene is stretched
    plain = Normalisation.uniform(len(bundle.bands), scale=1, mean=0, std=1)
    shift = measure_shift(graph, replace(bundle, normalisation=plain), images)
    with suppress(OutputError, OSError):  # then it is measured again next time
        write_shift(shift, cache_place("bf16", name))
    return shift


def measure_shift(
    graph: Path, bundle: Bundle, windows: Iterable[npt.NDArray[Any]]
) -> npt.NDArray[np.float32]:
    """The mean by which the logits ``(K,)`` of a graph are greater in fp32 than in bf16.

    Logits are known but for what is added to all classes, so their mean is 0. Where the shift of
    the other windows brings a window no nearer to fp32, all are 0.

    Args:
        graph: ONNX file.
        bundle: Describes it, see `shift_of`.
        windows: Raw values, ``(B, side, side)`` each, all of one side.

    Raises:
        BundleError: If the graph cannot be used.
    """
    from rsseg.prediction.engines.openvino_engine import OpenVINOEngine

    raw = np.stack(list(windows))
    logs = []
    for precision in ("fp32", "bf16"):
        engine = OpenVINOEngine(graph, bundle, raw.shape[-1], raw.dtype, precision)
        means = [
            np.log(np.maximum(engine(one[None])[0], _LEAST)).mean(axis=(1, 2), dtype=np.float64)
            for one in raw
        ]
        logs.append(np.stack(means))
    shifts = logs[0] - logs[1]
    shifts -= shifts.mean(axis=1, keepdims=True)
    shift = shifts.mean(axis=0)
    if not _helps(shifts):
        shift = np.zeros_like(shift)
    return np.asarray(np.round(shift, _DIGITS), np.float32)


def write_shift(shift: npt.NDArray[np.float32], path: Path) -> None:
    """Keep a shift in a file."""
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps([round(float(value), _DIGITS) for value in shift]))


def shift_beside(graph: Path) -> Path:
    """Where the shift of a graph lies if it came with it."""
    return graph.with_suffix(ROUNDING_SUFFIX)


def noise(bands: int, side: int, count: int) -> npt.NDArray[np.float32]:
    """Images ``(N, B, side, side)`` of mean 0 and deviation 1 with the spectrum of aerial scenes.

    Always the same ones. Their bands are alike for the most part, as those of scenes.
    """
    random = np.random.default_rng(0)
    down, across = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    frequency = np.maximum(np.hypot(down, across), 1 / side)
    white = np.fft.rfft2(random.standard_normal((count, 1 + bands, side, side)))
    planes = np.fft.irfft2(white / frequency**_STEEPNESS, s=(side, side))
    planes -= planes.mean(axis=(2, 3), keepdims=True)
    planes /= np.maximum(planes.std(axis=(2, 3), keepdims=True), _LEAST)
    common, own = planes[:, :1], planes[:, 1:]
    return np.asarray(np.sqrt(1 - _COLOURED**2) * common + _COLOURED * own, np.float32)


def _helps(shifts: npt.NDArray[np.float64]) -> bool:
    """Whether the mean of the others' shifts ``(N - 1, K)`` is nearer to each than none is."""
    if not np.isfinite(shifts).all():  # images that overflow the network tell nothing of it
        return False
    count = len(shifts)
    if count == 1:
        return True
    others = (shifts.sum(axis=0) - shifts) / (count - 1)
    return bool(((shifts - others) ** 2).sum() < (shifts**2).sum())


def _text(path: Path) -> str:
    """What a file says; nothing if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _told_by(graph: Path) -> str:
    """What an exported graph says of its shift."""
    try:
        return read_texts(graph).get(ROUNDING_KEY, "") if is_graph(graph) else ""
    except (OSError, ValueError):
        return ""


def _parsed(text: str, classes: int) -> npt.NDArray[np.float32] | None:
    """The shift that a text tells; None if it tells none for so many classes."""
    try:
        shift = np.array(json.loads(text), np.float32)
    except (TypeError, ValueError):
        return None
    return shift if shift.shape == (classes,) and np.isfinite(shift).all() else None
