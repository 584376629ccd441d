import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsseg.data.balanced import BalancedWindows
from rsseg.data.label_index import LabelIndex
from rsseg.errors import OptionError
from rsseg.legend import Legend

LEGEND = Legend.of({"common": (1, 1, 1), "rare": (2, 2, 2), "absent": (3, 3, 3)})


def index_of(*labels):
    """The index of labels given as arrays of class indices, with all their pixels."""
    pixels = tuple(
        tuple(np.flatnonzero(label.ravel() == wanted) for wanted in range(3)) for label in labels
    )
    counts = np.array([[len(each) for each in scene] for scene in pixels])
    return LabelIndex(LEGEND, tuple(label.shape for label in labels), counts, pixels)


@pytest.fixture(scope="module")
def labels():
    """Two scenes; the rare class is one corner of the second one."""
    second = np.zeros((60, 50), int)
    second[:3, :2] = 1
    return [np.zeros((80, 90), int), second]


def seen(label, window):
    return label[window.toslices()]


def test_each_class_gets_its_share_of_the_windows(labels):
    """Windows for the rare class are those that hold it: no other window comes near it."""
    for share in (0.05, 0.3, 0.75):
        shares = {"rare": share, "common": 1 - share}
        sampler = BalancedWindows(6, 8000, 1, index=index_of(*labels), shares=shares)
        shapes = [label.shape for label in labels]
        rare = [
            number == 1 and (seen(labels[1], window) == 1).any()
            for number, window in sampler.over(shapes)
        ]
        by_chance = 12 * 12 / (80 * 90 + 60 * 50)
        assert np.mean(rare) == pytest.approx(share, abs=0.02 + by_chance)


@given(
    st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any),
    st.integers(1, 300),
    st.integers(0, 3),
    st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_every_epoch_keeps_the_shares_to_less_than_two_windows(parts, count, epoch, seed):
    label = np.arange(30).reshape(5, 6) % 3
    shares = dict(zip(LEGEND.names, parts, strict=True))
    sampler = BalancedWindows(1, count, seed, index=index_of(label), shares=shares)
    places = sampler.over([label.shape]).epoch(epoch)
    found = np.bincount([seen(label, window)[0, 0] for _, window in places], minlength=3)
    assert found.sum() == count
    for number, part in zip(found, parts, strict=True):
        assert abs(number - count * part / sum(parts)) < 2
        assert part or not number


def test_classes_come_in_no_order(labels):
    index, shapes = index_of(*labels), [label.shape for label in labels]
    places = BalancedWindows(1, 2000, 0, index=index).over(shapes)
    classes = [seen(labels[scene], window)[0, 0] for scene, window in places]
    assert np.mean(np.diff(classes) != 0) == pytest.approx(0.5, abs=0.05)


def test_pixels_of_a_class_are_drawn_evenly_over_the_scenes(labels):
    sampler = BalancedWindows(4, 8000, 2, index=index_of(*labels), shares={"common": 1})
    scenes = [number for number, _ in sampler.over([label.shape for label in labels])]
    common = [80 * 90, 60 * 50 - 6]
    assert np.mean(scenes) == pytest.approx(common[1] / sum(common), abs=0.02)


def test_without_shares_every_class_there_is_counts_the_same(labels):
    sampler = BalancedWindows(1, 4000, 3, index=index_of(*labels))
    found = [
        int(seen(labels[number], window)[0, 0])
        for number, window in sampler.over([label.shape for label in labels])
    ]
    assert np.bincount(found, minlength=3) / 4000 == pytest.approx([0.5, 0.5, 0], abs=0.02)


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 30),
    st.tuples(st.floats(0.3, 1), st.floats(1, 3)),
    st.floats(1, 2),
    st.integers(0, 999),
)
def test_every_window_holds_its_class_and_stays_inside(rows, columns, size, scale, aspect, seed):
    label = np.zeros((rows, columns), int)
    label[seed % rows, seed % columns] = 1
    sampler = BalancedWindows(
        size, 8, seed, scale, aspect, index=index_of(label), shares={"rare": 1}
    )
    for scene, window in sampler.over([(rows, columns)]):
        assert scene == 0
        assert min(window.row_off, window.col_off) >= 0
        assert window.row_off + window.height <= rows or window.height > rows
        assert window.col_off + window.width <= columns or window.width > columns
        assert (seen(label, window) == 1).any()


def test_seed_and_number_decide(labels):
    shapes = [label.shape for label in labels]
    one, same, other = (
        BalancedWindows(8, 20, seed, index=index_of(*labels)).over(shapes) for seed in (0, 0, 1)
    )
    assert list(one) == list(same)
    assert list(one) != list(other)
    assert list(one.epoch(0)) != list(one.epoch(1))
    assert one[33] == list(one.epoch(1))[13]


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"water": 1}, "no class 'water'.*common, rare, absent"),
        ({"absent": 0.5, "rare": 0.5}, "'absent' cannot be 0.5.*0 for a class that no scene has"),
        ({"rare": -1}, "'rare' cannot be -1"),
        ({"rare": 0}, "all shares of classes are 0"),
    ],
)
def test_impossible_shares_are_refused(labels, shares, message):
    with pytest.raises(OptionError, match=message):
        BalancedWindows(4, 4, index=index_of(*labels), shares=shares)


def test_an_index_of_other_scenes_is_refused(labels):
    with pytest.raises(OptionError, match="index is of other scenes"):
        BalancedWindows(4, 4, index=index_of(*labels)).over([(80, 90), (60, 51)])
