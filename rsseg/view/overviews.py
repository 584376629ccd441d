"""Overviews of rasters that have none, made beside a temporary copy and never in the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as xml

import rasterio.shutil
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from rsseg.geo.quiet import quietly

LARGEST = 4096
"""Pixels along the longer side up to which a raster is read quickly enough without overviews."""

_FIRST = 4
_LEAST = 256
_OPAQUE = {"UInt16": 65_535, "Int16": 32_767}  # 255 for other types, as GDAL's warper has it

_PROGRAM = """
import sys, rasterio
from rasterio.enums import Resampling
path, method, *factors = sys.argv[1:]
compact = {"COMPRESS_OVERVIEW": "ZSTD", "BIGTIFF_OVERVIEW": "IF_SAFER"}
with rasterio.Env(**compact, GDAL_NUM_THREADS="ALL_CPUS"), rasterio.open(path, "r+") as dataset:
    dataset.build_overviews([int(factor) for factor in factors], Resampling[method])
"""


def needs_overviews(dataset: DatasetReader) -> bool:
    """Whether a raster is so large that it is slow to look at whole, and has no overviews."""
    return max(dataset.height, dataset.width) > LARGEST and not dataset.overviews(1)


def make_overviews(dataset: DatasetReader, folder: Path, method: str) -> Path | None:
    """A VRT of an open raster, with overviews from a quarter of its resolution down.

    They are made by a process of its own, as GDAL listens to no Ctrl-C while it makes them; it is
    stopped when this one is interrupted, and imports nothing from the folder it runs in.

    Args:
        dataset: The raster.
        folder: Where to write; it must stay as long as the VRT is read.
        method: How pixels become one, as `rasterio.enums.Resampling` names it.

    Returns:
        The VRT; None if overviews cannot be made, as when there is no room for them.
    """
    copy = folder / f"{len(list(folder.iterdir()))}.vrt"
    factors, longest = [_FIRST], max(dataset.height, dataset.width)
    while longest / factors[-1] > _LEAST:
        factors.append(factors[-1] * 2)
    try:
        with quietly():
            rasterio.shutil.copy(dataset, copy, driver="VRT")
        _mask_as_alpha(copy)
    except (RasterioError, OSError):
        return None
    call = [sys.executable, "-P", "-c", _PROGRAM, str(copy), method, *map(str, factors)]
    done = subprocess.run(call, capture_output=True, check=False)
    return copy if done.returncode == 0 else None


def _mask_as_alpha(copy: Path) -> None:
    """Make a band of a VRT's mask: GDAL warps no mask of overviews that lie beside a VRT."""
    tree = xml.parse(copy)
    root = tree.getroot()
    mask, alpha = root.find("MaskBand"), root.find("MaskBand/VRTRasterBand")
    bands = root.findall("VRTRasterBand")
    if mask is None or alpha is None:
        return
    kind = bands[0].get("dataType", "Byte")
    root.remove(mask)
    root.append(alpha)
    alpha.set("band", str(len(bands) + 1))
    alpha.set("dataType", kind)  # overviews are of one type
    xml.SubElement(alpha, "ColorInterp").text = "Alpha"
    for source in alpha.findall("SimpleSource"):
        source.tag = "ComplexSource"
        xml.SubElement(source, "ScaleRatio").text = str(_OPAQUE.get(kind, 255) / 255)
    tree.write(copy)
