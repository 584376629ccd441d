import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsseg.errors import OptionError
from rsseg.legend import NODATA
from rsseg.metrics import BoundaryCounts, boundary_scores, eroded

NAMES = ("a", "b", "c")
SIDES = st.integers(1, 9)
DISTANCES = st.sampled_from([1, 1.5, 2, 2.3, 3, 3.7, 20])


def _maps(number):
    """Small label maps of one shape, with unlabelled pixels."""
    labels = st.sampled_from([0, 0, 1, 1, 2, NODATA])
    return st.tuples(SIDES, SIDES).flatmap(
        lambda shape: st.tuples(*[hnp.arrays(np.uint8, shape, elements=labels)] * number)
    )


# Slow and obvious: distances from every pixel to every other


def _pixels(mask):
    return [tuple(at) for at in np.argwhere(mask)]


def _close(at, others, distance):
    return any(np.hypot(at[0] - y, at[1] - x) <= distance for y, x in others)


def _slowly_eroded(truth, distance):
    out = truth.copy()
    for at in _pixels(truth != NODATA):
        if _close(at, _pixels((truth != truth[at]) & (truth != NODATA)), distance):
            out[at] = NODATA
    return out


def _slow_scores(truth, prediction, distance):
    """Boundary F1 and IoU by class, None where the class has no border."""
    labelled = truth != NODATA
    f1, iou = [], []
    for label in range(len(NAMES)):
        contours, bands = [], []
        for labels in (truth, prediction):
            inside, outside = (labels == label) & labelled, (labels != label) & labelled
            outside = _pixels(outside)
            contours.append([at for at in _pixels(inside) if _close(at, outside, 1)])
            bands.append({at for at in _pixels(inside) if _close(at, outside, distance)})
        true, guess = contours
        if not true and not guess:
            f1.append(None)
        else:
            p = np.mean([_close(at, true, distance) for at in guess]) if guess else 0
            r = np.mean([_close(at, guess, distance) for at in true]) if true else 0
            f1.append(2 * p * r / (p + r) if p + r else 0)
        union = bands[0] | bands[1]
        iou.append(len(bands[0] & bands[1]) / len(union) if union else None)
    return f1, iou


@given(_maps(1), st.sampled_from([0, 0.9, 1, 1.5, 2, 2.3, 3, 3.7, 20]))
def test_erosion_is_the_slow_one(maps, distance):
    (truth,) = maps
    before = truth.copy()
    np.testing.assert_array_equal(eroded(truth, distance), _slowly_eroded(truth, distance))
    np.testing.assert_array_equal(truth, before)


@given(_maps(2), DISTANCES)
def test_scores_are_the_slow_ones(maps, distance):
    f1, iou = _slow_scores(*maps, distance)
    scores = boundary_scores(*maps, NAMES, distance)
    for key, expected in (("boundary_f1", f1), ("boundary_iou", iou)):
        found = [scores["classes"][name][key] for name in NAMES]
        assert [value is None for value in found] == [value is None for value in expected]
        known = [value for value in expected if value is not None]
        assert [value for value in found if value is not None] == pytest.approx(known)
        assert scores[key] == (pytest.approx(np.mean(known)) if known else None)


@given(_maps(2), DISTANCES, st.integers(1, 4))
def test_strips_add_up_to_the_whole(maps, distance, step):
    truth, prediction = maps
    strips = BoundaryCounts(NAMES, distance)
    for top in range(0, len(truth), step):
        first = max(top - strips.halo, 0)
        seen = slice(first, top + step + strips.halo)
        strips.update(truth[seen], prediction[seen], slice(top - first, top - first + step))
    assert strips.scores() == boundary_scores(truth, prediction, NAMES, distance)


def test_a_smaller_halo_would_not_do():
    """Row 4 is within reach of the contour in row 0, and is a contour itself because of row 5."""
    truth = np.array([0, 0, 0, 0, 0, 1, 1], np.uint8)[:, None]
    prediction = np.array([0, 1, 1, 1, 1, 1, 1], np.uint8)[:, None]
    met = {}
    for halo in (4, 5, 6):
        counts = BoundaryCounts(NAMES, 4)
        counts.update(truth[: 1 + halo], prediction[: 1 + halo], slice(0, 1))
        met[halo] = counts._counts["guessed_contour_met"].tolist()
    assert counts.halo == 5
    assert met == {4: [0, 0, 0], 5: [1, 0, 0], 6: [1, 0, 0]}


# What the scores mean


def _square(top=10, left=10, side=12, label=1):
    labels = np.zeros((32, 32), np.uint8)
    labels[top : top + side, left : left + side] = label
    return labels


def test_a_perfect_map_scores_one():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, (20, 20)).astype(np.uint8)
    truth[generator.random(truth.shape) < 0.2] = NODATA
    scores = boundary_scores(truth, truth, NAMES, 2)
    assert (scores["boundary_f1"], scores["boundary_iou"]) == (1, 1)
    assert set(scores["classes"]) == set(NAMES)


@pytest.mark.parametrize("shift", [(0, 3), (-3, 0), (2, 2), (1, -2)])
def test_a_shift_within_the_distance_is_forgiven_by_f1_alone(shift):
    truth = _square()
    scores = boundary_scores(truth, np.roll(truth, shift, (0, 1)), NAMES, 3)
    assert scores["boundary_f1"] == 1
    assert scores["boundary_iou"] < 0.9


def test_a_shift_beyond_the_distance_is_not():
    truth = _square()
    scores = boundary_scores(truth, np.roll(truth, 4, 1), NAMES, 3)
    assert 0 < scores["boundary_f1"] < 1


def test_boundary_iou_does_not_grow_with_the_mask():
    """One row and column too many cost a large mask as much as a small one."""
    small = _square(8, 8, 12), _square(8, 8, 13)
    large = _square(2, 2, 24), _square(2, 2, 25)
    boundary = [boundary_scores(t, p, NAMES, 2)["classes"]["b"] for t, p in (small, large)]
    assert boundary[0] == boundary[1]
    assert 0 < boundary[0]["boundary_iou"] < 1
    mask = [(t & p).sum() / (t | p).sum() for t, p in (small, large)]
    assert mask[1] - mask[0] > 0.05


def test_the_edge_of_the_map_and_of_the_labels_is_no_border():
    truth = np.ones((6, 9), np.uint8)
    truth[:, :4] = NODATA
    np.testing.assert_array_equal(eroded(truth, 3), truth)
    scores = boundary_scores(truth, np.ones_like(truth), NAMES, 3)
    assert scores["boundary_f1"] is scores["boundary_iou"] is None
    assert scores["classes"]["b"] == {"boundary_f1": None, "boundary_iou": None}


def test_predictions_where_nothing_is_labelled_do_not_count():
    truth = _square()
    truth[:, 22:] = NODATA
    generator = np.random.default_rng(0)
    noisy = truth.copy()
    noisy[:, 22:] = generator.integers(0, 3, (32, 10))
    assert boundary_scores(truth, noisy, NAMES, 2) == boundary_scores(truth, truth, NAMES, 2)


def test_a_hole_in_the_prediction_has_borders():
    truth = _square()
    prediction = truth.copy()
    prediction[14:17, 14:17] = NODATA
    scores = boundary_scores(truth, prediction, NAMES, 1)
    assert scores["classes"]["a"]["boundary_f1"] == 1
    assert scores["classes"]["b"]["boundary_f1"] < 1


def test_a_class_on_one_side_only_scores_zero():
    scores = boundary_scores(_square(), _square(label=2), NAMES, 2)
    assert scores["classes"]["b"] == scores["classes"]["c"]
    assert scores["classes"]["b"] == {"boundary_f1": 0, "boundary_iou": 0}
    assert scores["boundary_f1"] == pytest.approx(1 / 3)


def test_erosion_is_a_disc():
    truth = np.zeros((9, 9), np.uint8)
    truth[4, 4] = 1
    y, x = np.mgrid[-4:5, -4:5]
    np.testing.assert_array_equal(eroded(truth, 3) == NODATA, y**2 + x**2 <= 9)


def test_a_few_classes_are_averaged():
    truth, prediction = _square(), _square(12)
    truth[28:], prediction[29:] = 2, 2
    counts = BoundaryCounts(NAMES, 1)
    counts.update(truth, prediction)
    rows = counts.scores()["classes"]
    some = counts.scores(["a", "c"])
    for key in ("boundary_f1", "boundary_iou"):
        assert some[key] == pytest.approx((rows["a"][key] + rows["c"][key]) / 2)
        assert some[key] != counts.scores()[key]
    with pytest.raises(OptionError, match="got car"):
        counts.scores(["a", "car"])


@pytest.mark.parametrize("classes", [8, 9, 20, 254])
def test_many_classes_score_as_few(classes):
    names = tuple(str(i) for i in range(classes))
    truth, prediction = _square(label=classes - 1), _square(12, 11, label=classes - 1)
    many = boundary_scores(truth, prediction, names, 2)
    few = boundary_scores(_square(), _square(12, 11), NAMES, 2)
    assert (many["boundary_f1"], many["boundary_iou"]) == (few["boundary_f1"], few["boundary_iou"])
    assert many["classes"][names[-1]] == few["classes"]["b"]


def test_scores_are_plain_json():
    scores = boundary_scores(_square(), _square(11), NAMES, 2)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_memory_is_a_handful_of_maps():
    truth = np.kron(np.random.default_rng(0).integers(0, 3, (25, 20)), np.ones((20, 20), int))
    truth = truth.astype(np.uint8)
    counts = BoundaryCounts([str(i) for i in range(40)], 3)
    counts.update(truth, truth)
    tracemalloc.start()
    try:
        counts.update(truth, np.roll(truth, 1, 1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 25 * truth.nbytes


# What is refused


@pytest.mark.parametrize("distance", [0, 0.5, -1, np.inf, np.nan])
def test_unusable_distances_are_refused(distance):
    with pytest.raises(OptionError, match="unusable distance, expected at least 1 pixels"):
        BoundaryCounts(NAMES, distance)
    if not 0 <= distance < 1:
        with pytest.raises(OptionError, match="unusable distance, expected at least 0 pixels"):
            eroded(_square(), distance)


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        ([[0, 3]], [[0, 0]], "truth holds"),
        ([[0, 0]], [[0, 3]], "prediction holds"),
        ([[0, 0]], [[0, -1]], "prediction holds"),
        ([[0, 256]], [[0, 0]], "truth holds"),
        ([[0, 0]], [[0], [0]], "truth is"),
        ([0, 0], [0, 0], "truth is"),
    ],
)
def test_foreign_indices_and_shapes_are_refused(truth, prediction, message):
    with pytest.raises(ValueError, match=message):
        boundary_scores(np.array(truth), np.array(prediction), NAMES, 2)


@pytest.mark.parametrize("truth", [np.zeros(4, np.uint8), np.zeros((4, 4), np.int64)])
def test_only_maps_are_eroded(truth):
    with pytest.raises(ValueError, match="not uint8"):
        eroded(truth, 3)


def test_too_many_classes_are_refused():
    with pytest.raises(OptionError, match="expected up to 254, got 255"):
        BoundaryCounts([str(i) for i in range(255)], 2)
