import json

import numpy as np
import pytest

from rsseg.metrics import ConfusionMatrix
from rsseg.training.seeds import MEANS, OF_CLASSES, middle_of, summarise


def scores_of(right, names=("road", "water")):
    """Scores of a map that is right in this many of a hundred pixels of each class."""
    confusion = ConfusionMatrix(names)
    counts = np.full((2, 2), 100 - right)
    np.fill_diagonal(counts, right)
    confusion.add(counts)
    return confusion.scores()


@pytest.mark.parametrize(("rights", "middle"), [((90, 60, 70), 2), ((90, 60), 1), ((55,), 0)])
def test_medians_are_of_each_score_and_the_chosen_run_is_one_of_them(rights, middle):
    scores = {seed: scores_of(right) for seed, right in enumerate(rights)}
    found = summarise(scores)
    for key in MEANS:
        assert found["median"][key] == np.median([each[key] for each in scores.values()])
    for name, row in found["median"]["classes"].items():
        for key in OF_CLASSES:
            values = [each["classes"][name][key] for each in scores.values()]
            assert row[key] == np.median(values)
    assert middle_of(scores) == middle
    assert found["seeds"]["0"]["oa"] == scores[0]["oa"]
    assert json.loads(json.dumps(found)) == found


def test_what_no_run_has_a_score_of_is_none():
    """As where no pixel of a class is in the validation split."""
    empty = ConfusionMatrix(("road", "water")).scores()
    found = summarise({4: empty, 1: empty})
    assert found["median"]["miou"] is None
    assert found["median"]["classes"]["road"] == {"iou": None, "f1": None}
    assert middle_of({4: empty, 1: empty}) == 4
    assert middle_of({4: empty, 1: scores_of(60)}) == 1
