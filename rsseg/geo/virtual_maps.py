"""The VRT that shows many class maps as one."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as xml

import numpy as np
from affine import Affine

from rsseg.errors import GridMismatch
from rsseg.geo.class_raster import colour_map
from rsseg.geo.grid import Grid
from rsseg.legend import NODATA, Legend

_OFF = 0.01
"""Pixels by which maps may grow apart along a side."""


def virtual_maps(maps: Mapping[str, Grid], legend: Legend) -> str:
    """The VRT of maps, as XML, with colours and names; nodata of one shows what lies below it.

    Maps need not lie on each other's pixels: a pixel is the nearest one. The last is on top.

    Args:
        maps: Their grids by name relative to the VRT.
        legend: Their classes.

    Raises:
        GridMismatch: If they have no place on the ground, or differ in CRS or pixel size.
    """
    whole, places = _whole(maps)
    assert whole.crs is not None
    root = xml.Element("VRTDataset", rasterXSize=str(whole.width), rasterYSize=str(whole.height))
    xml.SubElement(root, "SRS").text = whole.crs.to_wkt()
    numbers = (repr(value) for value in whole.transform.to_gdal())
    xml.SubElement(root, "GeoTransform").text = ", ".join(numbers)
    band = xml.SubElement(root, "VRTRasterBand", dataType="Byte", band="1")
    xml.SubElement(band, "NoDataValue").text = str(NODATA)
    xml.SubElement(band, "ColorInterp").text = "Palette"
    table, colours = xml.SubElement(band, "ColorTable"), colour_map(legend)
    for code in range(NODATA + 1):
        parts = zip(("c1", "c2", "c3", "c4"), colours.get(code, (0, 0, 0, 255)), strict=True)
        xml.SubElement(table, "Entry", {name: str(value) for name, value in parts})
    names = xml.SubElement(band, "CategoryNames")
    for code in range(max(known.code for known in legend) + 1):
        known = legend.by_code(code)
        xml.SubElement(names, "Category").text = known.name if known else ""
    for (name, grid), (column, row) in zip(maps.items(), places, strict=True):
        source = xml.SubElement(band, "ComplexSource")
        relative = "0" if "://" in name or name.startswith("/") else "1"
        xml.SubElement(source, "SourceFilename", relativeToVRT=relative, shared="0").text = name
        xml.SubElement(source, "SourceBand").text = "1"
        size = {"xSize": str(grid.width), "ySize": str(grid.height)}
        told = {"RasterXSize": size["xSize"], "RasterYSize": size["ySize"], "DataType": "Byte"}
        xml.SubElement(
            source, "SourceProperties", told | {"BlockXSize": "512", "BlockYSize": "512"}
        )
        xml.SubElement(source, "SrcRect", {"xOff": "0", "yOff": "0"} | size)
        xml.SubElement(source, "DstRect", {"xOff": repr(column), "yOff": repr(row)} | size)
        xml.SubElement(source, "NODATA").text = str(NODATA)
    return xml.tostring(root, encoding="unicode")


def _whole(maps: Mapping[str, Grid]) -> tuple[Grid, list[tuple[float, float]]]:
    """The grid that holds them all, and column and row of each in it."""
    (first, own), *_ = maps.items()
    corners = []
    for name, grid in maps.items():
        if not grid.georeferenced:
            raise GridMismatch(f"{name} has no place on the ground")
        if grid.crs != own.crs:
            raise GridMismatch(
                "the maps are in several CRSs", expected=f"{_crs(own)} as {first}", got=_crs(grid)
            )
        here = ~own.transform @ grid.transform
        stretch = np.array(here)[[0, 1, 3, 4]] - (1, 0, 0, 1)
        if np.abs(stretch).max() * max(grid.width, grid.height) > _OFF:
            raise GridMismatch(
                "the maps have pixels of several sizes",
                expected=f"{own.transform.a:.10g} as {first}",
                got=f"{grid.transform.a:.10g} of {name}",
            )
        corners.append((here.c, here.f))
    sizes = [(grid.width, grid.height) for grid in maps.values()]
    low = np.floor(np.round(np.min(corners, axis=0), 3)).astype(int)
    high = np.ceil(np.round(np.max(np.add(corners, sizes), axis=0), 3)).astype(int)
    width, height = (high - low).tolist()
    moved = own.transform @ Affine.translation(*low.tolist())
    places = [tuple(np.round(np.subtract(corner, low), 6).tolist()) for corner in corners]
    return Grid(height, width, moved, own.crs), [(x, y) for x, y in places]


def _crs(grid: Grid) -> str:
    return grid.crs.to_string()[:60] if grid.crs else "none"
