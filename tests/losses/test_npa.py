"""NPALoss against its definition, and its options."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from rsseg.affinity import neighbouring_pixel_affinity
from rsseg.errors import OptionError
from rsseg.losses import CrossEntropyLoss, FocalLoss, NPALoss

EXAMPLE = torch.tensor([[[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [2, 0, 1, 1]]])
TRANSFORMS = ["log10", "ln", "norm"]


def _random(seed=0, classes=3, size=(2, 9, 8), ignored=0.2):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(size[0], classes, *size[1:], generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, size, generator=generator)
    labels[torch.rand(size, generator=generator) < ignored] = 255
    return logits, labels


def _slow_weights(labels, k, transform, offset):
    """Image by image in numpy."""
    weights = []
    for image in labels.numpy():
        counts = neighbouring_pixel_affinity(image, k).astype(np.float64)
        valid = image != 255
        if transform == "norm":
            low, high = counts[valid].min(), counts[valid].max()
            weight = (counts - low) / (high - low) + offset if high > low else counts * 0 + offset
        else:
            base = {"log10": 10, "ln": math.e}[transform]
            weight = np.log(counts + base**offset) / np.log(base)
        weights.append(np.where(valid, weight, 0))
    return np.stack(weights)


def test_the_worked_example():
    weights = NPALoss(search_region=1).weights(EXAMPLE)[0]
    assert weights[0].tolist() == pytest.approx([0.5, 0.5, 0.6193, 0.7128], abs=5e-5)
    assert float(weights[3, 0]) == pytest.approx(0.9118, abs=5e-5)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("offset", [0.0, 0.5, 1.0])
def test_weights_are_the_definitions(transform, offset):
    _, labels = _random()
    loss = NPALoss(search_region=2, transform=transform, offset=offset)
    expected = _slow_weights(labels, 2, transform, offset)
    assert loss.weights(labels).numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_mean_weight_is_of_labelled_pixels(transform):
    _, labels = _random()
    loss = NPALoss(search_region=2, transform=transform, offset=0.5)
    expected = _slow_weights(labels, 2, transform, 0.5)[labels.numpy() != 255].mean()
    assert loss.mean_weight(labels).item() == pytest.approx(expected)
    counts = np.stack([loss.label_transform()(image) for image in labels.numpy()])
    assert loss.mean_weight(labels, torch.from_numpy(counts)).item() == pytest.approx(expected)
    assert loss.mean_weight(torch.full((2, 6, 7), 255)).item() == 0


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_uniform_map_has_the_least_weight_everywhere(transform):
    loss = NPALoss(transform=transform, offset=0.5)
    labels = torch.full((2, 6, 7), 3)
    assert torch.allclose(loss.weights(labels), torch.tensor(0.5))
    labels[1] = 255
    assert not loss.weights(labels)[1].any()


def test_the_range_of_the_paper():
    """k = 32 and L = 0.5: 0.5 to 3.6260 in common logarithms, to 8.3489 in natural ones."""
    counts = torch.tensor([[[0, 4224]]], dtype=torch.int32)
    labels = torch.zeros(1, 1, 2, dtype=torch.int64)
    for transform, most in (("log10", 3.6260), ("ln", 8.3489)):
        weights = NPALoss(transform=transform).weights(labels, counts)
        assert weights.flatten().tolist() == pytest.approx([0.5, most], abs=5e-5)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean", "paper"])
def test_reductions_are_the_definitions(reduction):
    logits, labels = _random()
    weights = torch.from_numpy(_slow_weights(labels, 2, "log10", 0.5))
    entropy = functional.cross_entropy(logits, labels, ignore_index=255, reduction="none")
    by = {
        "mean": (labels != 255).sum(),
        "weighted_mean": weights.sum(),
        "paper": torch.tensor(2.0),
    }
    expected = (weights * entropy).sum() / by[reduction]
    loss = NPALoss(search_region=2, reduction=reduction)(logits, labels)
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


def test_counts_at_hand_change_nothing():
    logits, labels = _random()
    loss = NPALoss(search_region=3)
    transform = loss.label_transform()
    counts = torch.stack([torch.from_numpy(transform(each.numpy())) for each in labels])
    assert torch.equal(loss(logits, labels, counts), loss(logits, labels))


def test_any_pixel_loss_can_be_weighted():
    logits, labels = _random()
    loss = NPALoss(search_region=2, pixel_loss=FocalLoss(gamma=3))
    weights = loss.weights(labels)
    expected = (weights * FocalLoss(gamma=3).pixels(logits, labels)).sum() / (labels != 255).sum()
    assert torch.allclose(loss(logits, labels), expected)
    named = NPALoss(search_region=2, pixel_loss="focal")
    assert torch.allclose(named(logits, labels), NPALoss(2, pixel_loss=FocalLoss())(logits, labels))


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean", "paper"])
def test_gradients(reduction):
    logits, labels = _random(size=(2, 3, 4))
    loss = NPALoss(search_region=1, reduction=reduction)
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits.requires_grad_())


def test_pixels_at_borders_weigh_more():
    labels = torch.zeros(1, 40, 40, dtype=torch.int64)
    labels[:, :, 20:] = 1
    weights = NPALoss(search_region=5).weights(labels)[0, 20]
    assert float(weights[19]) == float(weights[20]) == float(weights.max())
    assert float(weights[0]) == pytest.approx(0.5)
    assert (weights[:20].diff() >= 0).all()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"search_region": 0}, "search region"),
        ({"transform": "log2"}, "transform, expected log10 or ln or norm, got log2"),
        ({"reduction": "sum"}, "reduction, expected mean"),
        ({"ignore_neighbour": "no"}, "ignore_neighbour"),
        ({"offset": -0.1}, "offset, expected a number from 0"),
        ({"offset": math.inf}, "offset, expected a number from 0"),
        ({"search_region": 3.5}, "search region, expected 1 to .* got 3.5"),
        ({"pixel_loss": "dice"}, "pixel_loss, expected cross-entropy or focal, got dice"),
        ({"pixel_loss": CrossEntropyLoss(ignore_index=0)}, "ignores another label"),
    ],
)
def test_wrong_options_are_refused(options, reason):
    with pytest.raises(OptionError, match=reason):
        NPALoss(**options)
