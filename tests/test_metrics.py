import json

import numpy as np
import pytest
from sklearn import metrics as reference

from rsseg.legend import NODATA
from rsseg.metrics import ConfusionMatrix

NAMES = ("a", "b", "c", "d")
LABELS = range(len(NAMES))


def _random(seed, unpredicted):
    """Labels and correlated predictions ``(30, 40)``; a tenth unlabelled."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(len(NAMES), (30, 40), p=[0.6, 0.3, 0.08, 0.02]).astype(np.uint8)
    wrong = generator.random(truth.shape) < 0.4
    prediction = np.where(wrong, generator.integers(len(NAMES), size=truth.shape), truth)
    prediction[generator.random(truth.shape) < unpredicted] = NODATA
    truth[generator.random(truth.shape) < 0.1] = NODATA
    return truth, prediction.astype(np.uint8)


def _scores(truth, prediction, names=NAMES):
    confusion = ConfusionMatrix(names)
    confusion.update(truth, prediction)
    return confusion.scores()


@pytest.mark.parametrize("unpredicted", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_scores_are_scikit_learns(seed, unpredicted):
    truth, prediction = _random(seed, unpredicted)
    scores = _scores(truth, prediction)
    # to scikit-learn, unpredicted is one more class that no pixel truly is
    y = truth[truth != NODATA], prediction[truth != NODATA]
    options = {"labels": LABELS, "zero_division": 0}

    assert scores["oa"] == pytest.approx(reference.accuracy_score(*y))
    assert scores["kappa"] == pytest.approx(reference.cohen_kappa_score(*y))
    assert scores["unpredicted"] == pytest.approx((y[1] == NODATA).mean())
    for key, function in (
        ("iou", reference.jaccard_score),
        ("f1", reference.f1_score),
        ("precision", reference.precision_score),
        ("recall", reference.recall_score),
    ):
        expected = function(*y, average=None, **options)
        assert [scores["classes"][name][key] for name in NAMES] == pytest.approx(expected)
        mean = scores[{"iou": "miou"}.get(key, key)]
        assert mean == pytest.approx(function(*y, average="macro", **options))
    for label, name in enumerate(NAMES):
        alone = reference.accuracy_score(y[0] == label, y[1] == label)
        assert scores["classes"][name]["accuracy"] == pytest.approx(alone)


def test_f1_of_means_is_the_harmonic_mean_of_mean_precision_and_mean_recall():
    scores = _scores(*_random(0, 0.1))
    p, r = scores["precision"], scores["recall"]
    assert scores["f1_of_means"] == pytest.approx(2 * p * r / (p + r))
    assert scores["f1_of_means"] != pytest.approx(scores["f1"])
    assert scores["mean_accuracy"] == r


def test_unpredicted_pixels_count_in_truth_and_in_no_prediction():
    truth = np.array([0, 0, 0, 1], np.uint8)
    scores = _scores(truth, np.array([0, 0, NODATA, 1], np.uint8), ("a", "b"))
    assert scores["confusion"] == [[2, 0, 1], [0, 1, 0]]
    assert scores["classes"]["a"]["pixels"] == 3
    assert scores["classes"]["a"]["recall"] == pytest.approx(2 / 3)
    assert scores["classes"]["a"]["precision"] == 1
    assert scores["classes"]["a"]["iou"] == pytest.approx(2 / 3)
    assert scores["unpredicted"] == 0.25
    assert scores["oa"] == 0.75


def test_absent_classes_are_none_and_in_no_mean():
    truth, prediction = np.array([0, 0, 1], np.uint8), np.array([0, 1, 1], np.uint8)
    scores = _scores(truth, prediction)
    for name in ("c", "d"):
        assert scores["classes"][name] == dict.fromkeys(
            ("iou", "f1", "precision", "recall", "accuracy")
        ) | {"pixels": 0}
    without = _scores(truth, prediction, NAMES[:2])
    for key in ("miou", "f1", "precision", "recall", "mean_accuracy", "f1_of_means", "kappa"):
        assert scores[key] == without[key]


def test_a_class_that_is_never_found_scores_zero():
    scores = _scores(np.array([0, 1], np.uint8), np.array([0, 2], np.uint8))
    for name in ("b", "c"):  # in truth only, in the prediction only
        row = scores["classes"][name]
        assert (row["iou"], row["f1"], row["precision"], row["recall"]) == (0, 0, 0, 0)
    assert scores["miou"] == pytest.approx(1 / 3)


def test_nothing_labelled_gives_nothing():
    scores = _scores(np.full(3, NODATA, np.uint8), np.zeros(3, np.uint8))
    flat = {key: value for key, value in scores.items() if key not in ("classes", "confusion")}
    assert set(flat.values()) == {None}


def test_kappa_is_none_where_chance_is_certain():
    assert _scores(np.zeros(4, np.uint8), np.zeros(4, np.uint8))["kappa"] is None


def test_updates_add_up_and_scores_are_plain_json():
    truth, prediction = _random(4, 0.1)
    parts = ConfusionMatrix(NAMES)
    for rows in np.array_split(np.arange(30), 4):
        parts.update(truth[rows], prediction[rows])
    assert parts.scores() == _scores(truth, prediction)
    assert parts.matrix.dtype == np.int64
    assert json.loads(json.dumps(parts.scores(), allow_nan=False)) == parts.scores()


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        ([0, 4], [0, 0], "truth"),
        ([0, 0], [0, 4], "prediction"),
        ([0, 0], [0, -1], "prediction"),
        ([0, 0], [0], "truth is"),
    ],
)
def test_foreign_indices_and_shapes_are_refused(truth, prediction, message):
    with pytest.raises(ValueError, match=message):
        ConfusionMatrix(NAMES).update(np.array(truth), np.array(prediction))
