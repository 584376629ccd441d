"""``evaluate``: a class raster and its truth in, scores out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.transform import array_bounds

from rsseg.errors import GridMismatch, OptionError
from rsseg.evaluate.counting import Judge, Source, compare
from rsseg.evaluate.error_raster import writing_errors
from rsseg.evaluate.layers import Layer, PolygonRaster, is_layer, read_layer
from rsseg.evaluate.matching import Counts, Matching, match
from rsseg.evaluate.points import estimates, sample
from rsseg.evaluate.rasters import CodeRaster
from rsseg.evaluate.reports import RASTERS, require_free
from rsseg.geo.scene import gdal_cache
from rsseg.legend import NODATA
from rsseg.metrics import BoundaryCounts, ConfusionMatrix, require_distance

Progress = Callable[[int, int], None]
_CACHE = 64 << 20


@dataclass(frozen=True)
class Evaluation:
    """How good a map is.

    Args:
        scores: What `rsseg.metrics.ConfusionMatrix.scores` says; ``boundary_f1`` and
            ``boundary_iou``, also by class, if borders were scored; ``estimates`` for the whole map
            if truth is points.
        unit: What was counted, ``pixels`` or ``points``; in JSON beside the scores.
        notes: What the user should know.
    """

    scores: dict[str, Any]
    unit: str
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts: the scores, ``unit`` and ``notes``."""
        return {**self.scores, "unit": self.unit, "notes": list(self.notes)}


@dataclass(frozen=True)
class _Rules:
    """What is scored, see `evaluate`."""

    erode: float
    boundary: float | None
    ignore: Sequence[str]
    classes: Sequence[str] | None

    def __post_init__(self) -> None:
        require_distance(self.erode, least=0)
        if self.boundary is not None:
            require_distance(self.boundary, least=1)
        both = [name for name in self.classes or () if name in self.ignore]
        if both:
            raise OptionError(f"{', '.join(both)} cannot be ignored and averaged over at once")

    def require_classes(self, matching: Matching) -> None:
        """Check that the classes named are there.

        Raises:
            OptionError: If one is not.
        """
        for option, names in (("ignore", self.ignore), ("classes", self.classes or ())):
            for name in names:
                if name not in matching.names:
                    raise OptionError(
                        f"{option}: there is no class '{name}'", expected=matching.listed
                    )

    def ignored(self, matching: Matching) -> list[int]:
        """Indices of the classes whose truth is left out."""
        return [i for i, name in enumerate(matching.names) if name in self.ignore]

    def averaged(self, matching: Matching) -> list[str] | None:
        """Names of the classes that means are taken over; None for all."""
        names = self.classes or [name for name in matching.names if name not in self.ignore]
        return [name for name in names if name in matching.names] or None


def evaluate(
    prediction: str | Path,
    truth: str | Path,
    *,
    erode: float = 0,
    boundary: float | None = None,
    ignore: Sequence[str] = (),
    classes: Sequence[str] | None = None,
    field: str | None = None,
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
        truth: A class raster on the same grid; or a vector file (`layers.SUFFIXES`) of polygons
            (the later wins where they overlap) or sample points with a class.
        erode: Pixels; true pixels this near to another class are left out.
        boundary: Tolerance in pixels, at least 1, for scores of borders as well. They are taken
            from truth as it is, not eroded.
        ignore: Names of classes whose true pixels are left out.
        classes: Names of the classes that means are taken over; all not ignored if None.
        field: Field of a vector file with the class; ``class`` or ``class_id`` if None.
        errors: GeoTIFF to write: 0 right, 1 wrong, 255 not scored.
        overwrite: Whether to replace it if it is there.
        on_progress: Called with pixels done and pixels in all.

    Raises:
        SceneError: If a file cannot be read or is of the wrong kind.
        GridMismatch: If truth is a raster on another grid.
        LegendError: If the classes of both have nothing in common, or a code has no class.
        OptionError: If a distance, class or field cannot be used.
        OutputError: If the raster of errors is there already or cannot be written.
    """
    if errors is not None:
        require_free(errors, RASTERS, inputs=(prediction, truth), overwrite=overwrite)
    rules = _Rules(erode, boundary, ignore, classes)
    with gdal_cache(_CACHE), CodeRaster(prediction) as raster:
        if is_layer(truth):
            named = bool(raster.labels.names)
            layer = read_layer(truth, raster.grid, field=field, named=named)
            matching = match(raster.labels, layer.labels)
            rules.require_classes(matching)
            if layer.kind == "points":
                _refuse(f"{truth} has points", erode=erode, boundary=boundary, errors=errors)
                done = _of_points(raster, layer, matching, rules, on_progress)
            else:
                source = PolygonRaster(layer, raster.grid)
                done = _of_pixels(raster, source, matching, rules, errors, on_progress)
            return replace(done, notes=(*layer.notes, *done.notes))
        _refuse(f"{truth} is a raster", field=field)
        with CodeRaster(truth) as other:
            try:
                raster.grid.require_same(other.grid, raster.path, other.path)
            except GridMismatch as error:  # its remedy would lose the names of the classes
                raise GridMismatch(
                    f"{other.path} is {other.grid}, {raster.path} is {raster.grid}",
                    remedy=_remedy(raster, other),
                ) from error
            matching = match(raster.labels, other.labels)
            rules.require_classes(matching)
            return _of_pixels(raster, other, matching, rules, errors, on_progress)


def _of_pixels(
    raster: CodeRaster,
    truth: Source,
    matching: Matching,
    rules: _Rules,
    errors: str | Path | None,
    on_progress: Progress,
) -> Evaluation:
    size = (raster.grid.height, raster.grid.width)
    borders = None
    if rules.boundary is not None:
        if not matching.by_name:  # borders are counted by class: which are there?
            found = compare(raster, truth, *size, Judge(matching))
            matching = matching.only(_occurring(found))
        borders = BoundaryCounts(matching.names, rules.boundary)
    with nullcontext() if errors is None else writing_errors(errors, raster.grid) as on_verdict:
        judge = Judge(matching, rules.ignored(matching), rules.erode, borders, on_verdict)
        counts = compare(raster, truth, *size, judge, on_progress)
    if borders is None:
        matching = matching.only(_occurring(counts))
    scores = _scores(counts, matching, rules)
    if borders is not None:
        _join(scores, borders.scores(rules.averaged(matching)))
    return _evaluation(scores, matching, rules, "pixels")


def _of_points(
    raster: CodeRaster, layer: Layer, matching: Matching, rules: _Rules, on_progress: Progress
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


def _scores(counts: Counts, matching: Matching, rules: _Rules) -> dict[str, Any]:
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


def _evaluation(scores: dict[str, Any], matching: Matching, rules: _Rules, unit: str) -> Evaluation:
    """The scores, of ignored classes none, and the notes."""
    for index in rules.ignored(matching):
        row = scores["classes"][matching.names[index]]
        row |= dict.fromkeys(row) | {"pixels": 0}
    notes = matching.notes
    if scores["oa"] is None:
        notes += (f"nothing was scored: there are no {unit} with truth on the map",)
    return Evaluation(scores, unit, notes)


def _remedy(raster: CodeRaster, truth: CodeRaster) -> str:
    """The command that puts truth on the map's grid and keeps its class names (GDAL's tags)."""
    grid = raster.grid
    if truth.grid.crs is None or grid.crs is None or not grid.crs.to_epsg():
        return "georeference both, e.g. with gdal_edit -a_srs EPSG:CODE -a_ullr W N E S"
    west, south, east, north = array_bounds(grid.height, grid.width, grid.transform)
    return (
        f"put truth on the map's grid: gdalwarp -r near -t_srs EPSG:{grid.crs.to_epsg()} "
        f"-te {west:.10g} {south:.10g} {east:.10g} {north:.10g} -ts {grid.width} {grid.height} "
        f"-dstnodata {NODATA} {truth.path} OUT.tif"
    )


def _refuse(what: str, **options: object) -> None:
    """Refuse options that make no sense for this truth."""
    given = [name for name, value in options.items() if value]
    if given:
        raise OptionError(f"{what}: {' and '.join(given)} cannot be used with it")
