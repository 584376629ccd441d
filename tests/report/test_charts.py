import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.report.charts import BINS, Series, _ticks, histogram, line_chart


@given(st.floats(1e-9, 1e9))
def test_ticks_are_even_and_reach_the_highest(highest):
    ticks = _ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(ticks) <= 7
    assert np.diff(ticks) == pytest.approx(ticks[1], rel=1e-6)


def test_bars_stand_on_the_axis_and_are_as_high_as_their_share():
    counts = np.zeros(BINS, np.int64)
    counts[[0, 5]] = 30, 10
    chart = histogram(counts)
    heights = np.array([bar.height for bar in chart.bars])
    assert heights[0] == pytest.approx(3 * heights[5], rel=1e-3)
    assert np.count_nonzero(heights) == 2
    assert all(
        bar.y + bar.height == pytest.approx(chart.frame.bottom, abs=0.02) for bar in chart.bars
    )
    assert chart.bars[0].told == "0.00 to 0.05: 75.0\xa0%"


def test_curves_lie_within_their_frame():
    values = [(0, 0.2), (50, 0.9), (100, float("nan")), (200, 0.4)]
    chart = line_chart([Series("a", values), Series("empty", [])], "IoU", most=1.0)
    (curve,) = chart.curves
    xs, ys = np.array([[float(n) for n in place] for place in curve.places]).T
    frame = chart.frame
    assert len(xs) == 3, "what is not finite is left out"
    assert (xs[0], xs[-1]) == (frame.left, frame.right)
    assert ys == pytest.approx(
        frame.bottom - (frame.bottom - frame.top) * np.array([0.2, 0.9, 0.4]), abs=0.1
    )


def test_a_curve_may_begin_and_end_at_no_step():
    (curve,) = line_chart([Series("a", [(0, 0.5)])], "loss").curves
    assert len(curve.places) == 1


def test_nothing_to_draw_is_an_empty_chart():
    assert line_chart([], "loss").curves == ()
