import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsseg.errors import OptionError
from rsseg.legend import NODATA
from rsseg.loading import Augmentation, Augmenter

GEOMETRIC = Augmentation(flip=True)
STRONG = Augmentation(True, 45, 0.3, 0.5, 0.7, 0.04, 0.12, 1.7, 2.0, 0.05, 0.1)


def _pair(size=24, seed=0):
    """A noisy picture and labels that follow its first band."""
    image = torch.randint(
        1, 256, (3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
    return image, image[0].long() % 5


def _apply(options, pair, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Augmenter(options)(*pair)


def test_the_defaults_change_nothing():
    image, label = _pair()
    for seed in range(5):
        changed = _apply(Augmentation(), (image, label), seed)
        assert torch.equal(changed[0], image)
        assert torch.equal(changed[1], label)


def test_image_and_label_turn_together_through_all_eight_symmetries():
    image, label = _pair()
    seen = set()
    for seed in range(80):
        turned, follower = _apply(GEOMETRIC, (image, label), seed)
        assert torch.equal(turned[0].long() % 5, follower)
        seen.add(turned.numpy().tobytes())
    symmetries = {
        torch.rot90(side, turns, (1, 2)).contiguous().numpy().tobytes()
        for side in (image, image.flip(2))
        for turns in range(4)
    }
    assert seen == symmetries


def test_rotation_leaves_unlabelled_corners_and_moves_label_with_image():
    image = torch.full((3, 40, 40), 200, dtype=torch.uint8)
    label = torch.ones(40, 40, dtype=torch.int64)
    image[:, :20], label[:20] = 50, 0
    turned = cornerless = 0
    for seed in range(20):
        changed, follower = _apply(Augmentation(rotation=45), (image, label), seed)
        if torch.equal(changed, image):
            assert torch.equal(follower, label)
            continue
        turned += 1
        cornerless += bool((follower[0, [0, -1]] == NODATA).any())
        assert (changed[0][follower == 0] <= 125).float().mean() > 0.95
        assert (changed[0][follower == 1] >= 125).float().mean() > 0.9
        assert set(follower.unique().tolist()) <= {0, 1, NODATA}
    assert 4 <= turned <= 16  # half of them
    assert cornerless > turned / 2


@pytest.mark.parametrize(
    "change",
    [
        {"brightness": 0.3},
        {"contrast": 0.3},
        {"saturation": 0.5},
        {"hue": 0.2},
        {"channel_gain": 0.2},
        {"gamma": 1.5},
        {"blur": 2.0},
        {"grey": 1.0},
        {"texture": 0.1},
    ],
)
def test_colours_change_and_labels_do_not(change):
    image, label = _pair()
    differs = False
    for seed in range(20):
        changed, follower = _apply(Augmentation(**change), (image, label), seed)
        assert changed.dtype == torch.uint8
        assert torch.equal(follower, label)
        differs |= not torch.equal(changed, image)
    assert differs


def test_grey_pictures_have_three_equal_bands():
    changed, _ = _apply(Augmentation(grey=1.0), _pair(), 0)
    assert torch.equal(changed[0], changed[1])
    assert torch.equal(changed[0], changed[2])


def test_the_same_seed_gives_the_same_change():
    for seed in range(5):
        one, other = (_apply(STRONG, _pair(), seed) for _ in range(2))
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


share = st.floats(0, 1)


@settings(max_examples=20)
@given(
    st.builds(
        Augmentation,
        flip=st.booleans(),
        rotation=st.floats(0, 180),
        brightness=share,
        contrast=share,
        saturation=share,
        hue=st.floats(0, 0.5),
        channel_gain=st.floats(0, 0.99),
        gamma=st.floats(1, 4),
        blur=st.just(0.0) | st.floats(0.01, 5),
        grey=share,
        texture=share,
    )
)
def test_every_augmentation_that_can_be_made_can_be_run(options):
    for seed in range(2):
        image, label = _apply(options, _pair(12), seed)
        assert (image.shape, image.dtype) == ((3, 12, 12), torch.uint8)
        assert (label.shape, label.dtype) == ((12, 12), torch.int64)
        assert set(label.unique().tolist()) <= {0, 1, 2, 3, 4, NODATA}


@pytest.mark.parametrize(
    "change",
    [{f.name: -0.1} for f in dataclasses.fields(Augmentation) if f.name != "flip"]
    + [{"hue": 0.6}, {"channel_gain": 1.0}, {"gamma": 0.9}, {"grey": 1.1}],
)
def test_numbers_out_of_range_are_refused(change):
    with pytest.raises(OptionError, match=next(iter(change))):
        Augmentation(**change)
