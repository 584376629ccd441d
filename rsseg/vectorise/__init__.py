"""From a class raster to polygons: ``vectorise`` for files, ``polygonise`` for arrays.

- `polygons`: outlines of equal pixels, in pixel coordinates and on the ground
- `measure`: their areas in m² and perimeters in m
- `layers`: the vector files they are written to
- `tool`: ``vectorise``, which joins the three

The names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsseg.lazy import names_from

if TYPE_CHECKING:
    from rsseg.vectorise.layers import require_writable
    from rsseg.vectorise.polygons import polygonise
    from rsseg.vectorise.tool import VectoriseResult, vectorise

__all__ = ["VectoriseResult", "polygonise", "require_writable", "vectorise"]

_HOMES = {
    "VectoriseResult": "tool",
    "polygonise": "polygons",
    "require_writable": "layers",
    "vectorise": "tool",
}

__getattr__ = names_from(__name__, _HOMES)
