"""The confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rsseg.errors import MissingExtra, OutputError
from rsseg.replacing import replacing

PICTURES = (".png", ".pdf", ".svg")
"""Names of pictures end so."""


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
    the last column, if there are any.

    Raises:
        MissingExtra: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    require_plots()
    from matplotlib.figure import Figure

    counts = np.array(scores["confusion"])
    seen = counts[:, :-1].any(axis=0) | counts.any(axis=1) | (not counts.any())
    shown = np.append(seen, counts[:, -1].any())
    names = np.array([*scores["classes"], "unpredicted"])
    counts = counts[seen][:, shown]
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))

    rows, columns = shares.shape
    figure = Figure(figsize=(2.5 + 0.7 * columns, 2 + 0.6 * rows), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(columns), names[shown], rotation=45, ha="right")
    axes.set_yticks(range(rows), names[:-1][seen])
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    for (row, column), share in np.ndenumerate(shares):
        if not counts[row].any():
            continue  # a class without truth has no shares
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=colour)
    figure.colorbar(picture, label="share of the class's truth")
    try:
        with replacing(out) as unfinished:
            figure.savefig(unfinished, dpi=150)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
