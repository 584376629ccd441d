"""Reading windows of a georeferenced raster, and knowing which of its pixels are valid."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rsseg.errors import BandError, SceneError
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster, reading
from rsseg.geo.quiet import quietly
from rsseg.geo.tiling import inner_part, shifted

_COLOUR_NAMES = {
    ColorInterp.red: "red",
    ColorInterp.green: "green",
    ColorInterp.blue: "blue",
    ColorInterp.gray: "gray",
    ColorInterp.alpha: "alpha",
}


class Scene:
    """An open raster with chosen bands; one thread at a time may read from it.

    Args:
        path: A file, or anything GDAL opens (VRT, ``/vsicurl/...``, URL).
        bands: Band numbers from 1, or names (of descriptions or colour interpretation); all
            bands but alpha if None.
        part: The part of the raster that is the scene, in whole pixels inside it; all of it if
            None. Windows are counted from its corner, and nothing beyond it is read.
        scattered: Whether windows are read here and there, see `open_raster`.

    Raises:
        SceneError: If the raster cannot be opened or has a pixel type networks cannot take.
        BandError: If a band is not there.
    """

    def __init__(
        self,
        path: str | Path,
        bands: Sequence[int | str] | None = None,
        part: Window | None = None,
        *,
        scattered: bool = False,
    ) -> None:
        self.path = str(path)
        self._dataset = open_raster(path, scattered=scattered)
        try:
            self._part = part
            self.grid = (
                Grid.of(self._dataset) if part is None else Grid.of(self._dataset).crop(part)
            )
            self.bands = _choose(self._dataset, bands, self.path)
            self.dtype = _dtype(self._dataset, self.bands, self.path)
            with quietly():
                flags = self._dataset.mask_flag_enums
            self._flags = {flag for band in self.bands for flag in flags[band - 1]}
            self._shadowed = self._dataset.nodata is not None
            self._all_valid = self._flags == {MaskFlags.all_valid} and self.dtype.kind != "f"
        except BaseException:
            self._dataset.close()
            raise

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; reading afterwards fails."""
        self._dataset.close()

    @property
    def band_names(self) -> tuple[str, ...]:
        """Lower-case names of all bands: description, else colour, else number."""
        return tuple(_band_names(self._dataset))

    @property
    def block_height(self) -> int:
        """Rows that GDAL decodes at once."""
        return int(max(rows for rows, _ in self._dataset.block_shapes))

    def read(
        self,
        window: Window,
        shape: tuple[int, int] | None = None,
        fill: npt.NDArray[np.float64] | None = None,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Pixels and validity of a window, which may reach beyond the scene.

        What lies beyond the scene is invalid, and filled by (repeated) reflection of the part of
        the window inside it.

        Args:
            window: Whole pixels.
            shape: Rows and columns to resample to (bilinear; nearest for validity), through
                overviews where the file has them; None keeps the scene's own pixels.
            fill: One value per band that takes the place of invalid pixels, ``(B,)``.

        Returns:
            Raw values ``(B, h, w)`` in the file's type, and True where the scene is valid,
            ``(h, w)``.

        Raises:
            SceneError: If the file is damaged or no longer there.
        """
        size = (int(window.height), int(window.width))
        part = inner_part(window, (self.grid.height, self.grid.width), shape or size)
        resampled = {"out_shape": part.shape, "resampling": Resampling.bilinear}
        inside = part.inside if self._part is None else shifted(part.inside, self._part)
        try:
            with reading(self._dataset):
                pixels = self._dataset.read(
                    self.bands, window=inside, **(resampled if part.resampled else {})
                )
                valid = self._valid(pixels, inside)
        except RasterioError as error:
            raise SceneError(
                f"{self.path} cannot be read near row {int(window.row_off)}, "
                f"column {int(window.col_off)}",
                remedy="the file is damaged or incomplete, copy or download it again",
            ) from error
        if fill is not None and not valid.all():
            pixels[:, ~valid] = fill.astype(self.dtype)[:, None]
        if part.padded:
            pixels = np.pad(pixels, ((0, 0), *part.pads), mode="reflect")
            valid = np.pad(valid, part.pads, constant_values=False)
        return pixels, valid

    def overview(self, longest: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Pixels and validity of the whole scene, its longer side at most so many pixels.

        Raises:
            SceneError: If the file is damaged or no longer there.
        """
        height, width = self.grid.height, self.grid.width
        shrunk = max(1.0, max(height, width) / longest)
        shape = max(1, round(height / shrunk)), max(1, round(width / shrunk))
        return self.read(Window(0, 0, width, height), shape)

    def valid(self, window: Window) -> npt.NDArray[np.bool_]:
        """True where the scene is valid, ``(h, w)``, False beyond it.

        Raises:
            SceneError: If the file is damaged or no longer there.
        """
        if self._all_valid:
            part = inner_part(
                window, (self.grid.height, self.grid.width), (int(window.height), int(window.width))
            )
            return np.pad(np.ones(part.shape, np.bool_), part.pads, constant_values=False)
        return self.read(window)[1]

    def _valid(self, pixels: npt.NDArray[Any], window: Window) -> npt.NDArray[np.bool_]:
        if self._all_valid:
            return np.ones(pixels.shape[1:], dtype=np.bool_)
        shape = pixels.shape[1:]
        if MaskFlags.per_dataset in self._flags:
            with quietly() if self._shadowed else nullcontext():
                valid = self._dataset.dataset_mask(window=window, out_shape=shape) > 0
        else:
            masks = self._dataset.read_masks(
                self.bands, window=window, out_shape=(len(self.bands), *shape)
            )
            valid = masks.any(axis=0)
        if self.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(axis=0)
        return np.asarray(valid)


def _choose(
    dataset: DatasetReader, wanted: Sequence[int | str] | None, path: str
) -> tuple[int, ...]:
    names = _band_names(dataset)
    if wanted is None:
        return tuple(
            number
            for number, colour in enumerate(dataset.colorinterp, 1)
            if colour != ColorInterp.alpha
        )
    chosen = []
    for band in wanted:
        if isinstance(band, str) and not band.isdecimal():
            if band.lower() not in names:
                raise BandError(f"{path} has no band '{band}'", got=", ".join(names))
            chosen.append(names.index(band.lower()) + 1)
        elif 1 <= int(band) <= dataset.count:
            chosen.append(int(band))
        else:
            raise BandError(f"{path} has no band {band}", expected=f"1-{dataset.count}", got=band)
    if not chosen:
        raise BandError(f"no band of {path} was chosen")
    return tuple(chosen)


def _band_names(dataset: DatasetReader) -> list[str]:
    """Lower-case names: the band's description, else its colour, else its number."""
    return [
        (text or _COLOUR_NAMES.get(colour, str(number))).lower()
        for number, (text, colour) in enumerate(
            zip(dataset.descriptions, dataset.colorinterp, strict=True), 1
        )
    ]


def _dtype(dataset: DatasetReader, bands: tuple[int, ...], path: str) -> np.dtype[Any]:
    """The common type of the bands, which must be one that GDAL and numpy share."""
    types = {dataset.dtypes[band - 1] for band in bands}
    if any(name.startswith("complex") for name in types):
        raise SceneError(f"{path} holds complex numbers", expected="real pixel values")
    return np.result_type(*types)
