"""Class rasters: written whole and styled, and their legends read back."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError  # what rasterio.shutil raises; it has no public name
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from rsseg.errors import LegendError, OutputError
from rsseg.geo.gis_sidecars import write_sidecars
from rsseg.geo.grid import Grid
from rsseg.replacing import replacing
from rsseg.geo.scene import open_raster
from rsseg.legend import NODATA, LandClass, Legend

LEGEND_TAG = "RSSEG_LEGEND"
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


def write_raster(
    path: str | Path,
    pixels: npt.NDArray[Any],
    grid: Grid,
    *,
    nodata: float | None = None,
    legend: Legend | None = None,
) -> None:
    """Write ``(B, H, W)`` as a tiled GeoTIFF, whole or not at all.

    Args:
        path: Target; replaced if there.
        pixels: Values in the type to store.
        grid: Grid of the pixels.
        nodata: Value that means invalid.
        legend: Classes of a single-band class raster, for its colours and names.

    Raises:
        OutputError: If the file cannot be written.
    """
    profile = {
        "driver": "GTiff",
        "count": pixels.shape[0],
        "height": grid.height,
        "width": grid.width,
        "dtype": pixels.dtype,
        "crs": grid.crs,
        "transform": grid.transform,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
    }
    with _writing(path) as unfinished, rasterio.open(unfinished, "w", **profile) as target:
        target.write(pixels)
        if legend is not None:
            target.write_colormap(1, colour_map(legend))
            target.update_tags(**{LEGEND_TAG: json.dumps(legend.to_json())})


def write_strip(path: Path, codes: npt.NDArray[np.uint8]) -> None:
    """Write rows of a class raster, uncompressed: they live until `assemble`."""
    height, width = codes.shape
    with (
        _writing(path) as unfinished,
        rasterio.open(
            unfinished, "w", driver="GTiff", count=1, height=height, width=width, dtype="uint8"
        ) as target,
    ):
        target.write(codes, 1)


def count_codes(path: Path) -> npt.NDArray[np.int64]:
    """Pixels by file code of a single-band 8-bit raster, ``(256,)``."""
    counts = np.zeros(256, dtype=np.int64)
    with open_raster(path) as dataset:
        for _, window in dataset.block_windows(1):
            counts += np.bincount(dataset.read(1, window=window).ravel(), minlength=256)
    return counts


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
        with _writing(out) as unfinished:
            virtual.write_text(_virtual(strips, grid, legend, labels), encoding="utf-8")
            rasterio.shutil.copy(virtual, unfinished, **_COG)
    write_sidecars(out, legend, counts)


def is_class_raster(dataset: DatasetReader) -> bool:
    """Whether an open raster is one band of 8-bit codes with names or colours."""
    return (
        dataset.count == 1
        and dataset.dtypes[0] == "uint8"
        and (LEGEND_TAG in dataset.tags() or dataset.colorinterp[0] == ColorInterp.palette)
    )


def read_legend(dataset: DatasetReader) -> Legend:
    """The classes of an open class raster.

    From rsseg's own tag, else from GDAL's category names, else one class for each colour of its
    colour table, else one for each of the 255 codes.

    Raises:
        LegendError: If the tag contradicts itself.
    """
    tag = dataset.tags().get(LEGEND_TAG)
    if tag is not None:
        try:
            return Legend.from_json(json.loads(tag))
        except ValueError as error:
            raise LegendError(f"the legend of {dataset.name} is damaged: {error}") from error
    names = dict(enumerate(_category_names(dataset)))
    colours = {}
    if dataset.colorinterp[0] == ColorInterp.palette:
        colours = {code: rgba[:3] for code, rgba in dataset.colormap(1).items()}
    named = [code for code, name in names.items() if name]
    codes = named or sorted(colours) or range(NODATA)
    nodata = NODATA if dataset.nodata is None else dataset.nodata
    return Legend(
        tuple(
            LandClass(code, names.get(code) or f"class {code}", colours.get(code, (code,) * 3))
            for code in codes
            if code not in (NODATA, nodata)
        )
    )


def colour_map(legend: Legend) -> dict[int, tuple[int, int, int, int]]:
    """RGBA by code, nodata transparent."""
    return {c.code: (*c.colour, 255) for c in legend} | {NODATA: (0, 0, 0, 0)}


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


def _category_names(dataset: DatasetReader) -> list[str]:
    """GDAL's category names, which rasterio does not tell, by way of a VRT copy."""
    with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
        copy = Path(folder) / "copy.vrt"
        rasterio.shutil.copy(dataset, copy, driver="VRT")
        root = xml.parse(copy).getroot()
    return [entry.text or "" for entry in root.findall("VRTRasterBand[1]/CategoryNames/Category")]


@contextmanager
def _writing(path: str | Path) -> Iterator[Path]:
    """A name to write to that becomes ``path`` when whole; failures in one sentence."""
    try:
        with warnings.catch_warnings(), replacing(path) as unfinished:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            yield unfinished
            _require_whole(unfinished)
    except (OSError, RasterioError, CPLE_BaseError) as error:
        raise OutputError(f"{path} cannot be written: {error}") from error


def _require_whole(path: Path) -> None:
    """Look for blocks that are not there: GDAL keeps silent when closing fails on a full disk."""
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
