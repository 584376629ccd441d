"""What the parts of a page of a map say: from figures to texts and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.geo.code_raster import CodeRaster
from rsseg.geo.strips import ONE
from rsseg.legend import NODATA, LandClass
from rsseg.report.charts import BINS, Histogram, histogram
from rsseg.report.counting import Counted
from rsseg.report.ground import crs_name, pixel_size
from rsseg.report.places import lowest
from rsseg.report.views import Sight, Views
from rsseg.report.wording import NOTHING, area_unit, count, share

_VALID = 0.5
_TAGS = {
    "RSSEG_SCENE": "Scene",
    "RSSEG_MODEL": "Model, SHA-256",
    "RSSEG_ARCHITECTURE": "Network",
    "RSSEG_BANDS": "Bands",
    "RSSEG_WINDOW": "Window, pixels",
    "RSSEG_FOOTPRINT": "Footprint of a window, pixels of the scene",
    "RSSEG_STRIDE": "Stride, pixels",
    "RSSEG_BLEND": "Blending",
    "RSSEG_ENGINE": "Engine",
    "RSSEG_PRECISION": "Precision",
    "RSSEG_TTA": "Test-time augmentation",
    "RSSEG_STRETCH": "Stretch",
    "RSSEG_VERSION": "rsseg that made the map",
}
_UNTOLD = ("RSSEG_LEGEND", "AREA_OR_POINT")


@dataclass(frozen=True)
class ClassRow:
    """A class and how much of the map it is.

    Args:
        name: Of the class.
        colour: ``#rrggbb``.
        part: Of all classified pixels.
        pixels: Their number.
        area: As text; None where pixels have no area on the ground.
        certain: Mean confidence of its pixels; None if there is none.
    """

    name: str
    colour: str
    part: float
    pixels: int
    area: str | None
    certain: float | None


@dataclass(frozen=True)
class Extent:
    """How much of the map is classified.

    Args:
        classes: All classes shown, as the legend has them.
        rows: The classes, the largest first.
        pixels: Classified pixels.
        empty: Pixels of no class.
        area: Of the classified ones, as text; None where pixels have no area.
    """

    classes: tuple[LandClass, ...]
    rows: tuple[ClassRow, ...]
    pixels: int
    empty: int
    area: str | None


@dataclass(frozen=True)
class Certainty:
    """What the confidence of a map says.

    Args:
        mean: Of all pixels that have one.
        median: Likewise.
        doubtful: Part of the pixels with a confidence below a half.
        chart: Their histogram.
        places: The least certain windows.
    """

    mean: float
    median: float
    doubtful: float
    chart: Histogram
    places: tuple[Sight, ...]


def extent(counted: Counted, classes: Sequence[LandClass]) -> Extent:
    """How much there is of each class."""
    pixels, areas = counted.pixels, counted.areas
    total = int(pixels[:NODATA].sum())
    whole = None if areas is None else float(areas[:NODATA].sum())
    unit = area_unit(whole or 0)
    rows = [
        ClassRow(
            known.name,
            known.hex,
            float(pixels[known.code] / max(1, total)),
            int(pixels[known.code]),
            None if areas is None else unit.told(float(areas[known.code])),
            _mean(counted.certain, known.code),
        )
        for known in classes
    ]
    rows.sort(key=lambda row: -row.pixels)
    area = None if whole is None else unit.told(whole)
    return Extent(tuple(classes), tuple(rows), total, int(pixels[NODATA]), area)


def headline(
    found: Extent, certain: Certainty | None, scores: Mapping[str, Any] | None
) -> tuple[tuple[str, str], ...]:
    """The figures at the top of the page, names and texts."""
    facts = [("mapped", found.area or f"{count(found.pixels)} pixels")]
    if found.pixels:
        largest = found.rows[0]
        facts.append(("largest class", f"{largest.name}, {share(largest.part)}"))
    if certain is not None:
        facts.append(("mean confidence", share(certain.mean)))
    if scores is not None:
        facts.append(("overall accuracy", share(scores["oa"])))
        facts.append(("mean IoU", share(scores["miou"])))
    if found.empty:
        facts.append(("not classified", share(found.empty / (found.empty + found.pixels))))
    return tuple(facts)


def certainty(counted: Counted, views: Views) -> Certainty | None:
    """What the confidence says; None if no pixel has one."""
    if counted.certain is None or counted.cells is None:
        return None
    counts = counted.certain[:, :NODATA].sum(axis=0)
    total = int(counts.sum())
    if not total:
        return None
    values = np.arange(NODATA) / ONE
    median = float(values[np.searchsorted(counts.cumsum(), (total + 1) // 2)])
    bins = np.minimum((values * BINS).astype(np.intp), BINS - 1)
    chart = histogram(np.bincount(bins, counts, BINS).astype(np.int64))
    means = counted.cells.means(_VALID)
    if np.isnan(means).all():
        means = counted.cells.means(0)
    places = tuple(
        views.sight(counted.cells.window(*place), f"mean confidence {share(means[place] / ONE)}")
        for place in lowest(means)
    )
    doubtful = float(counts[values < 0.5].sum() / total)
    return Certainty(float(counts @ values / total), median, doubtful, chart, places)


def provenance(raster: CodeRaster) -> tuple[tuple[str, str], ...]:
    """What the map's file says of itself, and of how it was made."""
    grid = raster.grid
    rows = [
        ("File", Path(raster.name).name),
        ("Size", f"{count(grid.width)} × {count(grid.height)} pixels"),
        ("Pixel", pixel_size(grid) or NOTHING),
        ("Coordinate reference system", crs_name(grid)),
    ]
    told = [(label, raster.tags[tag]) for tag, label in _TAGS.items() if tag in raster.tags]
    others = [(k, v) for k, v in sorted(raster.tags.items()) if k not in (*_TAGS, *_UNTOLD)]
    return (*rows, *told, *others)


def _mean(certain: npt.NDArray[np.int64] | None, code: int) -> float | None:
    if certain is None or not certain[code, :NODATA].any():
        return None
    counts = certain[code, :NODATA]
    return float(counts @ np.arange(NODATA) / counts.sum() / ONE)
