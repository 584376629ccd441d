"""``report_run``: what a training run left behind, as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.legend import LandClass, Legend
from rsseg.report.charts import Series, line_chart
from rsseg.report.page import write_page
from rsseg.report.pictures import Picture, class_picture, colour_picture, thinned, thinning
from rsseg.report.tables import confusion_table, score_table
from rsseg.report.views import Sight
from rsseg.report.wording import score

_SIDE = 384

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class RunPanel:
    """One validation window.

    Args:
        place: Where it lies.
        said: What is said of it.
        image: Red, green and blue ``(h, w, 3)``.
        label: Class indices ``(h, w)``, 255 for none.
        prediction: Likewise.
        errors: Red, green, blue and opacity ``(h, w, 4)``.
    """

    place: str
    said: str
    image: Pixels
    label: Pixels
    prediction: Pixels
    errors: Pixels


@dataclass(frozen=True)
class RunReport:
    """What the report of a run tells.

    Args:
        title: Of the run.
        legend: Its classes.
        scores: Of the best weights, see `rsseg.metrics.ConfusionMatrix.scores`.
        facts: Further figures for the top of the page, names and texts.
        loss: Training loss by step, single and averaged.
        validation: Validation scores by step: of each class, and the mean last.
        panels: Validation windows.
        recipe: The recipe as text.
        environment: Versions and machine, names and texts.
    """

    title: str
    legend: Legend
    scores: Mapping[str, Any]
    facts: Sequence[tuple[str, str]]
    loss: Sequence[Series]
    validation: Sequence[Series]
    panels: Sequence[RunPanel]
    recipe: str
    environment: Sequence[tuple[str, str]]


def report_run(run: RunReport, out: str | Path) -> int:
    """Write the report of a training run.

    Args:
        run: What it tells.
        out: The page; replaced if there.

    Returns:
        The bytes written.

    Raises:
        MissingExtra: If jinja2 is not installed.
        OutputError: If the page cannot be written.
    """
    colours = {known.name: known.hex for known in run.legend}
    scored = bool(run.scores.get("classes"))
    table = score_table(run.scores, colours, "Validation split") if scored else None
    values = {
        "title": run.title,
        "facts": (
            ("mean IoU", score(run.scores.get("miou"))),
            ("overall accuracy", score(run.scores.get("oa"))),
            *run.facts,
        ),
        "loss": line_chart(run.loss, "training loss"),
        "validation": line_chart(run.validation, "validation IoU", most=1.0),
        "best": max((value for _, value in run.validation[-1].values), default=None)
        if run.validation
        else None,
        "table": table,
        "confusion": confusion_table(run.scores) if scored else None,
        "panels": [_sight(panel, run.legend) for panel in run.panels],
        "legend": tuple(run.legend),
        "recipe": run.recipe,
        "environment": run.environment,
    }
    return write_page("run.html", out, values)


def _sight(panel: RunPanel, legend: Legend) -> Sight:
    """A window with pictures small enough for a page."""
    classes = [LandClass(index, known.name, known.colour) for index, known in enumerate(legend)]
    errors = _smoothed(panel.errors)
    pictures = (
        ("image", _colours(_smoothed(panel.image), f"the image at {panel.place}")),
        ("label", class_picture(thinned(panel.label, _SIDE), classes, "its label")),
        ("prediction", class_picture(thinned(panel.prediction, _SIDE), classes, "the prediction")),
        ("errors", _colours(errors, "where the prediction is wrong", errors[..., 3] > 127)),
    )
    return Sight(panel.said, (panel.place,), pictures)


def _colours(pixels: Pixels, alt: str, valid: npt.NDArray[np.bool_] | None = None) -> Picture:
    seen = np.ones(pixels.shape[:2], np.bool_) if valid is None else valid
    return colour_picture(np.moveaxis(pixels[..., :3], -1, 0), seen, alt)


def _smoothed(pixels: Pixels) -> Pixels:
    """Colours ``(h, w, c)``, means of squares so large that the picture is small."""
    step = thinning(pixels, _SIDE)
    if step == 1:
        return pixels
    height, width, depth = pixels.shape
    rows, columns = height // step, width // step
    squares = pixels[: rows * step, : columns * step].reshape(rows, step, columns, step, depth)
    small: Pixels = squares.mean(axis=(1, 3)).round().astype(np.uint8)
    return small
