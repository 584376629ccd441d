"""Gaofen-1 PMS scenes, from the folder as delivered to a pansharpened 2 m GeoTIFF.

- `product`: the files of a scene and what their metadata say
- `calibration`: digital numbers as radiances
- `orthorectification`: sensor pixels on a UTM grid, by RPC and DEM
- `resample`: coarse pixels from fine ones and back
- `pansharpening`: four bands of 8 m and one of 2 m as four bands of 2 m
- `fusion`: the same for rasters of any size, in windows
- `field_labels`: field polygons as a class raster
- `tool`: ``prepare``, which joins them

The names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsseg.lazy import names_from

if TYPE_CHECKING:
    from rsseg.data.gaofen1.calibration import Calibration, read_gains
    from rsseg.data.gaofen1.field_labels import FieldPolygons
    from rsseg.data.gaofen1.fusion import pansharpen_files
    from rsseg.data.gaofen1.orthorectification import common_grid, orthorectify
    from rsseg.data.gaofen1.pansharpening import pansharpen
    from rsseg.data.gaofen1.product import Product, find_products, read_product
    from rsseg.data.gaofen1.resample import degrade, enlarge
    from rsseg.data.gaofen1.tool import PreparedScenes, prepare

__all__ = [
    "Calibration",
    "FieldPolygons",
    "PreparedScenes",
    "Product",
    "common_grid",
    "degrade",
    "enlarge",
    "find_products",
    "orthorectify",
    "pansharpen",
    "pansharpen_files",
    "prepare",
    "read_gains",
    "read_product",
]

_HOMES = {
    "Calibration": "calibration",
    "FieldPolygons": "field_labels",
    "PreparedScenes": "tool",
    "Product": "product",
    "common_grid": "orthorectification",
    "degrade": "resample",
    "enlarge": "resample",
    "find_products": "product",
    "orthorectify": "orthorectification",
    "pansharpen": "pansharpening",
    "pansharpen_files": "fusion",
    "prepare": "tool",
    "read_gains": "calibration",
    "read_product": "product",
}

__getattr__ = names_from(__name__, _HOMES)
