"""``evaluate``: a class raster and its truth in, scores out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.errors import SceneError
from rsseg.evaluate.counting import Judge, Source, compare
from rsseg.evaluate.error_raster import writing_errors
from rsseg.evaluate.layers import Layer
from rsseg.evaluate.matching import Counts, Matching
from rsseg.evaluate.outputs import require_outputs
from rsseg.evaluate.points import estimates, sample
from rsseg.evaluate.rules import Rules
from rsseg.evaluate.truth import Truth, opened_truth, refuse
from rsseg.geo.code_raster import CodeRaster
from rsseg.geo.features import looks_like_vector
from rsseg.geo.opening import gdal_cache
from rsseg.legend import NODATA
from rsseg.metrics import BoundaryCounts, ConfusionMatrix

Progress = Callable[[int, int], None]
_CACHE = 64 << 20


@dataclass(frozen=True)
class Evaluation:
    """How good a map is.

    Args:
        scores: What `rsseg.metrics.ConfusionMatrix.scores` says; ``boundary_f1`` and
            ``boundary_iou``, also by class, if borders were scored; ``full``, the same scores by
            the whole truth, if it was eroded; ``estimates`` for the whole map if truth is points.
        unit: What was counted, ``pixels`` or ``points``; in JSON beside the scores.
        notes: What the user should know.
        settings: What was compared and how: the paths, ``truth_kind`` (``raster``, ``polygons`` or
            ``points``), ``layer`` and ``field`` of a vector file, ``matched_by`` (``name`` or
            ``code``), ``erode, boundary, ignore, classes``.
    """

    scores: dict[str, Any]
    unit: str
    notes: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts: the scores, ``unit``, ``notes`` and ``settings``."""
        return {
            **self.scores,
            "unit": self.unit,
            "notes": list(self.notes),
            "settings": self.settings,
        }


def evaluate(
    prediction: str | Path,
    truth: str | Path,
    *,
    erode: float = 0,
    boundary: float | None = None,
    ignore: Sequence[str] = (),
    classes: Sequence[str] | None = None,
    field: str | None = None,
    layer: str | None = None,
    errors: str | Path | None = None,
    overwrite: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> Evaluation:
    """Score a class raster against truth, in memory that does not grow with its height.

    Pixels whose truth is nodata or an ignored class are left out; pixels with truth but without a
    prediction are wrong. Classes are matched by name where both files carry names, else by code,
    with a note.

    Args:
        prediction: One band of class codes.
        truth: A class raster on the same grid; or a vector file (`rsseg.geo.features.SUFFIXES`) of
            polygons (the later wins where they overlap) or sample points with a class.
        erode: Pixels, at most 256; true pixels this near to another class are left out of all
            scores but those under ``full``.
        boundary: Tolerance in pixels, 1 to 256, for scores of borders as well. They are taken
            from truth as it is, not eroded.
        ignore: Names of classes whose true pixels are left out.
        classes: Names of the classes that means are taken over; all not ignored if None.
        field: Field of a vector file with the class; ``class`` or ``class_id`` if None.
        layer: Layer of a vector file; the first with geometries if None.
        errors: GeoTIFF to write: 0 right, 1 wrong, 255 not scored.
        overwrite: Whether to replace it, and what is named after it, if they are there.
        on_progress: Called with pixels done and pixels in all.

    Raises:
        SceneError: If a file cannot be read or is of the wrong kind.
        GridMismatch: If truth is a raster on another grid.
        LegendError: If the classes of both have nothing in common, or a code has no class.
        OptionError: If a distance, class or field cannot be used.
        OutputError: If the raster of errors is there already or cannot be written.
    """
    require_outputs(errors=errors, inputs=(prediction, truth), overwrite=overwrite)
    rules = Rules(erode, boundary, ignore, classes)
    if looks_like_vector(prediction):
        raise SceneError(
            f"{prediction} is a vector file or table",
            expected="a class raster as the prediction",
            remedy="name the map first and its truth second",
        )
    with (
        gdal_cache(_CACHE),
        CodeRaster(prediction) as raster,
        opened_truth(truth, raster, field=field, layer=layer) as known,
    ):
        return score(raster, known, rules, errors=errors, on_progress=on_progress)


def score(
    raster: CodeRaster,
    truth: Truth,
    rules: Rules,
    *,
    errors: str | Path | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Evaluation:
    """Score an open map against open truth, as `evaluate` does files.

    Raises:
        SceneError, LegendError, OptionError, OutputError: As `evaluate`.
    """
    matching = truth.match(raster, rules)
    if truth.source is None:
        refuse(f"{truth.path} has points", errors=errors)
        assert truth.layer is not None, "points lie in a layer"
        done = _of_points(raster, truth.layer, matching, rules, on_progress)
    else:
        done = _of_pixels(raster, truth.source, matching, rules, errors, on_progress)
    notes = () if truth.layer is None else truth.layer.notes
    matched = {"matched_by": "name" if matching.by_name else "code"}
    paths = {"prediction": raster.path, "truth": truth.path}
    settings = {**paths, **truth.settings, **matched, **rules.to_json()}
    return replace(done, notes=(*notes, *done.notes), settings=settings)


def _of_pixels(
    raster: CodeRaster,
    truth: Source,
    matching: Matching,
    rules: Rules,
    errors: str | Path | None,
    on_progress: Progress,
) -> Evaluation:
    size = (raster.grid.height, raster.grid.width)
    borders = None
    if rules.boundary is not None:
        if not matching.by_name:  # borders are counted by class: which are there?
            found = compare(raster, truth, *size, Judge(matching))
            matching = matching.only(_occurring(found.full))
        borders = BoundaryCounts(matching.names, rules.boundary)
    with nullcontext() if errors is None else writing_errors(errors, raster.grid) as on_verdict:
        judge = Judge(matching, rules.ignored(matching), rules.erode, borders, on_verdict)
        tally = compare(raster, truth, *size, judge, on_progress)
    if borders is None:
        matching = matching.only(_occurring(tally.full))
    scores = _scores(tally.scored, matching, rules)
    if borders is not None:
        _join(scores, borders.scores(rules.averaged(matching)))
    if rules.erode:
        scores["full"] = _scores(tally.full, matching, rules)
    return _evaluation(scores, matching, rules, "pixels")


def _of_points(
    raster: CodeRaster, layer: Layer, matching: Matching, rules: Rules, on_progress: Progress
) -> Evaluation:
    found = sample(raster, layer, on_progress)
    matching.require_known(found.counts)
    matching = matching.only(np.union1d(np.flatnonzero(found.mapped), _occurring(found.counts)))
    ignored = rules.ignored(matching)
    counts = found.counts.copy()
    counts[np.isin(matching.true, ignored)] = 0
    scores = _scores(counts, matching, rules)
    notes = found.notes
    whole = None if ignored else estimates(found, matching, raster.grid)
    if whole is not None:
        notes += tuple(whole.pop("notes"))
        scores["estimates"] = whole
    if ignored:
        notes += ("nothing is estimated of the whole map while classes are ignored",)
    done = _evaluation(scores, matching, rules, "points")
    return replace(done, notes=(*notes, *done.notes))


def _occurring(counts: Counts) -> npt.NDArray[np.intp]:
    """Codes of truth, or of a prediction where there is truth."""
    labelled = counts[:NODATA]
    return np.union1d(
        np.flatnonzero(labelled.any(axis=1)), np.flatnonzero(labelled[:, :NODATA].any(axis=0))
    )


def _scores(counts: Counts, matching: Matching, rules: Rules) -> dict[str, Any]:
    confusion = ConfusionMatrix(matching.names)
    confusion.add(matching.confusion(counts))
    return confusion.scores(rules.averaged(matching))


def _join(scores: dict[str, Any], borders: dict[str, Any]) -> None:
    """Put the scores of borders beside the others, classes and confusion matrix last."""
    rows = borders.pop("classes")
    for name, row in scores["classes"].items():
        row |= rows[name]
    tail = {key: scores.pop(key) for key in ("classes", "confusion")}
    scores |= {**borders, **tail}


def _evaluation(scores: dict[str, Any], matching: Matching, rules: Rules, unit: str) -> Evaluation:
    """The scores, of ignored classes none, and the notes."""
    for index in rules.ignored(matching):
        for each in (scores, scores.get("full", scores)):
            row = each["classes"][matching.names[index]]
            row |= dict.fromkeys(row) | {"pixels": 0}
    notes = matching.notes
    if scores["oa"] is None:
        notes += (f"nothing was scored: there are no {unit} with truth on the map",)
    return Evaluation(scores, unit, notes)
