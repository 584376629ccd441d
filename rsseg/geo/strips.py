"""Strips and blocks of a class raster, and how they become one Cloud-Optimized GeoTIFF."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from rasterio.io import MemoryFile

from rsseg.errors import OutputError
from rsseg.geo.class_raster import LEGEND_TAG, colour_map
from rsseg.geo.gis_sidecars import write_sidecars
from rsseg.geo.grid import Grid
from rsseg.geo.overviews import Shrink, commonest, level_shapes, mean, write_level
from rsseg.geo.quiet import quietly
from rsseg.geo.writing import require_whole, writing
from rsseg.legend import NODATA, Legend

ONE = 254
"""Byte that means a share of 1; 255 is nodata."""

_UNCOMPRESSED: dict[str, Any] = {
    "driver": "GTiff",
    "dtype": "uint8",
    "interleave": "band",
    "blockysize": 64,
    "bigtiff": "if_safer",
}
_BLOCK = 512
_COG = {
    "driver": "COG",
    "BLOCKSIZE": _BLOCK,
    "OVERVIEWS": "FORCE_USE_EXISTING",
    "NUM_THREADS": "ALL_CPUS",
    "BIGTIFF": "IF_SAFER",
}
# the next level takes more than twice the time to save a tenth
_CODES = {"COMPRESS": "DEFLATE", "LEVEL": 5}
_QUICK = {"compress": "zstd", "zstd_level": 1}
# of smooth values ZSTD takes half the time of DEFLATE, and less room
_SHARES = {"COMPRESS": "ZSTD", "LEVEL": 1, "PREDICTOR": "STANDARD"}


@dataclass(frozen=True)
class Strip:
    """A file that holds the rows ``start`` to ``stop`` of a raster, or a block of them.

    Args:
        path: The file.
        start: First row.
        stop: Row after the last.
        left: First column.
        right: Column after the last; None for the edge of the raster.
    """

    path: Path
    start: int
    stop: int
    left: int = 0
    right: int | None = None


def write_strip(path: Path, layers: npt.NDArray[np.uint8]) -> None:
    """Write blocks of byte rasters ``(B, h, w)``, uncompressed: they live until `assemble`."""
    # made in memory: when a disk is full GDAL's TIFF library talks to the terminal
    with writing(path) as unfinished, _in_memory(layers) as file:
        unfinished.write_bytes(file.getbuffer())


def packed_strip(layers: npt.NDArray[np.uint8]) -> bytes:
    """The bytes of a file as `write_strip` writes it, but compressed: for a network."""
    with quietly(), _in_memory(layers, **_QUICK) as file:
        return bytes(file.getbuffer())


def assemble(
    strips: Sequence[Strip],
    out: str | Path,
    grid: Grid,
    legend: Legend,
    counts: Mapping[int, int],
    tags: Mapping[str, str],
    given_up: Callable[[], bool] = lambda: False,
) -> None:
    """Join strips into one Cloud-Optimized GeoTIFF with names, colours and overviews.

    It is written beside the target and renamed over it; then come the sidecars.

    Args:
        strips: Files that together cover the grid, whose first band holds the codes.
        out: Target.
        grid: Grid of the whole.
        legend: Classes.
        counts: Pixels by file code, for the attribute table.
        tags: Provenance; must not depend on time, place or machine.
        given_up: Asked when it is whole: True leaves no output after all.

    Raises:
        OutputError: If the target cannot be written.
    """
    labels = {LEGEND_TAG: json.dumps(legend.to_json()), **tags}
    root = _virtual(grid, labels)
    band = _band(root, strips, 1, grid.width)
    xml.SubElement(band, "ColorInterp").text = "Palette"
    table = xml.SubElement(band, "ColorTable")
    colours = colour_map(legend)
    for code in range(NODATA + 1):
        parts = zip(("c1", "c2", "c3", "c4"), colours.get(code, (0, 0, 0, 255)), strict=True)
        xml.SubElement(table, "Entry", {name: str(value) for name, value in parts})
    _copy(root, out, _CODES, commonest, given_up)
    write_sidecars(out, legend, counts)


def assemble_shares(
    strips: Sequence[Strip],
    out: str | Path,
    grid: Grid,
    bands: Mapping[int, str],
    tags: Mapping[str, str],
    given_up: Callable[[], bool] = lambda: False,
) -> None:
    """Join bands of strips that hold shares of `ONE` into one Cloud-Optimized GeoTIFF.

    Args:
        strips: Files that together cover the grid.
        out: Target.
        grid: Grid of the whole.
        bands: Names of the bands to take, by their number in the strips.
        tags: Provenance; must not depend on time, place or machine.
        given_up: Asked when it is whole: True leaves no output after all.

    Raises:
        OutputError: If the target cannot be written.
    """
    root = _virtual(grid, tags)
    for number, name in bands.items():
        band = _band(root, strips, number, grid.width)
        xml.SubElement(band, "Description").text = name
        xml.SubElement(band, "Scale").text = repr(1 / ONE)
    _copy(root, out, _SHARES, mean, given_up)


@contextmanager
def _in_memory(layers: npt.NDArray[np.uint8], **creation: Any) -> Iterator[MemoryFile]:
    """A file of byte rasters ``(B, h, w)``."""
    count, height, width = layers.shape
    profile = _UNCOMPRESSED | {"count": count, "height": height, "width": width} | creation
    with MemoryFile() as file:
        with file.open(**profile) as target:
            target.write(layers)
        yield file


def _copy(
    root: xml.Element,
    out: str | Path,
    options: dict[str, Any],
    shrink: Shrink,
    given_up: Callable[[], bool],
) -> None:
    """Copy a VRT into a Cloud-Optimized GeoTIFF with overviews, whole or not at all."""
    with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
        virtual = Path(folder) / "whole.vrt"
        with rasterio.Env(), writing(out) as unfinished:
            virtual.write_text(xml.tostring(root, encoding="unicode"), encoding="utf-8")
            levels = list(_write_levels(virtual, unfinished, shrink))
            for number, band in enumerate(root.findall("VRTRasterBand"), 1):
                for level in levels:
                    overview = xml.SubElement(band, "Overview")
                    name = xml.SubElement(overview, "SourceFilename", relativeToVRT="0")
                    name.text = str(level.resolve())
                    xml.SubElement(overview, "SourceBand").text = str(number)
            virtual.write_text(xml.tostring(root, encoding="unicode"), encoding="utf-8")
            rasterio.shutil.copy(virtual, unfinished, **_COG, **options)
            if given_up():
                raise OutputError(f"{out} was given up")


def _write_levels(virtual: Path, unfinished: Path, shrink: Shrink) -> Iterator[Path]:
    """The overviews of a VRT, uncompressed, beside what they are for: they go with it."""
    below = virtual
    with rasterio.open(virtual) as dataset:
        shape, count = (dataset.height, dataset.width), dataset.count
    for number, (height, width) in enumerate(level_shapes(*shape, _BLOCK), 1):
        path = unfinished.with_name(f"{unfinished.name}.{number}")
        profile = _UNCOMPRESSED | {"count": count, "height": height, "width": width}
        with rasterio.open(below) as source, rasterio.open(path, "w", **profile) as level:
            write_level(source, level, shrink)
        require_whole(path)
        yield path
        below = path


def _virtual(grid: Grid, tags: Mapping[str, str]) -> xml.Element:
    """A VRT without bands: it carries place and tags into the copy."""
    root = xml.Element("VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height))
    if grid.crs is not None:
        xml.SubElement(root, "SRS").text = grid.crs.to_wkt()
    if not grid.transform.is_identity:
        xml.SubElement(root, "GeoTransform").text = ", ".join(
            repr(value) for value in grid.transform.to_gdal()
        )
    if grid.control is not None:
        control = xml.SubElement(root, "GCPList", Projection=grid.control.crs.to_wkt())
        for number, point in enumerate(grid.control.points, 1):
            values = zip(("Pixel", "Line", "X", "Y", "Z"), map(repr, point), strict=True)
            xml.SubElement(control, "GCP", dict(values), Id=str(number))
    metadata = xml.SubElement(root, "Metadata")
    for key, text in sorted(tags.items()):
        xml.SubElement(metadata, "MDI", key=key).text = text
    return root


def _band(root: xml.Element, strips: Sequence[Strip], number: int, width: int) -> xml.Element:
    """Another band of a VRT, which is this band of the strips."""
    there = len(root.findall("VRTRasterBand"))
    band = xml.SubElement(root, "VRTRasterBand", dataType="Byte", band=str(there + 1))
    xml.SubElement(band, "NoDataValue").text = str(NODATA)
    for strip in strips:
        source = xml.SubElement(band, "SimpleSource")
        name = xml.SubElement(source, "SourceFilename", relativeToVRT="0")
        name.text = str(strip.path.resolve())
        xml.SubElement(source, "SourceBand").text = str(number)
        size = {
            "xSize": (width if strip.right is None else strip.right) - strip.left,
            "ySize": strip.stop - strip.start,
        }
        for tag, column, row in (("SrcRect", 0, 0), ("DstRect", strip.left, strip.start)):
            place = {"xOff": column, "yOff": row, **size}
            xml.SubElement(source, tag, {key: str(value) for key, value in place.items()})
    return band
