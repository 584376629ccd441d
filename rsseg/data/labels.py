"""Labels as class indices: read per window from class rasters, or decoded from colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from rsseg.errors import LegendError, SceneError
from rsseg.geo.scene import open_raster
from rsseg.geo.tiling import inner_part
from rsseg.legend import NODATA, Colour, Legend


class LabelRaster:
    """An open class raster whose windows are read as class indices; one thread at a time.

    Args:
        path: A single-band raster of the legend's codes, 255 where unlabelled.
        legend: Codes and their indices.

    Raises:
        SceneError: If it cannot be opened.
        LegendError: If it has more than one band.
    """

    def __init__(self, path: str | Path, legend: Legend) -> None:
        self.path = str(path)
        self._dataset = open_raster(path)
        if self._dataset.count != 1:
            bands = self._dataset.count
            self._dataset.close()
            raise LegendError(f"{path} has {bands} bands", expected="one band of class codes")
        self._indices = legend.indices

    def read(self, window: Window, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Class indices ``(h, w)`` of a window, nearest to ``shape``; 255 beyond the raster.

        Raises:
            LegendError: If a code stands there that the legend does not have.
            SceneError: If the file is damaged.
        """
        part = inner_part(window, self._dataset.shape, shape)
        try:
            codes = self._dataset.read(
                1, window=part.inside, out_shape=part.shape, resampling=Resampling.nearest
            )
        except RasterioError as error:
            raise SceneError(f"{self.path} cannot be read at {window}") from error
        within = np.clip(codes, 0, NODATA).astype(np.uint8)
        indices = self._indices[within]
        unknown = (within != codes) | ((indices == NODATA) & (within != NODATA))
        if unknown.any():
            raise LegendError(
                f"{self.path} holds the code {codes[unknown][0]}",
                expected=f"{np.flatnonzero(self._indices != NODATA).tolist()} or {NODATA}",
            )
        return np.pad(indices, part.pads, constant_values=NODATA)

    def strips(self, rows: int) -> Iterator[Window]:
        """Full-width windows of so many rows that cover the raster, from the top."""
        height, width = self._dataset.shape
        for row in range(0, height, rows):
            yield Window(0, row, width, min(rows, height - row))

    def close(self) -> None:
        """Close the file."""
        self._dataset.close()


def decode_colours(
    pixels: npt.NDArray[np.uint8], codes: Mapping[Colour, int], name: str
) -> npt.NDArray[np.uint8]:
    """Codes ``(h, w)`` of a colour-coded label ``(3, h, w)``.

    Args:
        pixels: RGB bytes.
        codes: File code by colour; 255 for colours that mean unlabelled.
        name: File name, for the message.

    Raises:
        LegendError: If a colour is not listed.
    """
    packed = _pack(pixels[0], pixels[1], pixels[2])
    decoded = np.full(packed.shape, NODATA, dtype=np.uint8)
    known = np.zeros(packed.shape, dtype=np.bool_)
    for colour, code in codes.items():
        here = packed == _pack(*(np.uint8(c) for c in colour))
        decoded[here] = code
        known |= here
    if not known.all():
        row, column = np.argwhere(~known)[0]
        raise LegendError(
            f"{name} has {np.count_nonzero(~known)} pixels of unknown colours",
            expected=", ".join(map(str, codes)),
            got=f"{tuple(int(v) for v in pixels[:, row, column])} at row {row}, column {column}",
        )
    return decoded


def _pack(
    red: npt.NDArray[np.uint8] | np.uint8,
    green: npt.NDArray[np.uint8] | np.uint8,
    blue: npt.NDArray[np.uint8] | np.uint8,
) -> npt.NDArray[np.uint32]:
    return np.asarray(
        (np.uint32(1) << 24)
        | (np.asarray(red, np.uint32) << 16)
        | (np.asarray(green, np.uint32) << 8)
        | np.asarray(blue, np.uint32)
    )
