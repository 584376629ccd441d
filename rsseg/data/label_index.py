"""Where each class is: pixels by class of every label, counted once and cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from rsseg.caching import cache_place
from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.labels import Labels, open_labels
from rsseg.data.samplers import Shape
from rsseg.legend import Legend
from rsseg.replacing import replacing

PIXELS = 4096
"""Pixels remembered of each class of each scene."""

_STRIP = 1 << 24
_VERSION = 2


@dataclass(frozen=True)
class LabelIndex:
    """How many pixels of each class every scene has, and where some of them are.

    Args:
        legend: The classes.
        shapes: Rows and columns of the scenes.
        counts: Pixels by scene and class index, int64 ``(scenes, K)``.
        pixels: By scene and class, up to `PIXELS` of its pixels, drawn evenly, as
            ``row * columns + column``, ascending.
    """

    legend: Legend
    shapes: tuple[Shape, ...]
    counts: npt.NDArray[np.int64]
    pixels: tuple[tuple[npt.NDArray[np.int64], ...], ...]


def index_labels(
    catalogue: Catalogue,
    legend: Legend,
    *,
    label_stride: int = 1,
    cached: bool = True,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> LabelIndex:
    """Index the labels of a catalogue, or read the index from the cache.

    Labels are read twice, in strips: counted, then looked through for the pixels drawn. The cache
    knows a scene by its row, and its files by size and time.

    Args:
        catalogue: Labelled scenes.
        legend: Their classes.
        label_stride: Pixels of a scene along a side of a label pixel.
        cached: Whether to use the cache, see `rsseg.caching`.
        on_progress: Called with scenes done and scenes in all.

    Raises:
        LegendError: If a label holds what the legend does not have.
        GridMismatch: If a label does not lie on its image's grid.
        SceneError: If a file is damaged.
        OutputError: If the cache cannot be written.
    """
    shapes, counts, pixels = [], [], []
    for done, scene in enumerate(catalogue):
        make = _cached if cached else _of_scene
        shape, count, drawn = make(scene, legend, label_stride)
        shapes.append(shape)
        counts.append(count)
        pixels.append(drawn)
        on_progress(done + 1, len(catalogue))
    return LabelIndex(legend, tuple(shapes), np.stack(counts), tuple(pixels))


_Entry = tuple[Shape, npt.NDArray[np.int64], tuple[npt.NDArray[np.int64], ...]]


def _cached(scene: LabelledScene, legend: Legend, stride: int) -> _Entry:
    place = cache_place("labels", f"{_key(scene, legend, stride)}.npz")
    try:
        with place.open("rb") as file, np.load(file) as stored:
            rows, columns = stored["shape"].tolist()
            drawn = tuple(stored[f"class_{index}"] for index in range(len(legend)))
            return (rows, columns), stored["counts"], drawn
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        BadZipFile,
    ):  # not there, or damaged: made again
        entry = _of_scene(scene, legend, stride)
    shape, counts, drawn = entry
    named: dict[str, Any] = {f"class_{index}": pixels for index, pixels in enumerate(drawn)}
    with replacing(place) as unfinished:
        np.savez(unfinished, shape=np.array(shape), counts=counts, **named)
    return entry


def _key(scene: LabelledScene, legend: Legend, stride: int) -> str:
    files = [file for file in (scene.image, scene.label, scene.areas) if file is not None]
    stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    row = [scene.field, scene.background, str(scene.window), stride]
    said = json.dumps([_VERSION, PIXELS, stats, row, legend.to_json()])
    return hashlib.sha256(said.encode()).hexdigest()


def _of_scene(scene: LabelledScene, legend: Legend, stride: int) -> _Entry:
    grid = scene.grid(stride)
    labels = open_labels(scene, legend, grid, stride)
    try:
        strips = list(labels.strips(max(1, _STRIP // grid.width // stride) * stride))
        by_strip = np.stack([_count(_read(labels, strip), len(legend)) for strip in strips])
        counts = by_strip.sum(axis=0)
        generator = np.random.default_rng(0)
        ordinals = [_ordinals(generator, int(count)) for count in counts]
        firsts = np.cumsum(by_strip, axis=0) - by_strip
        found: list[list[npt.NDArray[np.int64]]] = [[] for _ in counts]
        for strip, first, count in zip(strips, firsts, by_strip, strict=True):
            codes = _read(labels, strip)
            for index in np.flatnonzero(count):
                low, high = np.searchsorted(
                    ordinals[index], (first[index], first[index] + count[index])
                )
                if low < high:
                    here = np.flatnonzero(codes == index)[ordinals[index][low:high] - first[index]]
                    found[index].append(here + int(strip.row_off) * grid.width)
    finally:
        labels.close()
    empty = np.empty(0, np.int64)
    drawn = tuple(np.concatenate(pieces) if pieces else empty for pieces in found)
    return (grid.height, grid.width), counts, drawn


def _read(labels: Labels, strip: Window) -> npt.NDArray[np.uint8]:
    """Class index of each pixel of a strip of the scene."""
    return labels.read(strip, (int(strip.height), int(strip.width))).ravel()


def _count(indices: npt.NDArray[np.uint8], classes: int) -> npt.NDArray[np.int64]:
    return np.bincount(indices, minlength=256)[:classes]


def _ordinals(generator: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
    """Up to `PIXELS` of the numbers below ``count``, drawn evenly, ascending."""
    if count <= PIXELS:
        return np.arange(count)
    return np.sort(generator.choice(count, PIXELS, replace=False, shuffle=False))
