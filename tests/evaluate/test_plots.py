"""The confusion matrix as a picture: what stands in it, and that it stays readable."""

import re

import numpy as np
import pytest
from matplotlib.image import imread

from rsseg.errors import OutputError
from rsseg.evaluate import plot_confusion


def scores(classes, seed=0):
    """Mostly right, some confusion, some pixels without a prediction."""
    random = np.random.default_rng(seed)
    counts = random.integers(0, 20, (classes, classes + 1))
    counts[np.arange(classes), np.arange(classes)] += 400
    names = [f"kind of land cover {i}" for i in range(classes)]
    return {"confusion": counts.tolist(), "classes": dict.fromkeys(names, {})}


def drawn(scores, folder):
    """All texts of the picture, in order."""
    plot_confusion(scores, folder / "c.svg")
    return re.findall(r"<!-- (.*?) -->", (folder / "c.svg").read_text())


def test_rows_are_shares_of_each_classes_truth(tmp_path):
    few = {"confusion": [[3, 1, 0], [0, 0, 0], [0, 0, 0]], "classes": dict.fromkeys("abc", {})}
    few["confusion"] = [[3, 1, 0, 0], [0, 6, 0, 2], [0, 0, 0, 0]]
    texts = drawn(few, tmp_path)
    shown = ["a", "b", "unpredicted", "predicted", "a", "b", "truth"]
    assert texts[: len(shown)] == shown  # c has neither truth nor predictions
    cells = texts[len(shown) : len(shown) + 6]
    assert cells == ["0.75", "0.25", "0.00", "0.00", "0.75", "0.25"]


@pytest.mark.parametrize(
    ("classes", "form", "inches"), [(12, r"\d\.\d\d", 15), (13, r"\d+", 9), (22, r"\d+", 13)]
)
def test_the_more_classes_the_smaller_the_cells(tmp_path, classes, form, inches):
    found = scores(classes)
    texts = drawn(found, tmp_path)
    row = np.array(found["confusion"][0])
    share = row[0] / row.sum()
    first = texts[texts.index("truth") + 1]
    assert re.fullmatch(form, first)
    assert float(first) == pytest.approx(share if "." in first else 100 * share, abs=0.5)
    plot_confusion(found, tmp_path / "c.png")
    assert max(imread(tmp_path / "c.png").shape) < 150 * inches


def test_colour_alone_tells_of_many_classes(tmp_path):
    found = scores(40)
    texts = drawn(found, tmp_path)
    assert texts.count("kind of land cover 39") == 2
    assert texts[texts.index("truth") + 1] == "0.0"  # the first text of the colour bar
    plot_confusion(found, tmp_path / "c.png")
    assert max(imread(tmp_path / "c.png").shape) < 150 * 13


def test_an_eroded_truth_is_named_so(tmp_path):
    assert "truth, eroded" in drawn({**scores(3), "full": scores(3)}, tmp_path)
    assert "truth, eroded" not in drawn(scores(3), tmp_path)


def test_nothing_scored_is_drawn_too(tmp_path):
    empty = {"confusion": [[0, 0, 0], [0, 0, 0]], "classes": {"a": {}, "b": {}}}
    texts = drawn(empty, tmp_path)
    assert texts[:2] == ["a", "b"]


def test_a_folder_that_is_gone_is_named(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        plot_confusion(scores(3), tmp_path / "gone" / "c.png")
