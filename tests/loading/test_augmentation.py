"""Laws of augmentation: labels follow places only, values keep type and range, draws are sane."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from rsseg.errors import OptionError
from rsseg.legend import NODATA
from rsseg.loading import Augmentation, Augmenter
from rsseg.loading.augmentation import rotate

SYMMETRIES = Augmentation(horizontal_flip=0.5, quarter_turns=True)
COLOURFUL = {"brightness": 0.3, "contrast": 0.5, "saturation": 0.7, "hue": 0.04, "grey": 0.05}
ANY_BANDS = {"channel_gain": 0.12, "gamma": 1.7, "blur": 2.0, "texture": 0.1}
STRONG = Augmentation(0.5, 0.5, 45, quarter_turns=True, **COLOURFUL, **ANY_BANDS)
SINGLE = [*({key: value} for key, value in ANY_BANDS.items()), {"brightness": 0.5}]
SINGLE += [{"contrast": 0.5}, {"brightness": 0.5, "contrast": 0.5, "gamma": 1.5}]
TYPES = ["uint8", "int8", "uint16", "int16", "int32", "float32", "float64"]
gpu = pytest.mark.gpu


def _pair(size=24, seed=0, bands=3, dtype="uint8"):
    """A picture of blobs and noise, and labels that follow its first band."""
    draws = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, bands, -(-size // 4), -(-size // 4), generator=draws)
    image = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")[0]
    image = (0.9 * image + 0.1 * torch.rand(bands, size, size, generator=draws)).double()
    label = (image[0] * 255).round().long() % 5
    kind = getattr(torch, dtype)
    if kind.is_floating_point:
        return image.to(kind), label
    return (image * torch.iinfo(kind).max).round().to(kind), label


def _apply(options, pair, seed, **about):
    return _run(Augmenter(options, **about), pair, seed)


def _run(augmenter, pair, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return augmenter(*pair)


def _names(bands):
    return [*"rgbn", "swir1", "swir2", "coastal", "edge"][:bands]


# What does not change


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bands", [1, 3, 4, 8])
def test_the_defaults_change_nothing(dtype, bands):
    image, label = _pair(bands=bands, dtype=dtype)
    for seed in range(3):
        changed = _apply(Augmentation(), (image, label), seed)
        assert changed[0] is image
        assert changed[1] is label


def test_the_defaults_draw_nothing():
    state = torch.random.get_rng_state()
    Augmenter(Augmentation())(*_pair())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_samples_that_are_not_drawn_keep_every_bit():
    """A round trip through relative values would change the last bits of floating point."""
    options = Augmentation(blur=1, texture=0.1, blur_share=0.3, texture_share=0.3, tone_share=0.0)
    image, label = _pair(dtype="float32")
    kept = 0
    for seed in range(40):
        changed = _apply(options, (image, label), seed)[0]
        assert changed is image or not torch.equal(changed, image)
        kept += changed is image
    assert 10 <= kept <= 30  # about 0.7 * 0.7


def test_the_sample_itself_is_left_alone():
    for dtype in TYPES:
        image, label = _pair(dtype=dtype)
        before = image.clone(), label.clone()
        for seed in range(8):
            _apply(STRONG, (image, label), seed)
        assert torch.equal(image, before[0])
        assert torch.equal(label, before[1])


@pytest.mark.parametrize("change", [*SINGLE, *({k: v} for k, v in COLOURFUL.items())])
def test_tones_change_and_labels_do_not(change):
    image, label = _pair()
    differs = 0
    for seed in range(40):
        changed, follower = _apply(Augmentation(**change), (image, label), seed)
        assert follower is label
        differs += not torch.equal(changed, image)
    assert differs >= 1


# Places


def test_image_and_label_turn_together_through_all_eight_symmetries():
    image, label = _pair()
    seen = set()
    for seed in range(80):
        turned, follower = _apply(SYMMETRIES, (image, label), seed)
        assert torch.equal(turned[0].long() % 5, follower)
        seen.add(turned.numpy().tobytes())
    assert seen == {
        torch.rot90(side, turns, (1, 2)).contiguous().numpy().tobytes()
        for side in (image, image.flip(2))
        for turns in range(4)
    }


@pytest.mark.parametrize(
    ("options", "axes"),
    [
        (Augmentation(horizontal_flip=0.5), [(), (2,)]),
        (Augmentation(vertical_flip=0.5), [(), (1,)]),
        (Augmentation(horizontal_flip=0.5, vertical_flip=0.5), [(), (1,), (2,), (1, 2)]),
        (Augmentation(horizontal_flip=1, vertical_flip=1), [(1, 2)]),
        (Augmentation(horizontal_flip=1), [(2,)]),
    ],
)
def test_flips_are_those_asked_for_each_as_often(options, axes):
    image, label = _pair()
    expected = {image.flip(which).numpy().tobytes(): 0 for which in axes}
    for seed in range(200):
        turned, follower = _apply(options, (image, label), seed)
        expected[turned.numpy().tobytes()] += 1
        assert torch.equal(turned[0].long() % 5, follower)
    assert all(abs(count - 200 / len(axes)) < 35 for count in expected.values())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bands", [1, 5])
def test_every_type_turns_bit_for_bit(dtype, bands):
    image, label = _pair(bands=bands, dtype=dtype)
    options = Augmentation(0.5, 0.5, quarter_turns=True)
    for seed in range(8):
        turned, follower = _apply(options, (image, label), seed)
        assert turned.dtype == image.dtype
        assert np.array_equal(np.sort(turned, None), np.sort(image, None))
        by_label, expected = turned[0].numpy()[follower == 2], image[0].numpy()[label == 2]
        assert np.array_equal(np.sort(by_label), np.sort(expected))


@pytest.mark.parametrize("dtype", TYPES)
def test_rotation_moves_label_with_image_and_marks_corners(dtype):
    image, label = _pair(40, dtype=dtype)
    whole = 1 if image.dtype.is_floating_point else torch.iinfo(image.dtype).max
    image[:, :20], label[:20] = int(whole * 0.25) or 0.25, 0
    image[:, 20:], label[20:] = int(whole * 0.75) or 0.75, 1
    turned = 0
    for seed in range(20):
        changed, follower = _apply(Augmentation(rotation=45), (image, label), seed)
        if changed is image:
            assert follower is label
            continue
        turned += 1
        assert (changed.dtype, follower.dtype) == (image.dtype, torch.int64)
        assert set(follower.unique().tolist()) <= {0, 1, NODATA}
        values = changed[0].double() / whole
        assert (values[follower == 0] <= 0.5).double().mean() > 0.95
        assert (values[follower == 1] >= 0.5).double().mean() > 0.85
    assert 4 <= turned <= 16  # half of them


@settings(max_examples=30)
@given(degrees=st.floats(-180, 180), fill=st.none() | st.floats(0, 255), size=st.integers(2, 20))
def test_rotation_is_that_of_coordinates(degrees, fill, size):
    """The undefined corners are exactly the pixels whose source lies beyond the edge."""
    image, label = _pair(size)
    image = image.float()
    turned, labels = rotate(image, label, degrees, None if fill is None else (fill,) * 3)
    angle = np.radians(degrees)
    middle = (size - 1) / 2
    row, column = np.mgrid[:size, :size] - middle
    from_column = column * np.cos(angle) - row * np.sin(angle) + middle
    from_row = column * np.sin(angle) + row * np.cos(angle) + middle
    beyond = np.maximum(np.abs(from_row - middle), np.abs(from_column - middle))
    far = beyond > size / 2 + 0.01 if degrees % 90 else beyond > size
    assert (labels.numpy()[far] == NODATA).all()
    inside = beyond < size / 2 - 0.01
    assert (labels.numpy()[inside] != NODATA).all()
    nearest = np.rint(np.clip([from_row, from_column], 0, size - 1)).astype(int)
    sure = inside & (np.abs(np.stack([from_row, from_column]) % 1 - 0.5) > 0.01).all(axis=0)
    assert np.array_equal(labels.numpy()[sure], label.numpy()[*nearest][sure])
    outside = beyond >= size / 2 + 0.51
    assert np.allclose(turned.numpy()[:, outside], fill or 0.0, atol=1e-4)


def test_rotation_inside_is_torchvisions():
    image, label = _pair(48)
    for degrees in (-170, -10, 3.3, 44, 90.5):
        turned, labels = rotate(image, label, degrees)
        expected = reference.rotate(image, degrees, v2.InterpolationMode.BILINEAR)
        followers = reference.rotate(label[None], degrees, v2.InterpolationMode.NEAREST, fill=[255])
        assert torch.equal(labels, followers[0])
        assert (turned.int() - expected.int()).abs().max() <= 1


def test_labels_of_larger_pixels_turn_alike():
    """Half the sides, as the alpine set has them: it is the label of the same ground."""
    image, label = _pair(64)
    image[:, :, :32], label[:, :32] = 50, 0
    image[:, :, 32:], label[:, 32:] = 200, 1
    options = Augmentation(0.5, 0.5, 40, quarter_turns=True, rotation_share=0.8)
    for seed in range(12):
        changed, follower = _apply(options, (image, label[::2, ::2].contiguous()), seed)
        assert follower.shape == (32, 32)
        small = torch.nn.functional.avg_pool2d(changed[:1].float(), 2)[0]
        known = follower != NODATA
        assert ((small > 125)[known] == (follower == 1)[known]).float().mean() > 0.93


def test_corners_hold_the_fill_in_the_pixels_type():
    image, label = _pair(32, bands=2, dtype="uint16")
    augmenter = Augmenter(
        Augmentation(rotation=45, rotation_share=1), bands=("a", "b"), fill=np.array([300.4, 7000])
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        turned, labels = augmenter(image, label)
    assert labels[0, 0] == NODATA
    assert turned[:, 0, 0].tolist() == [300, 7000]


def test_angles_are_spread_evenly_to_the_largest(monkeypatch):
    angles = []

    def note(image, label, degrees, fill):
        angles.append(degrees)
        return image, label

    monkeypatch.setattr("rsseg.loading.augmentation.rotate", note)
    augmenter, pair = Augmenter(Augmentation(rotation=10, rotation_share=1)), _pair(4)
    for seed in range(300):
        _run(augmenter, pair, seed)
    angles = np.array(angles)
    assert len(angles) == 300
    assert abs(angles.mean()) < 1.2
    assert abs(angles.std() - 20 / 12**0.5) < 0.5
    assert np.abs(angles).max() <= 10


# Tones


@settings(max_examples=80)
@given(data=st.data(), dtype=st.sampled_from(TYPES), bands=st.integers(1, 8))
def test_tones_keep_type_shape_and_range(data, dtype, bands):
    image, label = _pair(10, bands=bands, dtype=dtype)
    if image.dtype.is_signed and data.draw(st.booleans(), "negative"):
        image = (image.double() * 1.9 - image.double().max()).to(image.dtype)
    options = Augmentation(**data.draw(st.sampled_from(SINGLE)) | {"blur_share": 1.0})
    scale = data.draw(st.none() | st.tuples(*[st.floats(0.01, 1e5)] * bands), "scale")
    changed, _ = _apply(
        options, (image, label), data.draw(st.integers(0, 99)), bands=_names(bands), scale=scale
    )
    assert (changed.shape, changed.dtype) == (image.shape, image.dtype)
    whole = 1.0 if image.dtype.is_floating_point else torch.iinfo(image.dtype).max
    # full scale per band; a value above it raises all bands alike
    white = np.array(scale or (whole,) * bands)[:, None, None]
    values, results = image.double().numpy(), changed.double().numpy()
    white = white * max(1.0, (values / white).max())
    slack = 1e-5 * np.abs(values).max() + (0 if image.dtype.is_floating_point else 0.501)
    lowest = white * min(0.0, (values / white).min())
    assert (results <= white + slack).all()
    assert (results >= lowest - slack).all()


@pytest.mark.parametrize("change", SINGLE)
@pytest.mark.parametrize("scale", [None, (255.0,) * 3])
def test_16_bits_give_what_8_bits_give(change, scale):
    options = Augmentation(**change | {"blur_share": 1, "texture_share": 1})
    image, label = _pair()
    wide = (image.int() * 257).to(torch.uint16)
    for seed in range(6):
        one, _ = _apply(options, (image, label), seed, scale=scale)
        other, _ = _apply(
            options, (wide, label), seed, scale=None if scale is None else (65535.0,) * 3
        )
        assert (one.double() - other.double() / 257).abs().max() <= 0.51


@pytest.mark.parametrize("change", SINGLE + [{k: v} for k, v in COLOURFUL.items()])
def test_reflectances_give_what_bytes_give(change):
    """In any unit: floating point 0-1, or whole numbers of a ten-thousandth."""
    options = Augmentation(**change | {"blur_share": 1, "texture_share": 1})
    image, label = _pair()
    for seed in range(6):
        one = _apply(options, (image, label), seed)[0].double() / 255
        real = _apply(options, (image / 255, label), seed)[0]
        thousandths = (image.int() * 100).to(torch.int16)
        whole = _apply(options, (thousandths, label), seed, scale=(25500,) * 3)[0]
        assert (one - real.double()).abs().max() <= 0.51 / 255
        assert (one - whole.double() / 25500).abs().max() <= 0.52 / 255


@pytest.mark.parametrize("change", SINGLE)
def test_no_scale_given_is_still_sane_for_values_far_above_one(change):
    """A scale of 1 for raw values in thousands: full scale is then the sample's largest value."""
    image, label = _pair(dtype="float32", bands=4)
    options = Augmentation(**change | {"blur_share": 1, "texture_share": 1})
    image /= image.max()
    for seed in range(6):
        one, _ = _apply(options, (image, label), seed, bands=_names(4))
        raw, _ = _apply(options, (image * 3000, label), seed, bands=_names(4), scale=(1,) * 4)
        assert torch.allclose(raw, one * 3000, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "amount"), [("brightness", 0.5), ("contrast", 0.5), ("saturation", 0.5), ("hue", 0.3)]
)
def test_rgb_bytes_give_what_torchvision_gives(name, amount):
    """To a level: torchvision cuts decimals off where this rounds."""
    image, label = _pair(32)
    torchvisions, ours = v2.ColorJitter(**{name: amount}), Augmentation(**{name: amount})
    for seed in range(20):
        changed, _ = _apply(ours, (image, label), seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            expected = torchvisions(image)
        assert (changed.int() - expected.int()).abs().max() <= 1 + (name == "saturation")


def test_jitter_of_floating_point_is_torchvisions():
    """All four at once, in the order drawn; here nothing is rounded on either side."""
    image, label = _pair(32, dtype="float32")
    torchvisions = v2.ColorJitter(0.5, 0.5, 0.5, 0.1)
    ours = Augmentation(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.1)
    for seed in range(30):
        changed, _ = _apply(ours, (image, label), seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            expected = torchvisions(image)
        assert torch.allclose(changed, expected, atol=2e-5)


@pytest.mark.parametrize("kernel", [3, 7, 13])
def test_blur_is_torchvisions(kernel):
    options = Augmentation(blur=2, blur_kernel=kernel, blur_share=1)
    image, label = _pair(32)
    for seed in range(8):
        changed, _ = _apply(options, (image, label), seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            expected = v2.GaussianBlur(kernel, (0.1, 2.0))(image)
        assert (changed.int() - expected.int()).abs().max() <= 1


def test_colours_are_found_among_the_bands():
    """Of near infrared, green, red, blue the colours change as RGB would, the rest stays."""
    rgb, label = _pair(dtype="float32")
    infrared = _pair(seed=9, dtype="float32")[0][:1]
    mixed = torch.cat([infrared, rgb[[1, 0, 2]]])
    names = ("nir", "Green", "red", "blue")
    for change in ({"saturation": 0.7}, {"hue": 0.3}, {"grey": 1.0}):
        for seed in range(4):
            changed, _ = _apply(Augmentation(**change), (mixed, label), seed, bands=names)
            expected, _ = _apply(Augmentation(**change), (rgb, label), seed)
            assert torch.allclose(changed[[2, 1, 3]], expected, atol=1e-6)
            assert torch.allclose(changed[:1], infrared, atol=1e-6)


def test_contrast_is_about_the_brightness_of_rgb_and_about_each_other_bands_own_mean():
    image, label = _pair(dtype="float32", bands=4)
    image = image * 0.3 + 0.3  # far enough from the limits to be cut nowhere
    names = ("red", "green", "blue", "nir")
    changed, _ = _apply(Augmentation(contrast=0.5), (image, label), 1, bands=names)
    means, after = image.mean((1, 2)), changed.mean((1, 2))
    brightness = torch.tensor([0.2989, 0.587, 0.114])
    assert after[3].item() == pytest.approx(means[3].item(), abs=1e-5)
    assert (after[:3] @ brightness).item() == pytest.approx(
        (means[:3] @ brightness).item(), abs=1e-4
    )
    factor = (changed.std((1, 2)) / image.std((1, 2))).tolist()
    assert factor == pytest.approx([factor[0]] * 4, rel=1e-4)


def test_grey_pictures_have_three_equal_bands():
    changed, _ = _apply(Augmentation(grey=1.0), _pair(), 0)
    assert torch.equal(changed[0], changed[1])
    assert torch.equal(changed[0], changed[2])


def test_strengths_are_spread_evenly_to_what_is_asked():
    grey = torch.full((2, 4, 4), 0.5, dtype=torch.float64)
    pair, names = (grey, torch.zeros(4, 4, dtype=torch.int64)), ("a", "b")

    def drawn(**options):
        augmenter = Augmenter(Augmentation(**options), bands=names)
        return np.array([_run(augmenter, pair, seed)[0][:, 0, 0].numpy() for seed in range(250)])

    bright = drawn(brightness=0.4)[:, 0] / 0.5
    assert bright.min() > 0.6
    assert bright.max() < 1.4
    assert bright.mean() == pytest.approx(1, abs=0.05)
    assert bright.std() == pytest.approx(0.8 / 12**0.5, rel=0.1)
    gain = drawn(channel_gain=0.2) / 0.5
    assert gain.min() > 0.8
    assert gain.max() < 1.2
    assert np.abs(gain.mean(axis=0) - 1).max() < 0.03
    assert abs(np.corrcoef(gain.T)[0, 1]) < 0.2  # each band by itself
    exponent = np.log(drawn(gamma=2.0)[:, 0]) / np.log(0.5)
    assert exponent.min() > 0.5
    assert exponent.max() < 2.0
    assert np.log2(exponent).mean() == pytest.approx(0, abs=0.1)  # as often brighter as darker
    assert np.log2(exponent).std() == pytest.approx(2 / 12**0.5, rel=0.1)


def test_texture_has_the_strength_that_is_asked():
    grey = torch.full((3, 64, 64), 0.5)
    pair = grey, torch.zeros(64, 64, dtype=torch.int64)
    deviations = []
    for seed in range(150):
        changed, _ = _apply(Augmentation(texture=0.1, texture_share=1), pair, seed)
        assert torch.equal(changed[0], changed[2])
        deviations.append((changed[0] - 0.5).std().item())
    assert 0.08 < max(deviations) < 0.12
    assert 0.02 < np.mean(deviations) < 0.06  # half, less what the coarse grains lose


@pytest.mark.parametrize("share", ["rotation_share", "tone_share", "blur_share", "texture_share"])
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_shares_are_kept(share, value):
    strengths = {"rotation": 20, "tone": {"brightness": 0.5}, "blur": 2, "texture": 0.2}
    what = share.removesuffix("_share")
    options = strengths[what] if what == "tone" else {what: strengths[what]}
    augmenter, pair = Augmenter(Augmentation(**options, **{share: value})), _pair(8)
    changed = sum(_run(augmenter, pair, seed)[0] is not pair[0] for seed in range(120))
    assert changed == pytest.approx(120 * value, abs=0 if value in (0, 1) else 20)


# Which samples


def test_only_samples_with_the_named_classes_change():
    options = Augmentation(horizontal_flip=1.0, only_classes=("water", "rock"))
    augmenter = Augmenter(options, classes=("grass", "water", "rock", "snow"))
    image, label = _pair()
    for index in range(4):
        sample = torch.full_like(label, 0)
        sample[3, 5] = index
        turned, follower = augmenter(image, sample)
        if index in (1, 2):
            assert torch.equal(turned, image.flip(2))
            assert torch.equal(follower, sample.flip(1))
        else:
            assert turned is image
            assert follower is sample
    unlabelled = torch.full_like(label, NODATA)
    assert augmenter(image, unlabelled)[1] is unlabelled


# Seeds, devices, processes


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_same_seed_gives_the_same_change_and_another_another(dtype):
    seen = set()
    for seed in range(8):
        one, other = (_apply(STRONG, _pair(dtype=dtype), seed) for _ in range(2))
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
        seen.add(one[0].contiguous().numpy().tobytes())
    assert len(seen) == 8


def test_an_augmenter_travels_to_workers():
    augmenter = Augmenter(STRONG, fill=(1, 2, 3), scale=(255,) * 3)
    copies = pickle.loads(pickle.dumps(augmenter)), copy.deepcopy(augmenter)
    for other in copies:
        assert torch.equal(_run(other, _pair(), 3)[0], _run(augmenter, _pair(), 3)[0])


@gpu
@pytest.mark.parametrize("dtype", TYPES)
def test_a_device_gives_what_the_processor_gives(dtype):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    pair = _pair(64, dtype=dtype)
    far = tuple(side.cuda() for side in pair)
    whole = 1.0 if pair[0].dtype.is_floating_point else torch.iinfo(pair[0].dtype).max
    for seed in range(30):
        image, label = _apply(STRONG, pair, seed)
        other, follower = _apply(STRONG, far, seed)
        assert other.is_cuda
        assert follower.is_cuda
        assert (label != follower.cpu()).double().mean() < 0.01  # ties of the nearest pixel
        difference = (image.double() - other.cpu().double()).abs()
        assert (difference > 1e-3 * whole + 1).double().mean() < 0.01


# Every option


share = st.floats(0, 1)


@settings(max_examples=60)
@given(
    options=st.builds(
        Augmentation,
        horizontal_flip=share,
        vertical_flip=share,
        rotation=st.floats(0, 180),
        rotation_share=share,
        quarter_turns=st.booleans(),
        tone_share=share,
        gamma=st.floats(1, 4),
        channel_gain=st.floats(0, 0.99),
        brightness=share,
        contrast=share,
        saturation=share,
        hue=st.floats(0, 0.5),
        grey=share,
        blur=st.just(0.0) | st.floats(0.01, 5),
        blur_kernel=st.sampled_from([1, 3, 7, 21]),
        blur_share=share,
        texture=share,
        texture_share=share,
    ),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    size=st.integers(1, 12),
)
def test_every_augmentation_that_can_be_made_can_be_run(options, dtype, size):
    for seed in range(2):
        pair = _pair(size, dtype=dtype)
        image, label = _apply(options, pair, seed)
        assert (image.shape, image.dtype) == (pair[0].shape, pair[0].dtype)
        assert (label.shape, label.dtype) == ((size, size), torch.int64)
        assert set(label.unique().tolist()) <= {0, 1, 2, 3, 4, NODATA}
        assert image.double().isfinite().all()


NUMBERS = [
    field.name
    for field in dataclasses.fields(Augmentation)
    if field.name not in ("quarter_turns", "only_classes")
]


@pytest.mark.parametrize(
    "change",
    [{name: bad} for name in NUMBERS for bad in (-0.1, float("nan"), float("inf"))]
    + [{"hue": 0.6}, {"channel_gain": 1.0}, {"gamma": 0.9}, {"grey": 1.1}, {"blur_share": 1.1}]
    + [{"horizontal_flip": 1.5}, {"blur_kernel": 4}, {"blur_kernel": 0}, {"rotation": 181}],
)
def test_numbers_out_of_range_are_refused(change):
    name = next(iter(change))
    with pytest.raises(OptionError, match=f"the augmentation {name} .*, expected .*, got "):
        Augmentation(**change)


@pytest.mark.parametrize(
    ("options", "about", "message"),
    [
        ({"saturation": 0.1}, {"bands": ("nir", "red", "green")}, "need the bands red, green and"),
        ({"hue": 0.1}, {"bands": ("1", "2", "3")}, "got 1, 2, 3; leave these three at 0"),
        ({"grey": 0.1}, {"bands": ("pan",)}, "saturation, hue and grey"),
        ({}, {"scale": (1, 1)}, "a positive scale for each band, expected 3 numbers"),
        ({}, {"scale": (1, 0, 1)}, "a positive scale"),
        ({}, {"fill": (1, 0)}, "a fill for each band, expected 3, got 2"),
        ({"only_classes": ("x",)}, {"classes": ("a", "b")}, "class 'x' .*expected a, b"),
    ],
)
def test_what_does_not_fit_is_refused(options, about, message):
    with pytest.raises(OptionError, match=message):
        Augmenter(Augmentation(**options), **about)


def test_samples_with_other_bands_are_refused():
    with pytest.raises(OptionError, match="other bands .*red, green, blue, got 4 bands"):
        Augmenter(Augmentation(brightness=0.1))(*_pair(bands=4))


def test_what_the_papers_use_can_be_said():
    """Flips alone, jitter alone, HSV, blur and small rotations with their shares."""
    recipes = {
        "000": {"horizontal_flip": 0.5, "brightness": 0.5, "contrast": 0.5, "saturation": 0.5},
        "002": {
            **{"horizontal_flip": 0.5, "rotation": 10, "rotation_share": 0.25, "blur": 1.1},
            **{"blur_kernel": 5, "hue": 0.1, "saturation": 0.7, "brightness": 0.3},
        },
        "003": {"horizontal_flip": 0.5, "vertical_flip": 0.5, "only_classes": ("a",)},
        "004": {"horizontal_flip": 0.5, "blur": 1.0, "rotation": 10, "blur_share": 0.5},
    }
    for options in recipes.values():
        augmenter = Augmenter(Augmentation(**options), classes=("b", "a", "c", "d", "e"))
        results = {_run(augmenter, _pair(), s)[0].contiguous().numpy().tobytes() for s in range(9)}
        assert len(results) > 2
