"""Histograms and curves as coordinates of SVG; templates draw them in the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg.report.wording import share

BINS = 20
"""Bars of a histogram of confidence."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 30.0, 14.0, 34.0


@dataclass(frozen=True)
class Frame:
    """A chart's size and axes, in units of its ``viewBox``.

    Args:
        width: Of the whole.
        height: Of the whole.
        left: Where the plot begins.
        right: Where it ends.
        top: Likewise.
        bottom: Likewise.
        x_ticks: Place and text.
        y_ticks: Place and text.
        x_label: What the x axis counts.
        y_label: What the y axis counts.
    """

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_label: str
    y_label: str


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram: its corner, its size, and what it says."""

    x: float
    y: float
    width: float
    height: float
    told: str


@dataclass(frozen=True)
class Series:
    """Values by step, to be drawn as a line.

    Args:
        name: For the key.
        values: Steps and values.
        colour: ``#rrggbb``; None for the colour of text.
        strong: Whether it is drawn broad.
        dots: Whether its points are drawn, and no line.
    """

    name: str
    values: Sequence[tuple[int, float]]
    colour: str | None = None
    strong: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Curve:
    """A line of a chart: its points as SVG's ``points``, and one by one."""

    series: Series
    points: str
    places: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Histogram:
    """A histogram of shares."""

    frame: Frame
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class LineChart:
    """Curves over steps."""

    frame: Frame
    curves: tuple[Curve, ...]


def histogram(counts: npt.NDArray[np.int64]) -> Histogram:
    """A histogram of counts ``(BINS,)`` over values from 0 to 1."""
    parts = counts / max(1, counts.sum())
    frame, top = _frame(640, 240, float(parts.max()), percent=True)
    step = (frame.right - frame.left) / len(parts)
    bars = []
    for number, part in enumerate(parts.tolist()):
        tall = (frame.bottom - frame.top) * part / top
        told = f"{number / len(parts):.2f} to {(number + 1) / len(parts):.2f}: {share(part)}"
        x = frame.left + number * step
        bars.append(
            Bar(round(x + 1, 2), round(frame.bottom - tall, 2), step - 2, round(tall, 2), told)
        )
    x_ticks = tuple(
        (round(frame.left + value * (frame.right - frame.left), 1), f"{value:g}")
        for value in (0, 0.25, 0.5, 0.75, 1)
    )
    axes = _labelled(frame, x_ticks, "confidence", "share of pixels")
    return Histogram(axes, tuple(bars))


def line_chart(series: Sequence[Series], y_label: str, most: float | None = None) -> LineChart:
    """Curves over steps; those without values are left out.

    Args:
        series: What is drawn, the last on top.
        y_label: What the values are.
        most: Upper end of the axis; by the values if None.
    """
    drawn = [
        Series(s.name, [v for v in s.values if math.isfinite(v[1])], s.colour, s.strong, s.dots)
        for s in series
    ]
    drawn = [each for each in drawn if each.values]
    highest = max((value for each in drawn for _, value in each.values), default=1.0)
    last = max([1, *(step for each in drawn for step, _ in each.values)])
    frame, top = _frame(640, 300, most if most is not None else highest, percent=False)
    steps = _ticks(last)

    def place(step: float, value: float) -> tuple[float, float]:
        x = frame.left + (frame.right - frame.left) * step / last
        y = frame.bottom - (frame.bottom - frame.top) * min(value, top) / top
        return round(x, 1), round(y, 1)

    curves = []
    for each in drawn:
        places = tuple((f"{x:g}", f"{y:g}") for x, y in (place(*point) for point in each.values))
        curves.append(Curve(each, " ".join(f"{x},{y}" for x, y in places), places))
    x_ticks = tuple((place(step, 0)[0], f"{step:,.0f}") for step in steps if step <= last)
    return LineChart(_labelled(frame, x_ticks, "step", y_label), tuple(curves))


def _frame(width: float, height: float, highest: float, *, percent: bool) -> tuple[Frame, float]:
    """A frame with ticks from 0 up, and the value of its upper end."""
    ticks = _ticks(highest if highest > 0 else 1.0)
    top = ticks[-1]
    right, bottom = width - _RIGHT, height - _BOTTOM
    y_ticks = tuple(
        (
            round(bottom - (bottom - _TOP) * value / top, 1),
            f"{100 * value:g} %" if percent else f"{value:g}",
        )
        for value in ticks
    )
    return Frame(width, height, _LEFT, right, _TOP, bottom, (), y_ticks, "", ""), top


def _labelled(
    frame: Frame, x_ticks: tuple[tuple[float, str], ...], x_label: str, y_label: str
) -> Frame:
    return Frame(
        frame.width, frame.height, frame.left, frame.right, frame.top, frame.bottom,
        x_ticks, frame.y_ticks, x_label, y_label,
    )  # fmt: skip


def _ticks(highest: float) -> list[float]:
    """Three to six even steps from 0 to a value or just beyond."""
    rough = highest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    number = math.ceil(highest / step - 1e-9)
    return [float(f"{i * step:.10g}") for i in range(number + 1)]
