"""A run as one HTML file: curves, scores, panels, recipe and environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rsseg.legend import NODATA, Legend
from rsseg.report import RunPanel, RunReport, report_run
from rsseg.report.charts import Series
from rsseg.report.wording import share
from rsseg.training.logs import Row, mean_since, points
from rsseg.training.panels import Panel, error_picture, shown_bands, stretched
from rsseg.training.recipe import Recipe
from rsseg.training.task import SCORE
from rsseg.training.yaml_text import to_text

REPORT = "report.html"

_DOTS = 400


def write_report(
    out: Path,
    recipe: Recipe,
    rows: Sequence[Row],
    panels: Sequence[Panel],
    scores: Mapping[str, Any],
    environment: Mapping[str, Any],
) -> None:
    """Write ``report.html``.

    Args:
        out: Run folder.
        recipe: The whole run.
        rows: Of `rsseg.training.logs.read_log`.
        panels: Validation windows.
        scores: Of `ConfusionMatrix.scores`.
        environment: Of `rsseg.training.record.environment`.

    Raises:
        OutputError: If the file cannot be written.
    """
    means = points(rows, SCORE)
    best = max(means, key=lambda point: point[1], default=None)
    facts = [("network", recipe.model.name)]
    if best is not None:
        facts += [("best after", f"{best[0]:,} steps"), ("trained", f"{means[-1][0]:,} steps")]
    report_run(
        RunReport(
            title=recipe.title,
            legend=recipe.legend,
            scores=scores,
            facts=facts,
            loss=_loss(rows),
            validation=_validation(rows, recipe.legend),
            panels=_panels(panels, recipe.data.bands),
            recipe=to_text(recipe.model_dump(mode="json")),
            environment=_flat(environment),
        ),
        out / REPORT,
    )


def _loss(rows: Sequence[Row]) -> list[Series]:
    """The loss as logged, some of it if there is much, and means between validations."""
    logged = points(rows, "train_loss")
    validated = [0, *(step for step, _ in points(rows, SCORE))]
    means = [
        (step, mean)
        for since, step in zip(validated, validated[1:], strict=False)
        if (mean := mean_since(rows, "train_loss", since, step)) is not None
    ]
    return [
        Series("mean since the point before", logged[:: max(1, len(logged) // _DOTS)], dots=True),
        Series("mean between validations", means, strong=True),
    ]


def _validation(rows: Sequence[Row], legend: Legend) -> list[Series]:
    by_class = [
        Series(known.name, points(rows, f"val_iou_{known.name}"), known.hex) for known in legend
    ]
    return [*by_class, Series("mean", points(rows, SCORE), strong=True)]


def _panels(panels: Sequence[Panel], bands: Sequence[int | str]) -> list[RunPanel]:
    if not panels:
        return []
    shown = shown_bands(bands)
    pictures = stretched([panel.image[shown] for panel in panels])
    return [
        RunPanel(
            panel.place.replace("\n", ", "),
            _said(panel),
            picture,
            panel.label,
            panel.prediction,
            error_picture(panel, picture),
        )
        for panel, picture in zip(panels, pictures, strict=True)
    ]


def _said(panel: Panel) -> str:
    known = int((panel.label != NODATA).sum())
    if not known:
        return "nothing is labelled"
    return f"{share(float(panel.wrong.sum() / known))} of the labelled pixels are wrong"


def _flat(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and texts, the packages last."""
    rows = [(name, _text(value)) for name, value in environment.items() if name != "packages"]
    return rows + [(name, str(text)) for name, text in environment.get("packages", {}).items()]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
