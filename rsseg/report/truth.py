"""A map and its truth: scores by rsseg's evaluation, and the windows that are wrong most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from rsseg.evaluate.counting import Judge, Source, compare
from rsseg.evaluate.matching import Matching
from rsseg.evaluate.rules import Rules
from rsseg.evaluate.tool import Evaluation, score
from rsseg.evaluate.truth import Truth, opened_truth
from rsseg.geo.class_colours import spare_colours
from rsseg.geo.code_raster import CodeRaster, Codes
from rsseg.geo.opening import gdal_cache
from rsseg.legend import NODATA, LandClass
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


@contextmanager
def opened(
    path: str | Path, raster: CodeRaster, options: TruthOptions
) -> Iterator[tuple[Truth, Rules]]:
    """Truth to compare a map with, and how, both checked before any work.

    Raises:
        SceneError, GridMismatch, LegendError, OptionError: As `rsseg.evaluate.evaluate`.
    """
    with opened_truth(path, raster, field=options.field, layer=options.layer) as truth:
        usual = 0.0 if truth.source is None else DISTANCE  # points have no borders
        erode = usual if options.erode is None else options.erode
        boundary = usual if options.boundary is None else options.boundary
        rules = Rules(erode, boundary or None, ignore=(), classes=None)
        truth.match(raster, rules)
        yield truth, rules


def compare_with_truth(
    raster: CodeRaster,
    truth: Truth,
    rules: Rules,
    shown: Sequence[LandClass],
    on_progress: Progress,
) -> Compared:
    """Score a map, and find the windows where it is wrong most.

    Args:
        raster: The map.
        truth: Opened on its grid.
        rules: How they are compared.
        shown: The map's classes as they are shown.
        on_progress: Called with pixels done and pixels in all, of both passes.

    Raises:
        SceneError, LegendError, OptionError: As `rsseg.evaluate.evaluate`.
    """
    with gdal_cache(CACHE):
        evaluation = score(
            raster, truth, rules, on_progress=lambda done, total: on_progress(done, 2 * total)
        )
        if truth.source is None or evaluation.scores["oa"] is None:
            return Compared(evaluation)
        matching = truth.match(raster, rules)
        worst = _worst(
            raster,
            truth.source,
            matching,
            rules.erode,
            lambda done, total: on_progress(total + done, 2 * total),
        )
    return Compared(evaluation, _truth_classes(matching, shown, truth), worst)


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
    matching: Matching, shown: Sequence[LandClass], truth: Truth
) -> tuple[LandClass, ...]:
    """The classes of truth by its codes, in the map's colours, else in truth's own."""
    ours = {known.name: known.colour for known in shown}
    codes = {known.code: known.colour for known in shown}
    theirs = {}
    if isinstance(truth.source, CodeRaster) and truth.source.coloured:
        theirs = {known.code: known.colour for known in truth.source.legend}
    spare = spare_colours()
    found = []
    for code in np.flatnonzero(matching.true != NODATA).tolist():
        name = matching.names[matching.true[code]]
        colour = ours.get(name) if matching.by_name else codes.get(code)
        found.append(LandClass(code, name, colour or theirs.get(code) or next(spare)))
    return tuple(found)
