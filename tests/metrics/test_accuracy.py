import json
from math import sqrt

import numpy as np
import pytest

from rsseg.errors import OptionError
from rsseg.metrics import ConfusionMatrix, stratified_accuracy

NAMES = ("deforestation", "forest gain", "stable forest", "stable non-forest")
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
AREAS = (200_000, 150_000, 3_200_000, 6_450_000)  # pixels of 0.09 ha
"""The example of Olofsson et al. (2014), section 5."""


def _margin(estimate):
    return 1.96 * estimate["standard_error"]


@pytest.fixture(scope="module")
def example():
    return stratified_accuracy(COUNTS, AREAS, NAMES)


# The paper's numbers


def test_overall_accuracy_is_the_papers(example):
    assert example["oa"]["estimate"] == pytest.approx(0.947, abs=0.0005)
    assert _margin(example["oa"]) == pytest.approx(0.018, abs=0.0005)


@pytest.mark.parametrize(
    ("name", "kind", "estimate", "margin"),
    [
        (NAMES[0], "users", 0.88, 0.07),
        (NAMES[1], "users", 0.73, 0.10),
        (NAMES[2], "users", 0.93, 0.04),
        (NAMES[3], "users", 0.96, 0.02),
        (NAMES[0], "producers", 0.75, 0.21),
        (NAMES[1], "producers", 0.85, None),  # 0.23 is printed, equation 7 gives 0.25
        (NAMES[2], "producers", 0.93, 0.03),
        (NAMES[3], "producers", 0.96, None),  # 0.01 is printed, equation 7 gives 0.02
    ],
)
def test_class_accuracies_are_the_papers(example, name, kind, estimate, margin):
    found = example["classes"][name][f"{kind}_accuracy"]
    assert found["estimate"] == pytest.approx(estimate, abs=0.005)
    if margin is not None:
        assert _margin(found) == pytest.approx(margin, abs=0.005)


def test_area_of_deforestation_is_the_papers(example):
    area = example["classes"]["deforestation"]["area"]
    assert area["estimate"] == pytest.approx(235_086, abs=1)
    assert _margin(area) == pytest.approx(68_418, abs=1)
    assert area["estimate"] * 0.09 == pytest.approx(21_158, abs=1)


# The paper's equations, term by term


def _slowly(n, areas):
    """Estimates and standard errors: of oa, then by class of user's, producer's and area."""
    k, total = len(areas), sum(areas)
    rows = [sum(n[i]) for i in range(k)]
    p = [[areas[i] / total * n[i][j] / rows[i] for j in range(k)] for i in range(k)]
    column = [sum(p[i][j] for i in range(k)) for j in range(k)]
    users = [p[i][i] / sum(p[i]) for i in range(k)]
    users_variance = [users[i] * (1 - users[i]) / (rows[i] - 1) for i in range(k)]
    oa_variance = sum((areas[i] / total) ** 2 * users_variance[i] for i in range(k))
    yield sum(p[i][i] for i in range(k)), sqrt(oa_variance)
    for j in range(k):
        yield users[j], sqrt(users_variance[j])
        truly = sum(areas[i] / rows[i] * n[i][j] for i in range(k))
        producers = p[j][j] / column[j]
        own = areas[j] ** 2 * (1 - producers) ** 2 * users_variance[j]
        others = sum(
            areas[i] ** 2 * n[i][j] / rows[i] * (1 - n[i][j] / rows[i]) / (rows[i] - 1)
            for i in range(k)
            if i != j
        )
        yield producers, sqrt((own + producers**2 * others) / truly**2)
        variance = sum(
            (areas[i] / total * p[i][j] - p[i][j] ** 2) / (rows[i] - 1) for i in range(k)
        )
        yield total * column[j], total * sqrt(variance)


@pytest.mark.parametrize("seed", range(4))
def test_estimates_are_the_equations(seed):
    generator = np.random.default_rng(seed)
    counts, areas = COUNTS, AREAS
    if seed:
        counts = generator.integers(0, 9, (4, 4)) + np.eye(4, dtype=int)
        areas = tuple(generator.uniform(1, 100, 4))
    result = stratified_accuracy(counts, areas, NAMES)
    found = [result["oa"]]
    for name in NAMES:
        row = result["classes"][name]
        found += [row["users_accuracy"], row["producers_accuracy"], row["area"]]
    expected = list(_slowly(counts.tolist(), areas))
    assert [e["estimate"] for e in found] == pytest.approx([value for value, _ in expected])
    assert [e["standard_error"] for e in found] == pytest.approx([error for _, error in expected])


def test_the_errors_are_the_spread_of_repeated_samples():
    """Strata of a known map are sampled again and again, with replacement."""
    generator = np.random.default_rng(0)
    shares = np.array([[0.9, 0.1, 0], [0.05, 0.85, 0.1], [0.02, 0.03, 0.95]])
    areas, points = np.array([100, 300, 600]), (200, 300, 400)
    truly = areas @ shares
    found = {"oa": [], "users_accuracy": [], "producers_accuracy": [], "area": []}
    for _ in range(1500):
        counts = np.array(
            [generator.multinomial(n, p) for n, p in zip(points, shares, strict=True)]
        )
        result = stratified_accuracy(counts, areas, NAMES[:3])
        found["oa"].append(result["oa"])
        for key, values in list(found.items())[1:]:
            values.append(result["classes"][NAMES[1]][key])
    expected = {
        "oa": areas @ shares.diagonal() / 1000,
        "users_accuracy": 0.85,
        "producers_accuracy": 300 * 0.85 / truly[1],
        "area": truly[1],
    }
    for key, truth in expected.items():
        estimates = np.array([e["estimate"] for e in found[key]])
        errors = np.array([e["standard_error"] for e in found[key]])
        assert estimates.mean() == pytest.approx(truth, rel=0.01), key
        assert np.sqrt((errors**2).mean()) == pytest.approx(estimates.std(), rel=0.08), key
        inside = np.mean([e["interval"][0] <= truth <= e["interval"][1] for e in found[key]])
        assert 0.93 < inside < 0.97, key


# Laws


def test_a_proportional_sample_has_the_accuracy_of_its_points():
    counts = np.array([[8, 2], [3, 17]])
    result = stratified_accuracy(counts, [1, 2], NAMES[:2])
    confusion = ConfusionMatrix(NAMES[:2])
    confusion.add(counts.T)
    scores = confusion.scores()
    assert result["oa"]["estimate"] == pytest.approx(scores["oa"])
    for name, row in result["classes"].items():
        assert row["users_accuracy"]["estimate"] == pytest.approx(
            scores["classes"][name]["precision"]
        )
        assert row["producers_accuracy"]["estimate"] == pytest.approx(
            scores["classes"][name]["recall"]
        )


def test_proportions_and_areas_add_up(example):
    proportions = np.array(example["proportions"])
    assert proportions.sum(axis=1) * sum(AREAS) == pytest.approx(AREAS)
    areas = [row["area"]["estimate"] for row in example["classes"].values()]
    assert sum(areas) == pytest.approx(sum(AREAS))
    assert [row["mapped_area"] for row in example["classes"].values()] == list(AREAS)
    assert [row["points"] for row in example["classes"].values()] == [75, 75, 165, 325]


def test_the_unit_of_area_does_not_matter(example):
    hectares = stratified_accuracy(COUNTS, np.array(AREAS) * 0.09, NAMES)
    assert hectares["oa"]["standard_error"] == pytest.approx(example["oa"]["standard_error"])
    for name in NAMES:
        mine, theirs = hectares["classes"][name], example["classes"][name]
        assert mine["area"]["standard_error"] == pytest.approx(
            0.09 * theirs["area"]["standard_error"]
        )


def test_intervals_stay_in_range(example):
    forest_gain = example["classes"]["forest gain"]["producers_accuracy"]
    assert forest_gain["estimate"] + _margin(forest_gain) > 1
    assert forest_gain["interval"][1] == 1
    low, high = example["oa"]["interval"]
    assert (low + high) / 2 == pytest.approx(example["oa"]["estimate"])
    assert (high - low) / 2 == pytest.approx(_margin(example["oa"]))


def test_a_perfect_sample_has_no_error():
    result = stratified_accuracy(np.diag([5, 7]), [3, 4], NAMES[:2])
    assert result["oa"] == {"estimate": 1, "standard_error": 0, "interval": [1, 1]}
    assert result["classes"]["deforestation"]["area"]["interval"] == pytest.approx([3, 3])
    assert result["notes"] == []


# Classes with few points or none


def _known(estimate):
    return estimate["estimate"] is not None, estimate["standard_error"] is not None


def test_a_class_with_one_point_has_estimates_without_errors():
    result = stratified_accuracy(np.array([[1, 0, 0], [1, 5, 0], [0, 0, 6]]), [1, 5, 6], NAMES[:3])
    assert _known(result["oa"]) == (True, False)
    assert result["oa"]["interval"] is None
    rows = result["classes"]
    assert _known(rows["deforestation"]["users_accuracy"]) == (True, False)
    assert _known(rows["forest gain"]["users_accuracy"]) == (True, True)
    assert _known(rows["forest gain"]["area"]) == (True, False)
    assert result["notes"] == ["deforestation has one point, so its error cannot be estimated"]


def test_a_class_without_a_point_leaves_the_map_unknown():
    result = stratified_accuracy(np.array([[0, 0], [1, 5]]), [1, 5], NAMES[:2])
    rows = result["classes"]
    assert _known(result["oa"]) == _known(rows["forest gain"]["area"]) == (False, False)
    assert _known(rows["forest gain"]["producers_accuracy"]) == (False, False)
    assert _known(rows["forest gain"]["users_accuracy"]) == (True, True)
    assert result["proportions"][0] == [None, None]
    assert len(result["notes"]) == 1
    assert result["notes"][0].startswith("deforestation has no point")
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_class_that_is_mapped_nowhere_takes_no_part():
    result = stratified_accuracy(np.array([[0, 0, 0], [1, 5, 0], [0, 1, 6]]), [0, 5, 6], NAMES[:3])
    row = result["classes"]["deforestation"]
    assert _known(row["users_accuracy"]) == (False, False)
    assert row["producers_accuracy"]["estimate"] == 0
    assert row["area"]["estimate"] == pytest.approx(5 / 6)
    assert _known(result["oa"]) == (True, True)
    assert result["notes"] == []


def test_a_class_that_no_point_is_has_no_producers_accuracy():
    result = stratified_accuracy(np.array([[0, 4], [0, 5]]), [2, 5], NAMES[:2])
    row = result["classes"]["deforestation"]
    assert _known(row["producers_accuracy"]) == (False, False)
    assert row["users_accuracy"]["estimate"] == row["area"]["estimate"] == 0


def test_results_are_plain_json(example):
    assert json.loads(json.dumps(example, allow_nan=False)) == example


@pytest.mark.parametrize(
    ("counts", "areas", "message"),
    [
        ([[1, 0]], [1, 2], "do not fit the classes"),
        ([[1, 0], [0, 1]], [1, 2, 3], "do not fit the classes"),
        ([[1, 0], [0, -1]], [1, 2], "integers from 0"),
        ([[1.5, 0], [0, 1]], [1, 2], "integers from 0"),
        ([[1, 0], [0, 1]], [1, -2], "unusable mapped areas"),
        ([[1, 0], [0, 1]], [1, np.nan], "unusable mapped areas"),
        ([[0, 0], [0, 0]], [0, 0], "unusable mapped areas"),
        ([[1, 0], [0, 1]], [0, 2], "mapped as deforestation, which has no mapped area"),
    ],
)
def test_contradictions_are_refused(counts, areas, message):
    with pytest.raises(OptionError, match=message):
        stratified_accuracy(np.array(counts), areas, NAMES[:2])
