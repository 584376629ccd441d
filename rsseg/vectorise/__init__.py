"""From a class raster to polygons: ``vectorise`` for files, ``polygonise`` for arrays.

- `polygons`: polygons of an array's equal pixels, on the ground
- `outlines`: those of a file of any size, in batches: `reading` gives strips, which `sieve` and
  `dissolving` change by way of `adjacency`, and `assembling` makes polygons of them
- `runs`, `labelling`, `tracing`, `rings`: from pixels to regions and to the rings around them
- `arcs`, `simplifying`, `smoothing`, `triangles`, `heap`: rings with fewer and rounder corners
- `strips`, `joining`, `joined_rows`: strips outlined each by itself, wherever that is, then joined
- `measure`: their areas in m² and perimeters in m
- `rows`, `formats`, `layers`: the vector files they are written to; `arrow` hands them to GDAL,
  `geopackage` and `geoparquet` do what GDAL does not
- `options`, `table`, `tool`: ``vectorise``, which joins them

The names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsseg.lazy import names_from

if TYPE_CHECKING:
    from rsseg.vectorise.formats import require_writable
    from rsseg.vectorise.options import VectoriseOptions
    from rsseg.vectorise.polygons import polygonise
    from rsseg.vectorise.tool import VectoriseResult, vectorise

__all__ = [
    "VectoriseOptions",
    "VectoriseResult",
    "polygonise",
    "require_writable",
    "vectorise",
]

_HOMES = {
    "VectoriseOptions": "options",
    "VectoriseResult": "tool",
    "polygonise": "polygons",
    "require_writable": "formats",
    "vectorise": "tool",
}

__getattr__ = names_from(__name__, _HOMES)
