"""The confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rsseg.errors import MissingExtra, OutputError
from rsseg.replacing import replacing

PICTURES = (".png", ".pdf", ".svg")
"""Names of pictures end so."""


class _Cells(NamedTuple):
    """How a matrix of up to ``most`` classes is drawn: inches, points, and shares as text."""

    most: int
    inches: float
    points: float
    form: str


_CELLS = (_Cells(12, 0.65, 10, "{:.2f}"), _Cells(30, 0.34, 7, "{:.0%}"), _Cells(255, 0.2, 6, ""))


def require_plots() -> None:
    """Check that pictures can be drawn, before any work.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise MissingExtra("matplotlib", "plots") from None


def plot_confusion(scores: dict[str, Any], out: str | Path) -> None:
    """Draw the confusion matrix, each row as shares of the class's truth.

    Classes without truth and predictions have no row and column; pixels without a prediction have
    the last column, if there are any. The more classes, the smaller the cells: shares stand in
    them with two decimals, with more than 12 classes in percent (below half a percent none), with
    more than 30 their colour alone tells, darker by the square root so that small shares show.

    Raises:
        MissingExtra: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    require_plots()
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    counts = np.array(scores["confusion"])
    seen = counts[:, :-1].any(axis=0) | counts.any(axis=1) | (not counts.any())
    shown = np.append(seen, counts[:, -1].any())
    names = np.array([*scores["classes"], "unpredicted"])
    counts = counts[seen][:, shown]
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))

    rows, columns = shares.shape
    most, inches, points, form = next(cells for cells in _CELLS if rows <= cells.most)
    labels = max(map(len, names)) * points / 110  # inches that the longest name takes
    figure = Figure(
        figsize=(1.9 + labels + inches * columns, 1.2 + labels + inches * rows),
        layout="constrained",
    )
    axes = figure.subplots()
    scale = PowerNorm(1 if form else 0.5, vmin=0, vmax=1)
    picture = axes.imshow(shares, cmap="Blues", norm=scale)
    places, below = range(columns), names[shown]
    if most == _CELLS[0].most:
        axes.set_xticks(places, below, fontsize=points, rotation=45, ha="right")
    else:
        axes.set_xticks(places, below, fontsize=points, rotation=90)
    axes.set_yticks(range(rows), names[:-1][seen], fontsize=points)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth, eroded" if "full" in scores else "truth")
    for (row, column), share in np.ndenumerate(shares):
        text = form.format(share).removesuffix("%")
        if text in ("", "0") or not counts[row].any():
            continue  # a class without truth has no shares
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=0.9 * points)
    unit = ", the numbers in percent" if form.endswith("%}") else ""
    figure.colorbar(picture, label=f"share of the class's truth{unit}")
    try:
        with replacing(out) as unfinished:
            figure.savefig(unfinished, dpi=150)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
