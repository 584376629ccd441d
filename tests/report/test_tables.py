import numpy as np

from rsseg.metrics import ConfusionMatrix
from rsseg.report.tables import MOST_CLASSES, confusion_table, score_table


def scores(matrix, names=("a", "b", "c")):
    confusion = ConfusionMatrix(tuple(names))
    confusion.add(np.array(matrix))
    return confusion.scores()


FOUND = scores([[60, 20, 0, 0], [0, 10, 0, 10], [0, 0, 0, 0]])


def test_classes_that_are_nowhere_have_no_row():
    table = score_table(FOUND, {"a": "#112233"}, "All")
    assert table.columns == ("IoU", "F1", "precision", "recall", "pixels")
    assert [(name, colour) for name, colour, _ in table.rows] == [("a", "#112233"), ("b", None)]
    assert table.rows[0][2] == ("0.750", "0.857", "1.000", "0.750", "80")
    assert dict(table.overall)["overall accuracy"] == "0.700"


def test_rows_are_shares_of_their_truth():
    table = confusion_table(FOUND)
    assert table.columns == ("a", "b", "unpredicted")
    assert [name for name, _ in table.rows] == ["a", "b"]
    assert [[cell.text for cell in cells] for _, cells in table.rows] == [
        ["75.0", "25.0", ""],
        ["", "50.0", "50.0"],
    ]
    assert all(abs(sum(cell.part for cell in cells) - 1) < 1e-9 for _, cells in table.rows)


def test_mistakes_are_told_the_commonest_first():
    told = [text.replace("\xa0", " ") for text in confusion_table(FOUND).mistakes]
    assert told == ["25.0 % of a was taken for b", "50.0 % of b was not classified"]


def test_of_many_classes_those_with_the_most_truth_are_shown():
    many = MOST_CLASSES + 5
    names = [f"c{n}" for n in range(many)]
    table = confusion_table(scores(np.diag(np.arange(1, many + 1)), names))
    assert table.left_out == 5
    assert [name for name, _ in table.rows] == names[5:]


def test_nothing_scored_is_no_matrix():
    assert confusion_table(scores(np.zeros((3, 4), int))) is None
