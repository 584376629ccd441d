"""Rasters that stay open while they are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Self

from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rsseg.geo.failures import read_failure
from rsseg.geo.opening import open_raster, reading
from rsseg.geo.remote import public_name


class OpenRaster:
    """A raster that is open until `close` or the end of its ``with``; one thread at a time reads.

    Classes for rasters of one kind build on it.

    Args:
        path: A file, or anything GDAL opens.
        scattered: Whether windows are read here and there, see `open_raster`.

    Raises:
        SceneError: If it cannot be opened.
    """

    def __init__(self, path: str | Path, *, scattered: bool = False) -> None:
        self.path, self.name = str(path), public_name(path)
        self._dataset = open_raster(path, scattered=scattered)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; reading afterwards fails."""
        self._dataset.close()

    @property
    def block_height(self) -> int:
        """Rows that GDAL decodes at once."""
        return int(max(rows for rows, _ in self._dataset.block_shapes))

    @contextmanager
    def _closed_if_refused(self) -> Iterator[None]:
        """Close the file if what is done within it fails: a raster of another kind is refused."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _reading(self, window: Window) -> AbstractContextManager[None]:
        """See `reading_window`."""
        return reading_window(self._dataset, self.name, window)


@contextmanager
def reading_window(dataset: DatasetReader, name: str, window: Window) -> Iterator[None]:
    """Let GDAL read a window within it, and say in one sentence why it cannot.

    Args:
        dataset: What is read.
        name: What it is called.
        window: Whole pixels.

    Raises:
        SceneError: If reading fails.
    """
    try:
        with reading(dataset):
            yield
    except RasterioError as error:
        raise read_failure(dataset, name, window, error, None) from error
