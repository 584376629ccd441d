"""Labelled scenes without torch: catalogues, labels, splits, samplers, statistics, datasets.

- `catalogue`: which image goes with which label, split and group; `tables`: as CSV or GeoPackage
- `labels`: class indices of a window, from class rasters or polygons
- `samplers`: random and regular windows; `balanced`: by class, `label_index`: where each class is
- `splits`: by group, by block, or leaking; `neighbours`: what adjoins on the ground
- `datasets`: published ones and one's own folders; `gaofen1`: its delivered scenes
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsseg.lazy import names_from

if TYPE_CHECKING:
    from rsseg.data.balanced import BalancedWindows
    from rsseg.data.catalogue import Catalogue, LabelledScene
    from rsseg.data.samplers import GridWindows, RandomWindows
    from rsseg.data.tables import read_catalogue, write_catalogue

_HOMES = {
    "Catalogue": "catalogue",
    "LabelledScene": "catalogue",
    "read_catalogue": "tables",
    "write_catalogue": "tables",
    "RandomWindows": "samplers",
    "BalancedWindows": "balanced",
    "GridWindows": "samplers",
}

__all__ = [
    "BalancedWindows",
    "Catalogue",
    "GridWindows",
    "LabelledScene",
    "RandomWindows",
    "read_catalogue",
    "write_catalogue",
]

__getattr__ = names_from(__name__, _HOMES)
