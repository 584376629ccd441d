"""A map and its truth: scores by rsseg's evaluation, and the windows that are wrong most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from rsseg.evaluate.counting import Judge, Source, compare
from rsseg.evaluate.layers import PolygonStrips, read_layer
from rsseg.evaluate.matching import Labels, Matching, match
from rsseg.evaluate.rasters import CodeRaster, require_same_grid
from rsseg.evaluate.tool import Evaluation, evaluate
from rsseg.geo.features import is_vector
from rsseg.geo.opening import gdal_cache
from rsseg.legend import NODATA, LandClass
from rsseg.report.classes import ClassMap, Codes, spare_colours
from rsseg.report.counting import CACHE
from rsseg.report.places import Cells, lowest, side_for

Progress = Callable[[int, int], None]

DISTANCE = 3.0
"""Pixels by which truth is eroded, and borders may lie apart, unless told otherwise."""

_LABELLED = 0.25
"""Part of a window that must be labelled to be shown."""


@dataclass(frozen=True)
class TruthOptions:
    """How a map is compared with truth, see `rsseg.evaluate.evaluate`.

    Args:
        erode: Pixels; 0 for the full truth alone, None for `DISTANCE` unless truth is points.
        boundary: Tolerance in pixels for scores of borders; 0 for none, None likewise.
        field: Field of a vector file with the class.
        layer: Layer of a vector file.
    """

    erode: float | None = None
    boundary: float | None = None
    field: str | None = None
    layer: str | None = None


@dataclass(frozen=True)
class WrongWindow:
    """A window of the map that is wrong.

    Args:
        window: Its pixels.
        truth: Codes of truth ``(h, w)``; 255 where it says nothing.
        wrong: Part of the scored pixels that is wrong.
        mistake: The commonest mistake: the true class, the one it was taken for (None for no
            class), and its part of the scored pixels.
    """

    window: Window
    truth: Codes
    wrong: float
    mistake: tuple[str, str | None, float]


@dataclass(frozen=True)
class Compared:
    """What truth says of a map.

    Args:
        evaluation: The scores.
        classes: The classes of truth in the colours of the map, by truth's codes.
        worst: The windows that are wrong most, the worst first; none if truth is points.
    """

    evaluation: Evaluation
    classes: tuple[LandClass, ...] = ()
    worst: tuple[WrongWindow, ...] = ()


def compare_with_truth(
    raster: str | Path,
    truth: str | Path,
    shown: Sequence[LandClass],
    options: TruthOptions,
    on_progress: Progress,
) -> Compared:
    """Score a map, and find the windows where it is wrong most.

    Args:
        raster: The map.
        truth: A class raster on its grid, or a vector file of polygons or points with a class.
        shown: The map's classes as they are shown.
        options: How they are compared.
        on_progress: Called with pixels done and pixels in all, of both passes.

    Raises:
        SceneError, GridMismatch, LegendError, OptionError: As `rsseg.evaluate.evaluate`.
    """
    with gdal_cache(CACHE), CodeRaster(raster) as prediction:
        opened = _opened(truth, prediction, options)
        with opened as (source, labels):
            usual = 0.0 if source is None else DISTANCE  # points have no borders
            erode = usual if options.erode is None else options.erode
            boundary = usual if options.boundary is None else options.boundary
            evaluation = evaluate(
                raster,
                truth,
                erode=erode,
                boundary=boundary or None,
                field=options.field,
                layer=options.layer,
                on_progress=lambda done, total: on_progress(done, 2 * total),
            )
            if source is None or evaluation.scores["oa"] is None:
                return Compared(evaluation)
            matching = match(prediction.labels, labels)
            worst = _worst(
                prediction,
                source,
                matching,
                erode,
                lambda done, total: on_progress(total + done, 2 * total),
            )
    return Compared(evaluation, _truth_classes(matching, shown, truth), worst)


def require_truth(raster: CodeRaster, truth: str | Path) -> None:
    """Check before any work that truth, if it is a raster, can be compared with a map.

    Raises:
        SceneError: If it cannot be opened or is no class raster.
        GridMismatch: If it lies on another grid.
        LegendError: If the classes of both have nothing in common.
    """
    if not is_vector(truth):
        with CodeRaster(truth) as other:
            require_same_grid(raster, other)
            match(raster.labels, other.labels)


@contextmanager
def _opened(
    truth: str | Path, prediction: CodeRaster, options: TruthOptions
) -> Iterator[tuple[Source | None, Labels]]:
    """Truth to be read strip by strip, None if it is points; and what its codes mean."""
    if not is_vector(truth):
        with CodeRaster(truth) as raster:
            require_same_grid(prediction, raster)
            yield raster, raster.labels
        return
    named = bool(prediction.labels.names)
    found = read_layer(
        truth, prediction.grid, field=options.field, named=named, layer=options.layer
    )
    points = found.kind == "points"
    yield None if points else PolygonStrips(found, prediction.grid), found.labels


def _worst(
    prediction: CodeRaster,
    truth: Source,
    matching: Matching,
    erode: float,
    on_progress: Progress,
) -> tuple[WrongWindow, ...]:
    height, width = prediction.grid.height, prediction.grid.width
    cells = Cells(height, width, side_for(height, width))

    def take(start: int, verdict: Codes) -> None:
        cells.add(start, verdict, verdict != NODATA)

    judge = Judge(matching, erode=erode, on_verdict=take)
    compare(prediction, truth, height, width, judge, on_progress)
    means = cells.means(_LABELLED)
    if np.isnan(means).all():
        means = cells.means(0)
    means[means == 0] = np.nan
    return tuple(
        _wrong_window(prediction, truth, matching, cells.window(*place), float(means[place]))
        for place in lowest(-means)
    )


def _wrong_window(
    prediction: CodeRaster, truth: Source, matching: Matching, window: Window, wrong: float
) -> WrongWindow:
    rows = int(window.row_off), int(window.row_off + window.height)
    columns = slice(int(window.col_off), int(window.col_off + window.width))
    codes, guessed = (source.read(*rows)[:, columns] for source in (truth, prediction))
    true, taken = matching.true[codes], matching.predicted[guessed]
    labelled = true != NODATA
    counts = np.zeros((256, 256), np.int64)
    np.add.at(counts, (true[labelled], taken[labelled]), 1)
    np.fill_diagonal(counts, 0)
    row, column = np.unravel_index(counts.argmax(), counts.shape)
    name = None if column == NODATA else matching.names[column]
    part = float(counts[row, column] / np.count_nonzero(labelled))
    return WrongWindow(window, codes, wrong, (matching.names[row], name, part))


def _truth_classes(
    matching: Matching, shown: Sequence[LandClass], truth: str | Path
) -> tuple[LandClass, ...]:
    """The classes of truth by its codes, in the map's colours, else in truth's own."""
    ours = {known.name: known.colour for known in shown}
    codes = {known.code: known.colour for known in shown}
    theirs = {}
    if not is_vector(truth):
        with ClassMap(truth) as raster:
            if raster.coloured:
                theirs = {known.code: known.colour for known in raster.legend}
    spare = spare_colours()
    found = []
    for code in np.flatnonzero(matching.true != NODATA).tolist():
        name = matching.names[matching.true[code]]
        colour = ours.get(name) if matching.by_name else codes.get(code)
        found.append(LandClass(code, name, colour or theirs.get(code) or next(spare)))
    return tuple(found)
