"""Writing rasters whole or not at all, with failures in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError  # what rasterio.shutil raises; it has no public name
from rasterio.errors import RasterioError

from rsseg.errors import OutputError
from rsseg.geo.grid import Grid
from rsseg.geo.quiet import quietly
from rsseg.replacing import replacing


def tiled_geotiff(grid: Grid, count: int, dtype: Any, side: int, **creation: Any) -> dict[str, Any]:
    """What rasterio needs to create a tiled GeoTIFF on a grid.

    Args:
        grid: Its grid.
        count: Bands.
        dtype: Type of the pixels.
        side: Side of the tiles, pixels.
        creation: Further creation options.
    """
    return {
        "driver": "GTiff",
        "count": count,
        "height": grid.height,
        "width": grid.width,
        "dtype": dtype,
        "crs": grid.crs,
        "transform": grid.transform,
        "tiled": True,
        "blockxsize": side,
        "blockysize": side,
        **creation,
    }


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """A name to write a raster to that becomes ``path`` when whole.

    Raises:
        OutputError: If writing fails, or ends short of the last block.
    """
    try:
        with quietly(), replacing(path) as unfinished:
            yield unfinished
            require_whole(unfinished)
        # statistics that a reader left beside the old file, such as QGIS
        Path(f"{path}.aux.xml").unlink(missing_ok=True)
    except (OSError, RasterioError, CPLE_BaseError) as error:
        raise OutputError(f"{path} cannot be written: {error}") from error


def require_whole(path: Path) -> None:
    """Look for blocks that are not there: GDAL keeps silent when closing fails on a full disk.

    Raises:
        OSError: If one is not there.
    """
    length = path.stat().st_size
    with rasterio.open(path) as dataset:
        for band, (rows, columns) in enumerate(dataset.block_shapes, 1):
            for y in range(-(-dataset.height // rows)):
                for x in range(-(-dataset.width // columns)):
                    first, size = (
                        dataset.get_tag_item(f"BLOCK_{what}_{x}_{y}", "TIFF", bidx=band)
                        for what in ("OFFSET", "SIZE")
                    )
                    if first is None or size is None or int(first) + int(size) > length:
                        raise OSError("it is incomplete, is the disk full?")
