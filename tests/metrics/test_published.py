"""The conventions behind published tables, recomputed from the tables' own numbers."""

import numpy as np
import pytest

from rsseg.metrics import ConfusionMatrix

SCALE = 10_000_000

# Test areas and networks of MST-DeepLabV3+: mean precision, mean recall, F1 in percent
MEANS = {
    "Vaihingen PSPNet": (80.67, 80.98, 80.82),
    "Vaihingen UNet": (84.53, 81.91, 83.20),
    "Vaihingen DeepLabV3+": (81.80, 80.13, 80.96),
    "Vaihingen MST": (90.34, 90.12, 90.23),
    "GID PSPNet": (85.39, 81.66, 83.48),
    "GID UNet": (83.92, 81.99, 82.94),
    "GID DeepLabV3+": (78.81, 80.11, 79.45),
    "GID MST": (84.10, 84.86, 84.48),
    "Taikang PSPNet": (91.84, 91.66, 91.75),
    "Taikang UNet": (93.22, 92.90, 93.06),
    "Taikang DeepLabV3+": (92.37, 91.83, 92.10),
    "Taikang MST": (95.28, 95.02, 95.15),
}

# Vaihingen by Feng et al. (2020): F1 of impervious, building, low vegetation, tree, car; mean F1,
# mIoU in percent
FIVE = {
    "FCN": (89.89, 95.35, 78.57, 86.83, 64.88, 83.10, 72.44),
    "FCN weights": (89.91, 95.44, 78.38, 86.85, 68.03, 83.72, 73.14),
    "FCN focal": (89.09, 94.13, 76.41, 85.82, 63.40, 81.77, 70.53),
    "FCN dice": (82.47, 89.04, 68.22, 80.48, 42.72, 72.58, 59.33),
    "FCN NPA": (90.59, 95.49, 79.18, 87.27, 73.32, 85.17, 75.01),
    "FCN norm, L=0": (89.18, 94.28, 76.43, 86.27, 70.93, 83.42, 72.47),
    "FCN norm, L=.5": (90.37, 95.46, 78.46, 86.93, 71.50, 84.54, 74.16),
    "FCN ln, L=.5": (90.41, 95.32, 79.54, 87.24, 72.84, 85.07, 74.86),
    "FCN dilated": (91.98, 95.68, 80.18, 88.25, 87.94, 88.80, 80.70),
    "FCN dilated NPA": (92.04, 95.81, 80.69, 88.43, 90.63, 89.52, 81.39),
    "PSPNet": (91.96, 95.91, 80.55, 88.38, 88.66, 89.09, 80.83),
    "PSPNet NPA": (92.44, 95.93, 81.38, 88.58, 89.56, 89.58, 81.47),
    "DeepLabV3": (92.33, 96.03, 80.96, 88.85, 88.02, 89.24, 80.94),
    "DeepLabV3 NPA": (92.48, 96.10, 81.44, 88.85, 90.27, 89.83, 81.88),
}
INCONSISTENT = {"FCN dilated": 80.25, "PSPNet": 80.70}
"""The mIoU that follows from the F1 of the same row, where another is printed."""


def _with(precisions, recalls):
    """Classes of these scores, and ``rest``, whose pixels are their false positives.

    Every class has the same number of hits; its other true pixels have no prediction.
    """
    names = tuple(f"class {i}" for i in range(len(precisions)))
    confusion = ConfusionMatrix((*names, "rest"))
    counts = np.zeros((len(names) + 1, len(names) + 2), np.int64)
    for i, (p, r) in enumerate(zip(precisions, recalls, strict=True)):
        counts[i, i] = SCALE
        counts[i, -1] = round(SCALE * (1 / r - 1))
        counts[-1, i] = round(SCALE * (1 / p - 1))
    confusion.add(counts)
    return confusion, names


@pytest.mark.parametrize("row", MEANS)
def test_f1_of_means_is_the_f1_of_mst_deeplab(row):
    p, r, f1 = np.array(MEANS[row]) / 100
    # classes that differ, so that the mean of their F1 is another number
    confusion, names = _with((p + 0.04, p - 0.04), (r - 0.04, r + 0.04))
    scores = confusion.scores(names)
    assert scores["precision"] == pytest.approx(p, abs=1e-6)
    assert scores["recall"] == pytest.approx(r, abs=1e-6)
    assert scores["f1_of_means"] == pytest.approx(f1, abs=1e-4)
    assert scores["f1"] != pytest.approx(f1, abs=1e-3)


@pytest.mark.parametrize("row", FIVE)
def test_means_over_five_classes_are_feng_and_others(row):
    *by_class, mean_f1, miou = np.array(FIVE[row]) / 100
    confusion, names = _with(by_class, by_class)
    scores = confusion.scores(names)
    assert [scores["classes"][name]["f1"] for name in names] == pytest.approx(by_class, abs=1e-6)
    assert scores["f1"] == pytest.approx(mean_f1, abs=1e-4)
    assert scores["f1"] - confusion.scores()["f1"] > 0.1  # the mean over all six
    if row in INCONSISTENT:
        assert scores["miou"] != pytest.approx(miou, abs=5e-4)
        miou = INCONSISTENT[row] / 100
    assert scores["miou"] == pytest.approx(miou, abs=2e-4)
    for name, f1 in zip(names, by_class, strict=True):
        assert scores["classes"][name]["iou"] == pytest.approx(f1 / (2 - f1), abs=1e-6)
