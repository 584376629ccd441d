"""Codes and confidence of a class raster, strip by strip, read ahead in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rsseg.errors import OptionError, SceneError
from rsseg.geo.grid import Grid
from rsseg.geo.opening import hold_gdal_cache, open_raster, reading
from rsseg.geo.remote import public_name
from rsseg.legend import NODATA

Bytes = npt.NDArray[np.uint8]

_PIXELS = 1 << 22
"""Pixels of a strip where memory allows it."""

_BYTES_PER_PIXEL = 250
"""Of the arrays that a strip of noise needs; of a real map it is a tenth."""

_CACHE = 64 << 20
"""Bytes of GDAL's block cache."""


@dataclass(frozen=True)
class ClassStrips:
    """A class raster as strips of rows, to be read once or several times.

    Args:
        raster: One band of 8-bit codes; 255, the file's nodata and what its mask hides are void.
        confidence: Bytes of the codes' confidence on the same grid, 255 where there is none.
        memory: Bytes that working on a strip may take; None for about 1 GB.
        rows: First row to read and the end of the last; all if None.

    Raises:
        SceneError: If a raster cannot be opened or has other pixels.
        GridMismatch: If the two lie on different grids.
        OptionError: If memory is too little for a row.
    """

    raster: str | Path
    confidence: str | Path | None = None
    memory: int | None = None
    rows: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        with open_raster(self.raster) as dataset:
            _require_bytes(dataset, "a class raster", "8-bit codes")
            grid = Grid.of(dataset)
        least = _BYTES_PER_PIXEL * grid.width
        if self.memory is not None and self.memory < least:
            raise OptionError(
                f"memory is too little for a row of {public_name(self.raster)}",
                expected=f"at least {least} bytes",
                got=self.memory,
            )
        if self.confidence is not None:
            with open_raster(self.confidence) as other:
                _require_bytes(other, "a confidence raster", "bytes, 255 for nodata")
                grid.require_same(Grid.of(other), str(self.raster), str(self.confidence))

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the raster."""
        with open_raster(self.raster) as dataset:
            return dataset.height, dataset.width

    def __call__(
        self, on_pixels: Callable[[int], None], *, confidence: bool
    ) -> Generator[tuple[Bytes, Bytes | None], None, None]:
        """Strips ``(n, W)`` from top to bottom, void as 255, and their confidence.

        Args:
            on_pixels: Called with the pixels of each strip.
            confidence: Whether to read that as well, if there is such a raster.

        Raises:
            SceneError: If a file is damaged.
        """
        with ThreadPoolExecutor(1, "read", hold_gdal_cache, (_CACHE,)) as reader:
            sources = [reader.submit(open_raster, self.raster).result()]
            try:
                if confidence and self.confidence is not None:
                    sources.append(reader.submit(open_raster, self.confidence).result())
                first, last = self.rows or (0, sources[0].height)
                rows = self._rows(sources[0])
                waiting = reader.submit(_read, sources, first, min(first + rows, last))
                for row in range(first, last, rows):
                    found = waiting.result()
                    if row + rows < last:
                        stop = min(row + 2 * rows, last)
                        waiting = reader.submit(_read, sources, row + rows, stop)
                    yield found
                    on_pixels(found[0].size)
            finally:
                for source in sources:
                    reader.submit(source.close).result()

    def _rows(self, dataset: DatasetReader) -> int:
        pixels = _PIXELS
        if self.memory is not None:
            pixels = min(pixels, self.memory // _BYTES_PER_PIXEL)
        rows = max(1, pixels // int(dataset.width))
        block = int(dataset.block_shapes[0][0])
        return rows - rows % block if rows > block else rows


def _read(sources: list[DatasetReader], start: int, stop: int) -> tuple[Bytes, Bytes | None]:
    dataset = sources[0]
    window = Window(0, start, dataset.width, stop - start)
    found = []
    for source in sources:
        try:
            with reading(source):
                found.append(source.read(1, window=window))
                if source is dataset and MaskFlags.per_dataset in source.mask_flag_enums[0]:
                    found[0][source.read_masks(1, window=window) == 0] = NODATA
        except RasterioError as error:
            raise SceneError(
                f"{source.name} cannot be read near row {start}",
                remedy="the file is damaged or incomplete, copy or download it again",
            ) from error
    if dataset.nodata not in (None, NODATA):
        found[0][found[0] == dataset.nodata] = NODATA
    return found[0], found[1] if len(found) > 1 else None


def _require_bytes(dataset: DatasetReader, what: str, expected: str) -> None:
    if dataset.count != 1 or dataset.dtypes[0] != "uint8":
        bands = "1 band" if dataset.count == 1 else f"{dataset.count} bands"
        raise SceneError(
            f"{dataset.name} is not {what}",
            expected=f"one band of {expected}",
            got=f"{bands} of {dataset.dtypes[0]}",
        )
