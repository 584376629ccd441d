"""The statistics of a catalogue counted: every image and label is read once, in strips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from rsseg.data.agreement import alpha_notes, common_bands, common_legend
from rsseg.data.band_statistics import BandCounter, count_bytes
from rsseg.data.catalogue import Catalogue
from rsseg.data.labels import Labels, open_labels
from rsseg.data.statistics import ImageStatistics, Statistics
from rsseg.errors import CatalogueError, LegendError
from rsseg.geo.opening import gdal_cache
from rsseg.geo.scene import Scene
from rsseg.legend import NODATA, Legend

_STRIP_BYTES = 1 << 24
_CACHE = 1 << 27  # blocks are read once, so that GDAL need not keep them


def catalogue_statistics(
    catalogue: Catalogue,
    *,
    bands: Sequence[int | str] | None = None,
    legend: Legend | None = None,
    table: str | Path | None = None,
    label_stride: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Statistics:
    """Read all images and labels of a catalogue once, in strips.

    Args:
        catalogue: Labelled scenes.
        bands: Numbers or names; all bands but alpha if None.
        legend: The classes; what `common_legend` finds if None.
        table: The file of the catalogue, if it has one.
        label_stride: Pixels of an image along a side of a label pixel.
        on_progress: Called with pixels done and pixels in all.

    Raises:
        CatalogueError: If images differ in pixel type or bands, or no pixel is valid.
        LegendError: If labels differ in their legends, or hold what the legend does not have.
        GridMismatch: If a label does not lie on its image's grid.
        SceneError: If a file cannot be read.
        BandError: If a band is not there.
    """
    given = legend
    legend = given or common_legend(catalogue, table)
    names, dtype = common_bands(catalogue, bands)
    grids = [row.grid(label_stride) for row in catalogue]
    total, done = sum(grid.height * grid.width for grid in grids), 0
    counters = [BandCounter.of(dtype) for _ in names]
    images: list[ImageStatistics] = []
    notes = list(alpha_notes(catalogue))
    for row, grid in zip(catalogue, grids, strict=True):
        labels = open_labels(row, legend, grid, label_stride)
        notes += labels.notes
        tally, counts = np.zeros(3, np.int64), np.zeros(256, np.int64)
        with gdal_cache(_CACHE), Scene(row.image, bands, row.window) as scene, closing(labels):
            for strip in _strips(scene, labels, label_stride):
                tally += _count_pixels(strip, counters)
                counts += _count_classes(strip, label_stride)
                on_progress(done + int(tally[0]), total)
        done += int(tally[0])
        known = tuple(counts[: len(legend)].tolist())
        pixels, valid, black = tally.tolist()
        images.append(ImageStatistics(row, pixels, valid, black, int(counts.sum()), known))
    if not any(image.valid for image in images):
        raise CatalogueError("no image of the catalogue has a valid pixel")
    found = tuple(c.result(name) for c, name in zip(counters, names, strict=True))
    result = Statistics(dtype.name, found, legend, tuple(images), tuple(dict.fromkeys(notes)))
    return result if given else _occurring(result)


@dataclass(frozen=True)
class _Strip:
    """Pixels ``(B, h, w)``, their validity ``(h, w)`` and class indices of the same rows."""

    pixels: npt.NDArray[Any]
    valid: npt.NDArray[np.bool_]
    classes: npt.NDArray[np.uint8]


def _strips(scene: Scene, labels: Labels, stride: int) -> Iterator[_Strip]:
    """The rows of a scene from the top; the next are read while some are counted."""
    height, width = scene.grid.height, scene.grid.width
    unit = np.lcm(scene.block_height, stride)
    rows = max(1, _STRIP_BYTES // (width * len(scene.bands) * scene.dtype.itemsize * unit)) * unit
    rows = int(min(rows, height))
    windows = [Window(0, row, width, min(rows, height - row)) for row in range(0, height, rows)]
    with ThreadPoolExecutor(2) as pool:

        def ahead(window: Window) -> tuple[Any, Any]:
            shape = -(-int(window.height) // stride), -(-width // stride)
            return pool.submit(scene.read, window), pool.submit(labels.read, window, shape)

        coming = ahead(windows[0])
        for number in range(len(windows)):
            (pixels, valid), classes = (each.result() for each in coming)
            if number + 1 < len(windows):
                coming = ahead(windows[number + 1])
            yield _Strip(pixels, valid, classes)


def _count_pixels(strip: _Strip, counters: Sequence[BandCounter]) -> tuple[int, int, int]:
    """Pixels, valid ones and black ones; the valid ones go to the counters."""
    size, valid = strip.valid.size, int(np.count_nonzero(strip.valid))
    for band, counter in zip(strip.pixels, counters, strict=True):
        counter.update(band.ravel() if valid == size else band[strip.valid])
    lit = strip.pixels.any(axis=0)
    if valid < size:
        lit &= strip.valid
    return size, valid, size - int(np.count_nonzero(lit))


def _count_classes(strip: _Strip, stride: int) -> npt.NDArray[np.int64]:
    """Label pixels by class index, ``(256,)``; those on invalid pixels as unlabelled."""
    valid, classes = strip.valid[::stride, ::stride], strip.classes
    known = classes if valid.all() else classes[valid]
    counts = count_bytes(known)
    counts[NODATA] += classes.size - known.size
    return counts


def _occurring(result: Statistics) -> Statistics:
    """Without the classes that have no name but their code, and no pixel."""
    counts = result.counts
    kept = [
        index
        for index, c in enumerate(result.legend)
        if counts[index] or c.name != f"class {c.code}"
    ]
    if not kept:
        raise LegendError("no pixel of the catalogue has a class")
    classes = result.legend.classes
    images = [
        replace(image, counts=tuple(image.counts[index] for index in kept))
        for image in result.images
    ]
    legend = Legend(tuple(classes[index] for index in kept))
    return replace(result, legend=legend, images=tuple(images))
