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

_COG = {
    "driver": "COG",
    "BLOCKSIZE": 512,
    "COMPRESS": "DEFLATE",
    "OVERVIEWS": "IGNORE_EXISTING",
    "OVERVIEW_RESAMPLING": "MODE",
    "NUM_THREADS": "ALL_CPUS",
    "BIGTIFF": "IF_SAFER",
}


@dataclass(frozen=True)
class Strip:
    """A file that holds the rows ``start`` to ``stop`` of a raster."""

    path: Path
    start: int
    stop: int


def write_strip(path: Path, codes: npt.NDArray[np.uint8]) -> None:
    """Write rows of a class raster, uncompressed: they live until `assemble`."""
    height, width = codes.shape
    with (
        writing(path) as unfinished,
        rasterio.open(
            unfinished, "w", driver="GTiff", count=1, height=height, width=width, dtype="uint8"
        ) as target,
    ):
        target.write(codes, 1)


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
        strips: Files that together cover the grid.
        out: Target.
        grid: Grid of the whole.
        legend: Classes.
        counts: Pixels by file code, for the attribute table.
        tags: Provenance; must not depend on time, place or machine.

    Raises:
        OutputError: If the target cannot be written.
    """
    labels = {LEGEND_TAG: json.dumps(legend.to_json()), **tags}
    out = Path(out)
    with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
        virtual = Path(folder) / "whole.vrt"
        with writing(out) as unfinished:
            virtual.write_text(_virtual(strips, grid, legend, labels), encoding="utf-8")
            rasterio.shutil.copy(virtual, unfinished, **_COG)
    write_sidecars(out, legend, counts)


def _virtual(strips: Sequence[Strip], grid: Grid, legend: Legend, tags: Mapping[str, str]) -> str:
    """A VRT of the strips: it carries the colour table and tags into the copy."""
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
    band = xml.SubElement(root, "VRTRasterBand", dataType="Byte", band="1")
    xml.SubElement(band, "NoDataValue").text = str(NODATA)
    xml.SubElement(band, "ColorInterp").text = "Palette"
    table = xml.SubElement(band, "ColorTable")
    colours = colour_map(legend)
    for code in range(NODATA + 1):
        parts = zip(("c1", "c2", "c3", "c4"), colours.get(code, (0, 0, 0, 255)), strict=True)
        xml.SubElement(table, "Entry", {name: str(value) for name, value in parts})
    for strip in strips:
        source = xml.SubElement(band, "SimpleSource")
        name = xml.SubElement(source, "SourceFilename", relativeToVRT="0")
        name.text = str(strip.path.resolve())
        xml.SubElement(source, "SourceBand").text = "1"
        for tag, row in (("SrcRect", 0), ("DstRect", strip.start)):
            height = strip.stop - strip.start
            place = {"xOff": 0, "yOff": row, "xSize": grid.width, "ySize": height}
            xml.SubElement(source, tag, {key: str(value) for key, value in place.items()})
    return xml.tostring(root, encoding="unicode")
