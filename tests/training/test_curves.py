import io

from rsseg.legend import Legend
from rsseg.training.curves import draw_curves

LEGEND = Legend.of({"a": (255, 255, 255), "b": (0, 0, 255)})


def rows(steps):
    made = []
    for step in range(steps):
        made.append({"step": str(step), "train_loss": str(2 / (step + 1)), "val_miou": ""})
        if step % 2:
            scores = {"val_miou": step / 20, "val_iou_a": step / 40, "val_iou_b": step / 15}
            made.append({"step": str(step)} | {key: str(value) for key, value in scores.items()})
    return made


def lines(axes):
    return {line.get_label(): [tuple(p) for p in line.get_xydata()] for line in axes.lines}


def test_curves_hold_exactly_what_was_logged():
    loss, scores = draw_curves(rows(6), LEGEND).axes
    assert lines(loss)["mean since the point before"] == [(n + 1, 2 / (n + 1)) for n in range(6)]
    assert lines(loss)["mean between validations"] == [
        (2, (2 + 1) / 2), (4, (2 / 3 + 0.5) / 2), (6, (0.4 + 1 / 3) / 2),
    ]  # fmt: skip
    drawn = lines(scores)
    assert drawn["a"] == [(2, 1 / 40), (4, 3 / 40), (6, 5 / 40)]
    assert drawn["b"] == [(2, 1 / 15), (4, 3 / 15), (6, 5 / 15)]
    assert drawn["mean"] == [(2, 1 / 20), (4, 3 / 20), (6, 5 / 20)]
    assert "best mean 0.250 after 6 steps" in scores.get_title()
    assert next(line for line in scores.lines if line.get_label() == "b").get_color() == "#0000ff"


def test_the_legend_names_the_classes_in_their_order():
    _, scores = draw_curves(rows(4), LEGEND).axes
    assert [text.get_text() for text in scores.get_legend().get_texts()] == ["a", "b", "mean"]


def test_a_run_too_short_for_a_log_says_so():
    figure = draw_curves([], LEGEND)
    for axes in figure.axes:
        assert [text.get_text() for text in axes.texts] == ["nothing logged"]
    figure.savefig(io.BytesIO())


def test_many_classes_find_room_in_the_picture():
    legend = Legend.of({f"class number {n}": (n, 0, 0) for n in range(30)})
    logged = [
        {"step": "9", "val_miou": "0.5"} | {f"val_iou_{name}": "0.5" for name in legend.names}
    ]
    figure = draw_curves(logged, legend)
    figure.savefig(io.BytesIO())
    box = figure.axes[1].get_legend().get_window_extent()
    assert 0 <= box.y0 < box.y1 <= figure.bbox.height
    assert box.x1 <= figure.bbox.width
