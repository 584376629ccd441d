"""Loss and scores of a run by step, as a picture."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from rsseg.legend import Legend
from rsseg.training.logs import Row, mean_since, points
from rsseg.training.task import SCORE

_DARK = "0.15"


def draw_curves(rows: list[Row], legend: Legend) -> Figure:
    """Training loss on the left; on the right IoU of each class, in its colour, and their mean.

    Args:
        rows: Of `rsseg.training.logs.read_log`.
        legend: The classes.
    """
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_loss(left, rows)
    _draw_scores(right, rows, legend)
    for axes in (left, right):
        axes.set_xlabel("step")
        axes.set_xlim(left=0)
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
        if not axes.lines:
            axes.text(0.5, 0.5, "nothing logged", transform=axes.transAxes, ha="center")
    return figure


def _draw_loss(axes: Axes, rows: list[Row]) -> None:
    logged = points(rows, "train_loss")
    _draw(axes, logged, "mean since the point before", color="0.65", markersize=4)
    validated = [0, *(step for step, _ in points(rows, SCORE))]
    means = [
        (step, mean)
        for since, step in zip(validated, validated[1:], strict=False)
        if (mean := mean_since(rows, "train_loss", since, step)) is not None
    ]
    _draw(axes, means, "mean between validations", color=_DARK, linewidth=2, markersize=6)
    axes.set_title("training loss")
    if logged:
        axes.set_ylim(0, 1.05 * max(loss for _, loss in logged) or 1)
        axes.legend(fontsize="small", frameon=False)


def _draw_scores(axes: Axes, rows: list[Row], legend: Legend) -> None:
    # light colours of classes are seen on white by a dark rim
    rim = [withStroke(linewidth=3, foreground="0.35")]
    for land in legend:
        _draw(
            axes, points(rows, f"val_iou_{land.name}"), land.name,
            color=land.hex, linewidth=1.8, markersize=6, path_effects=rim,
        )  # fmt: skip
    means = points(rows, SCORE)
    _draw(axes, means, "mean", color="black", linewidth=3, markersize=8)
    title = "validation IoU"
    if means:
        step, best = max(means, key=lambda point: point[1])
        title += f", best mean {best:.3f} after {step:,} steps"
        axes.axvline(step, color="0.5", linestyle=":", zorder=0)
        columns = 1 + len(legend) // 18
        axes.legend(
            fontsize="small", frameon=False, ncols=columns,
            loc="center left", bbox_to_anchor=(1, 0.5),
        )  # fmt: skip
    axes.set_title(title)
    axes.set_ylim(0, 1)


def _draw(axes: Axes, values: list[tuple[int, float]], label: str, **style: Any) -> None:
    if values:
        axes.plot(*zip(*values, strict=True), label=label, marker=".", **style)
