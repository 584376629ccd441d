"""Strips of a class raster, and how they become one Cloud-Optimized GeoTIFF."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil

from rsseg.geo.class_raster import LEGEND_TAG, colour_map
from rsseg.geo.gis_sidecars import write_sidecars
from rsseg.geo.grid import Grid
from rsseg.geo.writing import writing
from rsseg.legend import NODATA, Legend

ONE = 254
"""Byte that means a share of 1; 255 is nodata."""

_COG = {
    "driver": "COG",
    "BLOCKSIZE": 512,
    "COMPRESS": "DEFLATE",
    "OVERVIEWS": "IGNORE_EXISTING",
    "NUM_THREADS": "ALL_CPUS",
    "BIGTIFF": "IF_SAFER",
}


@dataclass(frozen=True)
class Strip:
    """A file that holds the rows ``start`` to ``stop`` of a raster."""

    path: Path
    start: int
    stop: int


def write_strip(path: Path, layers: npt.NDArray[np.uint8]) -> None:
    """Write rows of byte rasters ``(B, n, W)``, uncompressed: they live until `assemble`."""
    count, height, width = layers.shape
    with (
        writing(path) as unfinished,
        rasterio.open(
            unfinished,
            "w",
            driver="GTiff",
            count=count,
            height=height,
            width=width,
            dtype="uint8",
            interleave="band",
            bigtiff="if_safer",
        ) as target,
    ):
        target.write(layers)


def assemble(
    strips: Sequence[Strip],
    out: str | Path,
    grid: Grid,
    legend: Legend,
    counts: Mapping[int, int],
    tags: Mapping[str, str],
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
    _copy(root, out, "MODE")
    write_sidecars(out, legend, counts)


def assemble_shares(
    strips: Sequence[Strip],
    out: str | Path,
    grid: Grid,
    bands: Mapping[int, str],
    tags: Mapping[str, str],
) -> None:
    """Join bands of strips that hold shares of `ONE` into one Cloud-Optimized GeoTIFF.

    Args:
        strips: Files that together cover the grid.
        out: Target.
        grid: Grid of the whole.
        bands: Names of the bands to take, by their number in the strips.
        tags: Provenance; must not depend on time, place or machine.

    Raises:
        OutputError: If the target cannot be written.
    """
    root = _virtual(grid, tags)
    for number, name in bands.items():
        band = _band(root, strips, number, grid.width)
        xml.SubElement(band, "Description").text = name
        xml.SubElement(band, "Scale").text = repr(1 / ONE)
    _copy(root, out, "AVERAGE")


def _copy(root: xml.Element, out: str | Path, overviews: str) -> None:
    """Copy a VRT into a Cloud-Optimized GeoTIFF, whole or not at all."""
    with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
        virtual = Path(folder) / "whole.vrt"
        with writing(out) as unfinished:
            virtual.write_text(xml.tostring(root, encoding="unicode"), encoding="utf-8")
            rasterio.shutil.copy(virtual, unfinished, OVERVIEW_RESAMPLING=overviews, **_COG)


def _virtual(grid: Grid, tags: Mapping[str, str]) -> xml.Element:
    """A VRT without bands: it carries place and tags into the copy."""
    root = xml.Element("VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height))
    if grid.crs is not None:
        xml.SubElement(root, "SRS").text = grid.crs.to_wkt()
    if not grid.transform.is_identity:
        xml.SubElement(root, "GeoTransform").text = ", ".join(
            repr(value) for value in grid.transform.to_gdal()
        )
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
        for tag, row in (("SrcRect", 0), ("DstRect", strip.start)):
            height = strip.stop - strip.start
            place = {"xOff": 0, "yOff": row, "xSize": width, "ySize": height}
            xml.SubElement(source, tag, {key: str(value) for key, value in place.items()})
    return band
