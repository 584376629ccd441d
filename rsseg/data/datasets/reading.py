"""Reading published pictures whole, with damage told in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rsseg.errors import CatalogueError, SceneError
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster, reading
from rsseg.geo.quiet import quietly

_ROWS = 256


@contextmanager
def open_strictly(path: Path) -> Iterator[DatasetReader]:
    """Open a raster so that reading fails where it is incomplete, see `reading`.

    Raises:
        SceneError: If it cannot be opened.
    """
    with open_raster(path) as dataset, reading(dataset):
        yield dataset


def read_all(dataset: DatasetReader, path: Path, window: Window | None = None) -> npt.NDArray[Any]:
    """All bands of an open raster ``(B, h, w)``, or of a window of it.

    Raises:
        SceneError: If it is damaged.
    """
    with _whole(path):
        return np.asarray(dataset.read(window=window))


def strips(
    dataset: DatasetReader, path: Path, bands: Sequence[int] | None = None
) -> Iterator[tuple[Window, npt.NDArray[Any]]]:
    """Full-width windows of an open raster from the top, and their pixels ``(B, rows, w)``.

    Args:
        dataset: The raster.
        path: Its name, for the message.
        bands: Numbers of the bands; all if None.

    Raises:
        SceneError: If it is damaged.
    """
    block = max(rows for rows, _ in dataset.block_shapes)
    step = _ROWS if block > 2 * _ROWS else block * -(-_ROWS // block)
    for row in range(0, dataset.height, step):
        window = Window(0, row, dataset.width, min(step, dataset.height - row))
        with _whole(path):
            pixels = np.asarray(dataset.read(bands, window=window))
        yield window, pixels


def read_valid(dataset: DatasetReader, path: Path, window: Window) -> npt.NDArray[np.bool_]:
    """Where a window of an open raster is valid ``(h, w)``.

    Raises:
        SceneError: If it is damaged.
    """
    with _whole(path), quietly():
        return np.asarray(dataset.dataset_mask(window=window) > 0)


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """RGB bytes ``(3, h, w)`` of a picture with three or more bands or a palette.

    Raises:
        SceneError: If it cannot be read.
        CatalogueError: If it has neither, or other than bytes.
    """
    with open_strictly(path) as dataset:
        return as_rgb(read_all(dataset, path), palette(dataset, path))


def palette(dataset: DatasetReader, path: Path) -> npt.NDArray[np.uint8] | None:
    """Colours by byte ``(3, 256)`` of an open raster; None if it has RGB itself.

    Raises:
        CatalogueError: If it has neither, or other than bytes.
    """
    if set(dataset.dtypes) != {"uint8"}:
        raise CatalogueError(f"{path} holds {dataset.dtypes[0]}", expected="bytes, uint8")
    if dataset.count >= 3:
        return None
    if dataset.colorinterp[0] != ColorInterp.palette:
        raise CatalogueError(f"{path} has {dataset.count} bands", expected="RGB or a palette")
    colours = np.zeros((3, 256), dtype=np.uint8)
    for index, colour in dataset.colormap(1).items():
        colours[:, index] = colour[:3]
    return colours


def as_rgb(
    pixels: npt.NDArray[np.uint8], colours: npt.NDArray[np.uint8] | None
) -> npt.NDArray[np.uint8]:
    """RGB ``(3, h, w)`` of the pixels ``(B, h, w)`` of a raster with that `palette` or none."""
    return pixels[:3] if colours is None else colours[:, pixels[0]]


def plain_grid(pixels: npt.NDArray[Any]) -> Grid:
    """The grid of pixels ``(B, h, w)`` that have no place on the ground."""
    return Grid(pixels.shape[1], pixels.shape[2], Affine.identity(), None)


def counted(number: int, noun: str = "pixel") -> str:
    """So many of these, in words."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except RasterioError as error:
        raise SceneError(
            f"{path} cannot be read", remedy="it is damaged or incomplete, get it again"
        ) from error
