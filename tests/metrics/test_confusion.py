import json

import numpy as np
import pytest
from sklearn import metrics as reference

from rsseg.errors import OptionError
from rsseg.legend import NODATA
from rsseg.metrics import ConfusionMatrix

NAMES = ("a", "b", "c", "d")
LABELS = range(len(NAMES))
MEANS = ("miou", "f1", "precision", "recall", "mean_accuracy", "f1_of_means", "fwiou")


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
    for key in (*MEANS, "kappa"):
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


# Means over some classes


@pytest.mark.parametrize("chosen", [["a", "b", "d"], ["c", "a"], ["b"]])
def test_means_over_some_classes_are_scikit_learns(chosen):
    truth, prediction = _random(5, 0.1)
    confusion = ConfusionMatrix(NAMES)
    confusion.update(truth, prediction)
    scores, whole = confusion.scores(chosen), confusion.scores()
    y = truth[truth != NODATA], prediction[truth != NODATA]
    options = {"labels": [NAMES.index(name) for name in chosen], "zero_division": 0}

    for key, function, average in (
        ("miou", reference.jaccard_score, "macro"),
        ("f1", reference.f1_score, "macro"),
        ("precision", reference.precision_score, "macro"),
        ("recall", reference.recall_score, "macro"),
        ("mean_accuracy", reference.recall_score, "macro"),
        ("fwiou", reference.jaccard_score, "weighted"),
    ):
        assert scores[key] == pytest.approx(function(*y, average=average, **options)), key
        assert scores[key] != pytest.approx(whole[key]), key
    p, r = scores["precision"], scores["recall"]
    assert scores["f1_of_means"] == pytest.approx(2 * p * r / (p + r))
    for key in whole.keys() - set(MEANS):  # all pixels still count
        assert scores[key] == whole[key], key


def test_all_names_are_all_classes():
    confusion = ConfusionMatrix(NAMES)
    confusion.update(*_random(6, 0.1))
    assert confusion.scores(NAMES[::-1]) == confusion.scores()


def test_means_over_absent_classes_are_none():
    confusion = ConfusionMatrix(NAMES)
    confusion.update(np.array([0, 1], np.uint8), np.array([0, 0], np.uint8))
    scores = confusion.scores(["c", "d"])
    assert {scores[key] for key in MEANS} == {None}
    assert scores["oa"] == 0.5


@pytest.mark.parametrize(("chosen", "got"), [(["a", "car"], "got car"), ([], "got none")])
def test_unknown_names_and_none_are_refused(chosen, got):
    with pytest.raises(OptionError, match=f"expected some of a, b, c, d, {got}"):
        ConfusionMatrix(NAMES).scores(chosen)


def test_fwiou_weights_by_true_pixels():
    truth, prediction = _random(7, 0.2)
    scores = _scores(truth, prediction)
    labelled = truth != NODATA
    expected = 0.0
    for label in LABELS:
        true, guess = labelled & (truth == label), labelled & (prediction == label)
        expected += true.sum() / labelled.sum() * (true & guess).sum() / (true | guess).sum()
    assert scores["fwiou"] == pytest.approx(expected)
    assert scores["fwiou"] != pytest.approx(scores["miou"])


# Counts from elsewhere


def test_added_counts_are_as_good_as_pixels():
    truth, prediction = _random(8, 0.2)
    whole, parts, elsewhere = (ConfusionMatrix(NAMES) for _ in range(3))
    whole.update(truth, prediction)
    parts.update(truth[:11], prediction[:11])
    elsewhere.update(truth[11:], prediction[11:])
    before = elsewhere.matrix.copy()
    parts.add(elsewhere.matrix.astype(np.int32))
    assert parts.scores() == whole.scores()
    np.testing.assert_array_equal(elsewhere.matrix, before)


def test_square_counts_have_a_prediction_each():
    truth, prediction = _random(9, 0)
    pixels, counts = ConfusionMatrix(NAMES), ConfusionMatrix(NAMES)
    pixels.update(truth, prediction)
    y = truth[truth != NODATA], prediction[truth != NODATA]
    counts.add(reference.confusion_matrix(*y, labels=LABELS))
    assert counts.scores() == pixels.scores()
    assert counts.scores()["unpredicted"] == 0


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((3, 3), int), "counts of 4 classes are"),
        (np.zeros((5, 4), int), "counts of 4 classes are"),
        (np.zeros(20, int), "counts of 4 classes are"),
        (np.zeros((4, 5)), "integers from 0"),
        (np.full((4, 4), -1), "integers from 0"),
    ],
)
def test_anything_but_counts_is_refused(matrix, message):
    confusion = ConfusionMatrix(NAMES)
    with pytest.raises(ValueError, match=message):
        confusion.add(matrix)
    assert not confusion.matrix.any()
