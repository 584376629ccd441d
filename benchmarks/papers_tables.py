"""The tables of ``papers.py``: networks, losses, classes, borders, gains beside the papers'."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from run_tables import (
    NEAR,
    TOLERANCE,
    Budget,
    Course,
    Result,
    how,
    kept,
    middle,
    results,
    table,
    validations,
    wobble,
)

from rsseg.data.datasets.gid import Gid

BASE = "mst"
"""The row that both tables share: MST-DeepLabV3+ from ImageNet weights, by cross-entropy."""

SCORES = ("mIoU", "OA", "P", "R", "F1", "mIoU near", "boundary F1", "boundary IoU")

# Wang et al. 2024: Table 8 (mIoU on Vaihingen), Table 5 (IoU on GID, with a sixth class)
NETWORKS = {
    "mobilenetv2": ("DeepLabV3+ MobileNetV2", 64.26),
    "mst-random": ("the same + SE", 69.61),
    BASE: ("the same + SE + transfer learning (MST-DeepLabV3+)", 82.47),
    "mobilenetv2-imagenet": ("DeepLabV3+ MobileNetV2 + transfer learning", None),
}
GID_IOU = {
    "MST-DeepLabV3+, Wang, whole GID": {
        "built-up": 70.09, "farmland": 77.32, "forest": 66.24, "meadow": 66.23, "water": 88.86,
    },
    "DeepLabV3+ Xception, Wang, whole GID": {
        "built-up": 64.59, "farmland": 70.20, "forest": 52.60, "meadow": 62.11, "water": 84.71,
    },
}  # fmt: skip
# Feng et al. 2020: Table 1 (FCN on Vaihingen: mF1, mIoU, OA); Hou et al. 2024: Table 7 (mIoU), but
# for cross-entropy Table 8: what Table 7 prints for it is of the plain DeepLabV3+
LOSS_ROWS: Mapping[str, tuple[str, tuple[float, float, float] | None, float | None]] = {
    BASE: ("cross-entropy", (83.10, 72.44, 87.80), 73.83),
    "weighted": ("weighted cross-entropy", (83.72, 73.14, 87.72), None),
    "focal": ("focal, γ = 2", (81.77, 70.53, 86.60), 73.55),
    "dice": ("Dice", (72.58, 59.33, 79.58), None),
    "iou": ("soft IoU", None, None),
    "lovasz": ("Lovász-Softmax", None, 74.77),
    "cl": ("CL (cross-entropy + Lovász)", None, 74.90),
    "npa": ("NPALoss, k = 32, log10", (85.17, 75.01, 88.33), None),
}
GAINS = (
    ("SE", "mst-random", "mobilenetv2", 69.61 - 64.26, "Wang, Vaihingen"),
    ("transfer learning", BASE, "mst-random", 82.47 - 69.61, "Wang, Vaihingen"),
    ("SE, after transfer learning", BASE, "mobilenetv2-imagenet", None, ""),
    ("weighted over plain cross-entropy", "weighted", BASE, 73.14 - 72.44, "Feng, Vaihingen"),
    ("focal over cross-entropy", "focal", BASE, 70.53 - 72.44, "Feng, Vaihingen"),
    ("focal over cross-entropy", "focal", BASE, 73.55 - 73.83, "Hou, Cityscapes"),
    ("Dice over cross-entropy", "dice", BASE, 59.33 - 72.44, "Feng, Vaihingen"),
    ("Lovász over cross-entropy", "lovasz", BASE, 74.77 - 73.83, "Hou, Cityscapes"),
    ("CL over cross-entropy", "cl", BASE, 74.90 - 73.83, "Hou, Cityscapes"),
    ("NPALoss over cross-entropy", "npa", BASE, 75.01 - 72.44, "Feng, Vaihingen"),
    ("NPALoss over weighted cross-entropy", "npa", "weighted", 75.01 - 73.14, "Feng, Vaihingen"),
)
"""What a paper claims: step, row with it, row without it, gain of mIoU in points, and where."""
HOLDS, CONTRADICTED, UNCLEAR = "yes", "**no**", "unclear"
ROWS = tuple(dict.fromkeys((*NETWORKS, "npa", *LOSS_ROWS)))
"""In the order in which they are trained."""
PRETRAINED = tuple(row for row in ROWS if row not in ("mobilenetv2", "mst-random"))
"""Rows that start from ImageNet, whose encoder is frozen for half of the steps."""


def write(out: Path, folder: Path, budget: Budget, *, reduced: bool) -> None:
    """Write the tables from the run folders that are there."""
    seeds = [f"seed_{seed}" for seed in budget.seeds]
    found = {row: results(folder / row, seeds) for row in ROWS}
    courses = {row: validations(folder / row, seeds) for row in ROWS}
    lines = _head(found, budget, reduced)
    lines += ["## Parts of MST-DeepLabV3+ (Wang et al. 2024)", ""]
    lines += table(
        ("network", "kept after", *SCORES, "Wang: mIoU, Vaihingen"),
        [
            (
                text,
                _kept(courses[row]),
                *_means(found[row]),
                "–" if paper is None else f"{paper:.2f}",
            )
            for row, (text, paper) in NETWORKS.items()
        ],
    )
    lines += ["F1 is that of mean precision and mean recall, as the paper's. IoU by class:", ""]
    of_paper = [
        (text, *(f"{classes[name]:.2f}" for name in Gid.legend.names))
        for text, classes in GID_IOU.items()
    ]
    names = {row: text for row, (text, _) in NETWORKS.items()}
    lines += _by_class(found, names, "scores", "iou", of_paper)
    lines += ["## Losses on MST-DeepLabV3+ (Feng et al. 2020, Hou et al. 2024)", ""]
    lines += table(
        ("loss", "kept after", *SCORES, "mF1", "Feng: mF1, mIoU, OA", "Hou: mIoU"),
        [
            (
                text,
                _kept(courses[row]),
                *_means(found[row]),
                middle(found[row], lambda each: each["scores"]["f1"]),
                "–" if feng is None else ", ".join(f"{value:.2f}" for value in feng),
                "–" if hou is None else f"{hou:.2f}",
            )
            for row, (text, feng, hou) in LOSS_ROWS.items()
        ],
    )
    names = {row: text for row, (text, *_) in LOSS_ROWS.items()}
    lines += ["IoU by class:", "", *_by_class(found, names, "scores", "iou")]
    lines += ["IoU by class of pixels near another class:", ""]
    lines += _by_class(found, names, "near", "iou")
    lines += ["Boundary F1 by class:", "", *_by_class(found, names, "boundary", "boundary_f1")]
    noise = wobble(course for each in courses.values() for course in each)
    lines += ["## Gains of mIoU, in points", ""]
    gains = [_gain(found, noise, *gain) for gain in GAINS]
    heading = ("step", "here", "here, near another class", "paper", "does the paper's claim hold")
    lines += [*table(heading, gains), *_in_words(gains, courses, noise, budget)]
    out.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _head(found: Mapping[str, list[Result]], budget: Budget, reduced: bool) -> list[str]:
    runs = [each for row in found.values() for each in row]
    seeds = len(budget.seeds)
    return [
        "# The papers' comparisons on real Gaofen-2 patches",
        "",
        f"**{'Reduced table' if reduced else 'Full table'}**: {budget.steps:,} steps of "
        f"{budget.batch} windows of 224 x 224 pixels, the size of the patches, for every row, "
        + ("one seed: what another would change is not known, so small differences tell nothing. "
           if seeds == 1 else f"{seeds} seeds: median (least–greatest). ")
        + how(runs, len(ROWS) * seeds),
        "",
        "Data: 644 patches of GID-MTL5 (Gaofen-2, 4 m, RGB, five classes; Tong et al. 2020, Zheng "
        "et al. 2021), 75 % to train on, 5 % to choose the weights, 20 % for the scores here. "
        "Patches whose numbers agree but for the last digit stay in one split, as neighbours by "
        "number look alike; which scene a patch is of is not told, so patches of one scene may "
        "still be in two splits. Recipe: `mst-gid` with this budget; an encoder that starts from "
        "ImageNet is frozen for half of the steps, as in the paper's code. The papers' figures are "
        "of other data and splits (Vaihingen, all of GID, Cityscapes; Feng's of FCN-ResNet101, "
        "Hou's of LM-DeepLabV3+): compare gains, not scores. *Near* are pixels within "
        f"{NEAR:g} pixels of another class; the boundary scores have a tolerance of {TOLERANCE:g}. "
        "Labels are sparse polygons, mostly of one class in a patch with nothing between them, so "
        "every border drawn inside of one lowers boundary F1 and IoU: these are low for all rows. "
        "*Kept after* is the step of the best "
        "validation, whose weights are scored. All in per cent.",
        "",
        "Made by `python benchmarks/papers.py RUNS --gid GID_MTL5 --weights ENCODER"
        f"{' --reduced' if reduced else ''}`; – is what is missing, or has no figure in the paper.",
        "",
    ]  # fmt: skip


def _means(found: list[Result]) -> list[str]:
    keys = ("miou", "oa", "precision", "recall", "f1_of_means")
    scores = [middle(found, lambda each, k=k: each["scores"][k]) for k in keys]  # type: ignore[misc]
    near = middle(found, lambda each: each["near"]["miou"])
    borders = [
        middle(found, lambda each, k=k: each["boundary"][k])  # type: ignore[misc]
        for k in ("boundary_f1", "boundary_iou")
    ]
    return [*scores, near, *borders]


def _by_class(
    found: Mapping[str, list[Result]],
    rows: Mapping[str, str],
    part: str,
    key: str,
    more: list[tuple[str, ...]] | None = None,
) -> list[str]:
    """Scores of each class, from a part of the results."""

    def cell(row: str, name: str) -> str:
        return middle(found[row], lambda each: each[part]["classes"][name][key])

    names = Gid.legend.names
    lines = [(text, *(cell(row, name) for name in names)) for row, text in rows.items()]
    return table(("", *names), [*lines, *(more or [])])


def _gain(
    found: Mapping[str, list[Result]],
    noise: float | None,
    step: str,
    with_it: str,
    without: str,
    paper: float | None,
    where: str,
) -> tuple[str, ...]:
    """Gain of the median, of all pixels and of those near borders, beside the paper's."""
    claimed = "–" if paper is None else f"{paper:+.2f} ({where})"
    after, before = (_values(found[row], "scores") for row in (with_it, without))
    if not after or not before:
        return step, "–", "–", claimed, "–"
    gain = statistics.median(after) - statistics.median(before)
    near = [_values(found[row], "near") for row in (with_it, without)]
    verdict = "–" if paper is None else _verdict(after, before, noise or 0.0, paper)
    at_borders = statistics.median(near[0]) - statistics.median(near[1])
    return step, f"{gain:+.1f}", f"{at_borders:+.1f}", claimed, verdict


def _verdict(after: Sequence[float], before: Sequence[float], noise: float, paper: float) -> str:
    """Whether a claimed gain holds within what the seeds, or of one seed the noise, leave open."""
    gain = statistics.median(after) - statistics.median(before)
    if min(len(after), len(before)) > 1:
        least, most = min(after) - max(before), max(after) - min(before)
    else:
        least, most = gain - noise, gain + noise
    if least * paper > 0 and most * paper > 0:
        return HOLDS
    if gain * paper <= 0 and not least <= paper <= most:
        return CONTRADICTED
    return f"{UNCLEAR}, {'same' if gain * paper > 0 else 'other'} sign"


def _in_words(
    gains: Sequence[Sequence[str]],
    courses: Mapping[str, list[Course]],
    noise: float | None,
    budget: Budget,
) -> list[str]:
    """What the gains say in sentences, and what speaks against reading more out of them."""

    def named(verdict: str) -> str:
        steps = [f"{step} ({claimed})" for step, _, _, claimed, found in gains if found == verdict]
        return "; ".join(steps) or "none"

    margin = "as much more or less as the seeds differ"
    if len(budget.seeds) == 1 and noise is not None:
        margin = (
            f"{noise:.1f} points more or less: so much, in the median, changes the mean IoU of one "
            "run from a validation to the next"
        )
    lines = [
        f"Holds: {named(HOLDS)}. Contradicted: {named(CONTRADICTED)}. Unclear: the others. Each "
        f"gain may be {margin}. A claim holds where all of that range has its sign, and is "
        "contradicted where the sign here is the other one and its gain lies outside of the range.",
        "",
    ]
    frozen = budget.steps // 2
    of_frozen = [kept(course) for row in PRETRAINED for course in courses[row]]
    if of_frozen:
        early = sum(steps <= frozen for steps in of_frozen)
        lines += [
            f"Of {len(of_frozen)} runs whose encoder is frozen until step {frozen:,}, {early} "
            "scored best by then: of these the scores are of decoders on the encoder of ImageNet "
            "as it came.",
            "",
        ]
    return lines


def _kept(courses: Iterable[Course]) -> str:
    return ", ".join(f"{kept(course):,}" for course in courses) or "–"


def _values(found: Iterable[Result], part: str) -> list[float]:
    """Mean IoU of the seeds, in points."""
    return [100 * each[part]["miou"] for each in found if each[part]["miou"] is not None]
