"""From a class raster to polygons: ``vectorise`` for files, ``polygonise`` for arrays.

- `polygons`: outlines of equal pixels, in pixel coordinates and on the ground
- `measure`: their areas in m² and perimeters in m
- `layers`: the vector files they are written to
- `tool`: ``vectorise``, which joins the three

The names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsseg.vectorise.layers import require_writable
    from rsseg.vectorise.polygons import polygonise
    from rsseg.vectorise.tool import VectoriseResult, vectorise

__all__ = ["VectoriseResult", "polygonise", "require_writable", "vectorise"]

_HOMES = {"polygonise": "polygons", "require_writable": "layers"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from importlib import import_module

    value = getattr(import_module(f"rsseg.vectorise.{_HOMES.get(name, 'tool')}"), name)
    globals()[name] = value
    return value
