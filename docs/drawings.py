"""The pictures that are drawn from the geometry alone: windows, weights, shards, stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from rasterio.windows import Window

from rsseg.geo.shards import Shard, Swath, shards, swaths
from rsseg.geo.tiling import Tiling
from rsseg.prediction.blending.mosaic import profiles
from rsseg.prediction.computing.descent import descents

SMALL = Tiling(height=800, width=1200, size=512, stride=384)
"""A scene whose windows can be told apart."""
LARGE = Tiling(height=12_000, width=19_000, size=1024, stride=768)
"""A scene of several shards in both directions."""
SHARD_PIXELS, SHARD_COLUMNS = 12_000_000, 4096
DONE = range(9)
"""Shards that are on disk when the run of the picture is killed."""
TEAL, ORANGE, GREY, RED = "#00796b", "#ef6c00", "#90a4ae", "#c62828"
COLOURS = (TEAL, ORANGE, "#5e35b1", "#1e88e5")


def stages() -> Figure:
    """From a scene to a map: what runs at the same time."""
    figure = Figure(figsize=(7.2, 2.2), layout="constrained")
    axes = figure.subplots()
    names = ("plan", "read", "score", "blend", "write", "finish")
    notes = (
        "windows,\nshards, memory",
        "a few threads,\neach window once",
        "the network,\nprobabilities",
        "weighted sums\nof one row",
        "shards into\nOUT.tif.parts",
        "one GeoTIFF,\nrenamed",
    )
    _box(axes, (1.02, -0.62), (3.96, 1.32), fc="#e0f2f1", ec="none")
    axes.annotate("at the same time", (3, 0.82), ha="center", color=TEAL, fontsize=9)
    for number, (name, note) in enumerate(zip(names, notes, strict=True)):
        _box(axes, (number + 0.1, -0.1), (0.8, 0.62), fc="white", ec=TEAL, lw=1.3)
        axes.annotate(name, (number + 0.5, 0.21), ha="center", va="center", fontsize=11)
        axes.annotate(note, (number + 0.5, -0.18), ha="center", va="top", fontsize=7.5)
        if number:
            _arrow(axes, (number - 0.1, 0.21), (number + 0.1, 0.21), "", "-|>")
    axes.set(xlim=(0, 6), ylim=(-0.75, 1))
    axes.axis("off")
    return figure


def windows() -> Figure:
    """Windows over a scene, by how many of them cover each pixel."""
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    axes = figure.subplots()
    covers = np.zeros((SMALL.height, SMALL.width))
    places = [(row, column) for row in SMALL.rows for column in SMALL.columns]
    for row, column in places:
        covers[row : row + SMALL.size, column : column + SMALL.size] += 1
    axes.imshow(covers, cmap="Blues", vmin=0, vmax=9, extent=(0, SMALL.width, SMALL.height, 0))
    for number, (row, column) in enumerate(places):
        inset = 5 + 3 * (number % 3)
        side = SMALL.size - 2 * inset
        colour = COLOURS[number % len(COLOURS)]
        axes.add_patch(
            Rectangle((column + inset, row + inset), side, side, fill=False, ec=colour, lw=1.6)
        )
    _arrow(axes, (0, -28), (SMALL.size, -28), f"window {SMALL.size}")
    _arrow(
        axes,
        (0, SMALL.height + 28),
        (SMALL.stride, SMALL.height + 28),
        f"next after {SMALL.stride}",
    )
    _arrow(
        axes,
        (SMALL.columns[-1], SMALL.height + 28),
        (SMALL.width, SMALL.height + 28),
        "the last one is flush with the edge",
    )
    axes.annotate(
        "four windows",
        (SMALL.stride + 64, SMALL.height / 2),
        ha="center",
        va="center",
        fontsize=8,
    )
    axes.set(xlim=(-20, SMALL.width + 20), ylim=(SMALL.height + 80, -80))
    axes.axis("off")
    return figure


def weights() -> Figure:
    """Weights of the windows along one axis, and their sum."""
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    rows: Sequence[Axes] = figure.subplots(2, sharex=True)
    for axes, blend, stride, count in zip(
        rows, ("taper", "uniform"), (SMALL.stride, SMALL.size // 3), (3, 5), strict=True
    ):
        tiling = Tiling(1, SMALL.size + (count - 1) * stride, SMALL.size, stride)
        _, across = profiles(tiling, blend)
        total = np.zeros(tiling.width)
        for number, (start, weight) in enumerate(zip(tiling.columns, across, strict=True)):
            pixels, colour = np.arange(start, start + tiling.size), COLOURS[number % len(COLOURS)]
            axes.plot(pixels[::2], weight[::2], color=colour, lw=1.4)
            axes.fill_between(pixels[::4], weight[::4], color=colour, alpha=0.12)
            total[start : start + tiling.size] += weight
        axes.plot((0, tiling.width), (total[0], total[-1]), "k--", lw=1, label="their sum")
        assert np.allclose(total, 1)
        axes.set(ylim=(0, 1.15), ylabel="weight")
        axes.set_title(f"{blend}, a window of {tiling.size} every {stride} pixels", loc="left")
    rows[0].legend(loc="upper right", frameon=False, borderaxespad=0)
    rows[1].set_xlabel("column of the scene, pixels")
    return figure


def blocks() -> Figure:
    """Shards, the swaths they are worked off in, and the windows that two swaths share."""
    pieces, lanes = _layout()
    figure = Figure(figsize=(7.2, 5.4), layout="constrained")
    axes = figure.subplots()
    for shard in pieces:
        lane = next(number for number, swath in enumerate(lanes) if swath.has(shard))
        _block(axes, shard, COLOURS[lane], 0.2, str(shard.index))
    shared = set(lanes[0].columns) & set(lanes[1].columns)
    for column in shared:
        for row in LARGE.rows:
            _square(axes, LARGE.columns[column], row, RED)
    first = lanes[0]
    sums = (first.left, LARGE.rows[7])
    axes.add_patch(Rectangle(sums, first.width, LARGE.size, fc=TEAL, ec=TEAL, alpha=0.35))
    middle = first.left + first.width / 4, LARGE.rows[7] + LARGE.size / 2
    axes.annotate("sums in memory", middle, ha="center", va="center", fontsize=9)
    for lane, swath in enumerate(lanes):
        middle = (swath.left + swath.right) / 2
        axes.annotate(f"swath {lane + 1}", (middle, -350), ha="center", color=COLOURS[lane])
        across = swath.left + 0.62 * swath.width
        _arrow(axes, (across, 400), (across, LARGE.height - 400), "", "-|>")
    _frame(axes)
    return figure


def resume() -> Figure:
    """What a killed run finds on disk, and the windows that are computed when it goes on."""
    pieces, lanes = _layout()
    pending = [shard for shard in pieces if shard.index not in DONE]
    again = {
        place for descent in descents(LARGE, lanes[:1], pending) for place in descent.windows()
    } | {place for descent in descents(LARGE, lanes[1:], pending) for place in descent.windows()}
    figure = Figure(figsize=(7.2, 5.4), layout="constrained")
    axes = figure.subplots()
    for shard in pieces:
        done = shard.index in DONE
        _block(axes, shard, TEAL if done else GREY, 0.45 if done else 0.08, "on disk" * done)
    for row, column in again:
        _square(axes, LARGE.columns[column], LARGE.rows[row], ORANGE)
    axes.set_title(
        f"{len(DONE)} of {len(pieces)} shards on disk; "
        f"{len(again)} of {len(LARGE)} windows are computed",
        fontsize=10,
        loc="left",
    )
    _frame(axes)
    return figure


def _layout() -> tuple[list[Shard], tuple[Swath, ...]]:
    """Shards of the large scene, and two swaths of them."""
    whole = Window(0, 0, LARGE.width, LARGE.height)
    pieces = list(shards(LARGE, whole, SHARD_PIXELS, SHARD_COLUMNS))
    return pieces, swaths(LARGE, pieces, 2)


def _block(axes: Axes, shard: Shard, colour: str, alpha: float, text: str) -> None:
    width, height = shard.right - shard.left, shard.bottom - shard.top
    place = (shard.left, shard.top)
    axes.add_patch(Rectangle(place, width, height, fc=colour, alpha=alpha, ec="none"))
    axes.add_patch(Rectangle(place, width, height, fill=False, ec="black", lw=1.2))
    axes.annotate(text, (shard.left + width / 2, shard.top + height / 2), ha="center", va="center")


def _box(axes: Axes, place: tuple[float, float], size: tuple[float, float], **look: Any) -> None:
    style = "round,pad=0,rounding_size=0.07"
    axes.add_patch(FancyBboxPatch(place, *size, boxstyle=style, **look))


def _square(axes: Axes, left: int, top: int, colour: str) -> None:
    axes.add_patch(Rectangle((left, top), LARGE.size, LARGE.size, fill=False, ec=colour, lw=0.7))


def _frame(axes: Axes) -> None:
    axes.set(xlim=(-200, LARGE.width + 200), ylim=(LARGE.height + 200, -900), aspect="equal")
    axes.axis("off")


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    text: str,
    style: str = "<|-|>",
) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle=style, mutation_scale=10, color="black", shrinkA=0, shrinkB=0
        )
    )
    if text:
        middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.annotate(text, middle, ha="center", va="center", fontsize=9, bbox=box)
