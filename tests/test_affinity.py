"""The affinity map against the definition, cell by cell, on numpy and on tensors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsseg import losses
from rsseg.affinity import neighbouring_pixel_affinity
from rsseg.errors import OptionError
from rsseg.losses.affinity import box_counts


def _slow(labels, k, ignore_index=255, ignore_neighbour="neutral"):
    """The definition: replicate-pad, then compare with each of the window's cells."""
    height, width = labels.shape
    padded = np.pad(labels, k, mode="edge")
    counts = np.zeros(labels.shape, np.int32)
    for dy in range(2 * k + 1):
        for dx in range(2 * k + 1):
            other = padded[dy : dy + height, dx : dx + width]
            differs = other != labels
            if ignore_neighbour == "neutral":
                differs &= other != ignore_index
            counts += differs
    counts[labels == ignore_index] = 0
    return counts


def _random(seed, height, width, classes, ignored):
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=(height, width))
    labels[generator.random(labels.shape) < ignored] = 255
    return labels


CASES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "height": st.integers(1, 12),
        "width": st.integers(1, 12),
        "classes": st.integers(1, 9),
        "ignored": st.sampled_from([0.0, 0.3, 1.0]),
    }
)


@settings(deadline=None, max_examples=150)
@given(case=CASES, k=st.integers(1, 15), neighbour=st.sampled_from(["neutral", "differs"]))
def test_all_ways_count_what_the_definition_counts(case, k, neighbour):
    labels = _random(**case)
    expected = _slow(labels, k, ignore_neighbour=neighbour)
    assert np.array_equal(neighbouring_pixel_affinity(labels, k, 255, neighbour), expected)
    maps = torch.from_numpy(labels)
    on_tensor = losses.neighbouring_pixel_affinity(maps, k, 255, neighbour)
    assert on_tensor.dtype == torch.int32
    assert np.array_equal(on_tensor.numpy(), expected)
    for classes in (None, case["classes"]):
        boxes = box_counts(maps[None], k, 255, neighbour, classes)
        assert boxes.dtype == torch.int32
        assert np.array_equal(boxes[0].numpy(), expected)


def test_the_worked_example():
    labels = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [2, 0, 1, 1]])
    expected = [[0, 0, 1, 2], [0, 1, 3, 4], [2, 3, 4, 1], [5, 5, 3, 0]]
    assert neighbouring_pixel_affinity(labels, 1).tolist() == expected


@pytest.mark.parametrize("k", [127, 128, 200])
def test_wide_windows_do_not_overflow(k):
    """Up to 255 x 255 cells a class has 16 bits, beyond it 32; the other half differs."""
    labels = np.zeros((40, 50), np.uint8)
    labels[:, 25:] = 1
    expected = _slow(labels.astype(int), k)
    assert np.array_equal(neighbouring_pixel_affinity(labels, k), expected)
    assert np.array_equal(
        box_counts(torch.from_numpy(labels).long()[None], k, 255, "neutral")[0], expected
    )
    uniform = np.full((3, 4), 7, np.uint8)
    assert not neighbouring_pixel_affinity(uniform, k).any()


def test_many_labels_and_any_integer_type():
    labels = np.random.default_rng(0).integers(0, 255, (30, 31))
    expected = _slow(labels, 4)
    for kind in (np.uint8, np.int16, np.int32, np.int64):
        assert np.array_equal(neighbouring_pixel_affinity(labels.astype(kind), 4), expected)
    view = labels.astype(np.uint8)[::-1, ::2]
    assert np.array_equal(neighbouring_pixel_affinity(view, 4), _slow(labels[::-1, ::2], 4))
    negative = labels.copy()
    negative[3, 4] = -1
    assert np.array_equal(
        neighbouring_pixel_affinity(negative, 4, ignore_index=-1), _slow(negative, 4, -1)
    )


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_integral_images_take_any_integer_type(kind):
    labels = np.random.default_rng(0).integers(0, 9, (2, 20, 21))
    counts = box_counts(torch.from_numpy(labels).to(kind), 3, 255, "neutral")
    for number in range(2):
        assert np.array_equal(counts[number], _slow(labels[number], 3))


def test_a_batch_is_counted_image_by_image():
    maps = torch.from_numpy(np.stack([_random(seed, 9, 7, 5, 0.2) for seed in range(3)]))
    batch = losses.neighbouring_pixel_affinity(maps, 2)
    boxes = box_counts(maps, 2, 255, "neutral", 5)
    for number, labels in enumerate(maps.numpy()):
        assert np.array_equal(batch[number], _slow(labels, 2))
        assert np.array_equal(boxes[number], _slow(labels, 2))


def test_empty_maps_have_empty_counts():
    assert neighbouring_pixel_affinity(np.empty((0, 5), np.uint8), 3).shape == (0, 5)
    assert box_counts(torch.empty(2, 0, 5, dtype=torch.int64), 3, 255, "neutral").shape == (2, 0, 5)


@pytest.mark.parametrize(
    ("labels", "options", "reason"),
    [
        (np.zeros((2, 2), int), {"k": 0}, "search region, expected 1 to"),
        (np.zeros((2, 2), int), {"k": 1, "ignore_neighbour": "odd"}, "neutral or differs, got odd"),
        (np.full((2, 2), 300), {"k": 1}, "label, expected 0 to 254, got 300"),
        (np.full((2, 2), -1), {"k": 1}, "label, expected 0 to 254, got -1"),
        (np.zeros(4, int), {"k": 1}, "two dimensions"),
        (np.zeros((2, 2)), {"k": 1}, "integers, got .* float64"),
        (np.zeros((2, 2), int), {"k": 1.5}, "search region, expected 1 to .* got 1.5"),
    ],
)
def test_wrong_arguments_are_refused(labels, options, reason):
    with pytest.raises(OptionError, match=reason):
        neighbouring_pixel_affinity(labels, **options)


def test_wrong_tensors_are_refused():
    for maps in (torch.zeros(2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.int64)):
        with pytest.raises(OptionError, match="two or three dimensions and integers"):
            losses.neighbouring_pixel_affinity(maps, 1)
    with pytest.raises(OptionError, match="unusable label, expected 0 or more, got -1"):
        box_counts(torch.full((1, 2, 2), -1), 1, 255, "neutral")
