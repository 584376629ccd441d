"""Reports: one HTML file of a map, or of a training run, that needs no network.

- `tool`: ``report``, the report of a map and of what belongs to it
- `run`: ``report_run``, that of a training run
- `scenes`: the scene below the map, as pictures
- `confidence`: a raster of confidence, as bytes
- `counting`: pixels, areas and confidence of a whole map, strip by strip
- `ground`: areas of pixels, places of windows, the scale and north
- `places`: the windows that stand out, the worst or the least certain
- `truth`: what truth says of a map, and where it is wrong
- `pictures`: pixels as PNG and WebP inside of the page
- `views`: the pictures of a map, its scene and windows of them
- `sections`, `accuracy`: what the parts of a page of a map say
- `tables`: scores by class and the confusion matrix for a page
- `charts`: histograms and curves as coordinates of SVG
- `wording`: numbers as people read them
- `page`: templates, filled in and written

The names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsseg.lazy import names_from

if TYPE_CHECKING:
    from rsseg.report.page import require_templates
    from rsseg.report.run import RunPanel, RunReport, report_run
    from rsseg.report.tool import Report, report
    from rsseg.report.truth import TruthOptions

__all__ = [
    "Report",
    "RunPanel",
    "RunReport",
    "TruthOptions",
    "report",
    "report_run",
    "require_templates",
]

_HOMES = {
    "Report": "tool",
    "RunPanel": "run",
    "RunReport": "run",
    "TruthOptions": "truth",
    "report": "tool",
    "report_run": "run",
    "require_templates": "page",
}

__getattr__ = names_from(__name__, _HOMES)
