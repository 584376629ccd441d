"""Why a window of a raster cannot be read: which of its files fails, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rasterio.io import DatasetReader
from rasterio.windows import Window

from rsseg.errors import SceneError
from rsseg.geo.remote import is_remote, public_name


def read_failure(
    dataset: DatasetReader, name: str, window: Window, error: Exception, tried: int | None
) -> SceneError:
    """The error for the user.

    Args:
        dataset: What was read.
        name: What it is called.
        window: The window.
        error: What rasterio says.
        tried: How many times, if over a network.
    """
    top, left = int(window.row_off), int(window.col_off)
    rows = f"rows {top}-{top + int(window.height) - 1}"
    columns = f"columns {left}-{left + int(window.width) - 1}"
    sources = [] if dataset.closed else sources_of_vrt(dataset)
    missing = [path for path in sources if not is_remote(path) and not Path(path).exists()]
    told = _told_in(error, sources)
    where = f"at {rows}, {columns} of {Path(name).name}"
    if missing:
        return SceneError(
            f"there is no file {missing[0]}, which lies {where}", remedy="put it back"
        )
    wrong = f"{name} cannot be read at {rows}, {columns}"
    if told is not None:
        wrong = f"{public_name(told)} cannot be read, which lies {where}"
    if tried is not None:
        remedy = "its server or the connection fails, or the file is damaged; try again later"
        return SceneError(f"{wrong}, tried {tried} times", remedy=remedy)
    return SceneError(wrong, remedy="the file is damaged or incomplete, copy or download it again")


def sources_of_vrt(dataset: DatasetReader) -> list[str]:
    """The files that a VRT reads from, as GDAL calls them; none for any other raster."""
    virtual = dataset.driver == "VRT"
    return [path for path in dataset.files if path != dataset.name] if virtual else []


def _told_in(error: BaseException | None, sources: Sequence[str]) -> str | None:
    """The one of several files that GDAL names in an error, or in one that led to it."""
    while error is not None:
        for path in sources:
            if re.search(rf"(^|[\s/]){re.escape(Path(path).name)}[,:]", str(error)):
                return path
        error = error.__cause__ or error.__context__
    return None
