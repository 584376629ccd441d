"""What truth says of a map, as the part of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rsseg.geo.code_raster import Codes
from rsseg.legend import LandClass
from rsseg.report.pictures import Picture, class_picture, thinned
from rsseg.report.tables import Confusion, ScoreTable, confusion_table, score_table
from rsseg.report.truth import Compared
from rsseg.report.views import SIDE, Sight, Views
from rsseg.report.wording import NOTHING, area_unit, share


@dataclass(frozen=True)
class Accuracy:
    """What truth says of a map: tables, of eroded truth first, mistakes and the worst windows."""

    tables: tuple[ScoreTable, ...]
    confusion: Confusion | None
    worst: tuple[Sight, ...]
    estimates: tuple[tuple[str, ...], ...]
    area_heading: str
    notes: tuple[str, ...]


def accuracy(compared: Compared, classes: Sequence[LandClass], views: Views) -> Accuracy:
    """What truth says."""
    evaluation = compared.evaluation
    scores, settings, unit = evaluation.scores, evaluation.settings, evaluation.unit
    colours = {known.name: known.hex for known in (*compared.classes, *classes)}
    tables = []
    full: dict[str, Any] = scores.get("full", scores)
    if full is not scores:
        caption = f"Truth without the pixels within {settings['erode']:g} pixels of another class"
        tables.append(score_table(_without_borders(scores), colours, caption, unit))
        joined = {name: scores["classes"][name] | row for name, row in full["classes"].items()}
        borders = {key: value for key, value in scores.items() if key.startswith("boundary")}
        full = full | borders | {"classes": joined}
    caption = "All of the truth"
    if settings["boundary"] is not None and settings["truth_kind"] != "points":
        caption += f"; borders with a tolerance of {settings['boundary']:g} pixels"
    tables.append(score_table(full, colours, caption, unit))
    worst = tuple(
        views.sight(
            each.window,
            _said(each.wrong, each.mistake),
            [("truth", _drawn(each.truth, compared.classes))],
        )
        for each in compared.worst
    )
    rows, heading = _estimates(scores.get("estimates"))
    matrix = confusion_table(full, unit)
    return Accuracy(tuple(tables), matrix, worst, rows, heading, evaluation.notes)


def _drawn(codes: Codes, classes: Sequence[LandClass]) -> Picture:
    return class_picture(thinned(codes, SIDE), classes, "the truth there")


def _said(wrong: float, mistake: tuple[str, str | None, float]) -> str:
    true, taken, _ = mistake
    how = f"{true} was not classified" if taken is None else f"{true} taken for {taken}"
    return f"{share(wrong)} wrong, mostly {how}"


def _without_borders(scores: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in scores.items() if not key.startswith("boundary")}
    plain["classes"] = {
        name: {key: value for key, value in row.items() if not key.startswith("boundary")}
        for name, row in scores["classes"].items()
    }
    return plain


def _estimates(found: Mapping[str, Any] | None) -> tuple[tuple[tuple[str, ...], ...], str]:
    """Rows of estimates for the whole map from sample points, and the heading of areas."""
    if found is None:
        return (), ""
    unit = area_unit(sum(row["mapped_area"] for row in found["classes"].values()))
    metres = found["area_unit"] == "m²"
    sized = unit.square_metres if metres else 1.0
    rows = tuple(
        (
            name,
            _between(row["users_accuracy"], 100),
            _between(row["producers_accuracy"], 100),
            _between(row["area"], 1 / sized),
        )
        for name, row in found["classes"].items()
    )
    return rows, f"area, {unit.sign if metres else 'pixels'}"


def _between(estimate: Mapping[str, Any], factor: float) -> str:
    """An estimate with half its 95 % confidence interval."""
    value, error = estimate["estimate"], estimate["standard_error"]
    if value is None:
        return NOTHING
    if error is None:
        return f"{factor * value:,.1f}"
    return f"{factor * value:,.1f} ± {factor * 1.96 * error:,.1f}"
