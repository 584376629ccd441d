"""Scores of a class raster against truth: a raster, polygons, or points with a class.

- `matching`: which code of the map and which of the truth are one class
- `rasters`: what the codes of class rasters mean, and whether two lie on one grid
- `layers`: polygons and points of a vector file, and polygons as strips of codes
- `truth`: truth of any kind, open to be compared
- `histogram`: pairs of codes counted
- `counting`: a map and its truth compared strip by strip, in bounded memory
- `points`: a map compared with sample points
- `rules`: which distances and classes are scored
- `outputs`: whether files can be written, asked before the work
- `error_raster`: where the map is wrong
- `reports`: the scores as JSON or CSV
- `plots`: the confusion matrix as a picture
- `tool`: ``evaluate``, which joins them

The names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsseg.lazy import names_from

if TYPE_CHECKING:
    from rsseg.evaluate.outputs import require_outputs
    from rsseg.evaluate.plots import plot_confusion
    from rsseg.evaluate.reports import write_report
    from rsseg.evaluate.tool import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate", "plot_confusion", "require_outputs", "write_report"]

_HOMES = {
    "Evaluation": "tool",
    "evaluate": "tool",
    "plot_confusion": "plots",
    "require_outputs": "outputs",
    "write_report": "reports",
}

__getattr__ = names_from(__name__, _HOMES)
