"""The parts against plain recomputations with the same weights, and options of the structures."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from rsseg import models
from rsseg.errors import OptionError
from rsseg.models.attention import (
    EfficientChannelAttention,
    EPSABlock,
    PyramidSplitAttention,
    SqueezeExcitation,
    StripPooling,
)
from rsseg.models.backbones import Backbone
from rsseg.models.heads import _pooled

EPS = 1e-5


def _randomised(module, seed=0):
    """A module in evaluation mode with random weights and statistics."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2, generator=generator)
        elif tensor.is_floating_point():
            scale = 1 / max(tensor[0].numel(), 4) ** 0.5 if tensor.ndim > 1 else 0.5
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale)
    return module.eval()


def _noise(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _norm(features, weights, prefix):
    """Batch normalisation written out."""
    mean, variance = weights[f"{prefix}.running_mean"], weights[f"{prefix}.running_var"]
    scaled = (features - mean[:, None, None]) / (variance + EPS)[:, None, None].sqrt()
    return (
        scaled * weights[f"{prefix}.weight"][:, None, None]
        + weights[f"{prefix}.bias"][:, None, None]
    )


def _near(one, other, tolerance=1e-5):
    assert one.shape == other.shape
    assert float(other.std()) > 1e-3
    return torch.allclose(one, other, atol=tolerance * max(1.0, float(other.abs().max())), rtol=0)


@torch.no_grad()
def test_squeeze_and_excitation_is_two_linear_maps():
    module = _randomised(SqueezeExcitation(64, reduction=16))
    features = _noise(2, 64, 5, 7)
    squeeze, excite = (each.weight[:, :, 0, 0] for each in (module.squeeze, module.excite))
    hidden = (features.mean((2, 3)) @ squeeze.T).clamp(min=0)
    assert hidden.shape == (2, 4)
    weights = 1 / (1 + torch.exp(-(hidden @ excite.T)))
    assert _near(module(features), features * weights[:, :, None, None])


@torch.no_grad()
def test_channel_attention_slides_along_the_channels():
    module = _randomised(EfficientChannelAttention(24))
    features = _noise(2, 24, 5, 7)
    means = functional.pad(features.mean((2, 3)), (1, 1))
    a, b, c = module.conv.weight.flatten()
    weights = torch.sigmoid(a * means[:, :-2] + b * means[:, 1:-1] + c * means[:, 2:])
    assert _near(module(features), features * weights[:, :, None, None])


@torch.no_grad()
def test_strip_pooling_adds_a_row_and_a_column_strip():
    module = _randomised(StripPooling(12, 8))
    weights = module.state_dict()
    features = _noise(2, 12, 5, 7)
    # along the height each row's mean, along the width each column's, by 1-D convolutions
    rows = functional.conv1d(features.mean(3), weights["rows.0.weight"][:, :, :, 0], padding=1)
    columns = functional.conv1d(
        features.mean(2), weights["columns.0.weight"][:, :, 0, :], padding=1
    )
    rows = _norm(rows[:, :, :, None], weights, "rows.1")
    columns = _norm(columns[:, :, None, :], weights, "columns.1")
    both = (rows + columns).clamp(min=0)
    assert both.shape == (2, 8, 5, 7)
    mask = torch.einsum("oi,nihw->nohw", weights["mask.weight"][:, :, 0, 0], both)
    mask = torch.sigmoid(mask + weights["mask.bias"][:, None, None])
    assert _near(module(features), mask)


def _split_attention(features, weights, prefix=""):
    """Four convolutions of all channels, weighed by a shared squeeze, softmax over the scales."""
    scales = [
        functional.conv2d(
            features, weights[f"{prefix}scales.{number}.weight"], padding=kernel // 2, groups=groups
        )
        for number, (kernel, groups) in enumerate(((3, 1), (5, 4), (7, 8), (9, 16)))
    ]
    first, second = (weights[f"{prefix}weigh.{layer}.weight"][:, :, 0, 0] for layer in (0, 2))
    logits = []
    for scale in scales:
        hidden = scale.mean((2, 3)) @ first.T + weights[f"{prefix}weigh.0.bias"]
        hidden = hidden.clamp(min=0) @ second.T + weights[f"{prefix}weigh.2.bias"]
        logits.append(torch.sigmoid(hidden).exp())
    total = sum(logits)
    parts = [
        scale * (each / total)[..., None, None] for scale, each in zip(scales, logits, strict=True)
    ]
    return torch.cat(parts, dim=1)


@torch.no_grad()
def test_split_attention_and_its_block():
    module = _randomised(PyramidSplitAttention(64))
    features = _noise(2, 64, 9, 11)
    assert _near(module(features), _split_attention(features, module.state_dict()))

    block = _randomised(EPSABlock(256))
    weights, features = block.state_dict(), _noise(2, 256, 9, 11)
    reduced = functional.conv2d(features, weights["reduce.0.weight"])
    reduced = _norm(reduced, weights, "reduce.1").clamp(min=0)
    attended = _split_attention(reduced, weights, "attention.0.")
    attended = _norm(attended, weights, "attention.1").clamp(min=0)
    expanded = _norm(functional.conv2d(attended, weights["expand.0.weight"]), weights, "expand.1")
    assert _near(block(features), (features + expanded).clamp(min=0))


@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_pooling_by_matrices_is_adaptive_pooling(bins):
    for height in range(1, 14):
        for width in (1, 2, 5, 6, 7, 12, 31, 64):
            features = _noise(2, 3, height, width)
            expected = functional.adaptive_avg_pool2d(features, bins)
            assert torch.allclose(_pooled(features, bins), expected, atol=1e-6)


def _interpolated(features, like, *, align_corners):
    return functional.interpolate(
        features, size=like.shape[2:], mode="bilinear", align_corners=align_corners
    )


def _small(name, **options):
    """A network of two classes with activations of its own; the image is odd in size."""
    torch.manual_seed(0)
    network = models.create(name, classes=2, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        network.train()(_noise(2, 3, 64, 64))
    return network.eval(), _noise(1, 3, 49, 70, seed=2)


@pytest.mark.parametrize("attention", [True, False])
@torch.no_grad()
def test_the_mst_decoder(attention):
    network, images = _small("mst-deeplabv3plus", attention=attention)
    maps = network.encoder.body(images)
    shallow, deep = maps[1], maps[-1]
    assert shallow.shape[1:] == (24, 13, 18)
    aspp = network.aspp.branches
    pooled = aspp[4].project(deep.mean((2, 3), keepdim=True)).expand(-1, -1, *deep.shape[2:])
    joined = torch.cat([*(branch(deep) for branch in aspp[:4]), pooled], dim=1)
    if attention:
        joined = network.attention(joined)
    merged = _interpolated(network.merge(joined), shallow, align_corners=True)
    fused = torch.cat([merged, network.shallow(shallow)], dim=1)
    for unit in (network.fuse[0], network.fuse[2]):
        fused = unit(fused)
    expected = _interpolated(network.classify(fused), images, align_corners=True)
    assert _near(network(images), expected)
    biased = [part.bias is not None for part in network.aspp.modules() if type(part) is nn.Conv2d]
    assert all(biased)


@pytest.mark.parametrize("strip_gate", [None, "branch0"])
@torch.no_grad()
def test_the_lm_decoder(strip_gate):
    network, images = _small("lm-deeplabv3plus", strip_gate=strip_gate)
    maps = network.encoder.body(images)  # channel attention does not reach into the encoder
    shallow, deep = maps[1], maps[-1]
    aspp = network.aspp.branches
    branches = [branch(deep) for branch in aspp[:4]]
    mask = aspp[4](deep)
    branches.append(mask * branches[0] if strip_gate else mask)
    merged = network.merge[0](network.mix(torch.cat(branches, dim=1)))
    projected = network.shallow(network.attend(shallow))
    assert not torch.allclose(projected, network.shallow(shallow))
    merged = _interpolated(merged, shallow, align_corners=False)
    fused = network.fuse(torch.cat([projected, merged], dim=1))
    expected = _interpolated(network.classify(fused), images, align_corners=False)
    assert _near(network(images), expected)


@torch.no_grad()
def test_the_plain_decoder_has_image_pooling_and_no_attention():
    network, images = _small("deeplabv3plus-mobilenetv2")
    maps = network.encoder.body(images)
    shallow, deep = maps[1], maps[-1]
    aspp = network.aspp.branches
    pooled = aspp[4].project(deep.mean((2, 3), keepdim=True)).expand(-1, -1, *deep.shape[2:])
    joined = torch.cat([*(branch(deep) for branch in aspp[:4]), pooled], dim=1)
    merged = _interpolated(network.merge[0](joined), shallow, align_corners=False)
    fused = network.fuse(torch.cat([network.shallow(shallow), merged], dim=1))
    expected = _interpolated(network.classify(fused), images, align_corners=False)
    assert _near(network(images), expected)


# --- dropout


def _dropouts(network):
    return {
        name: (type(part), part.p)
        for name, part in network.named_modules()
        if isinstance(part, (nn.Dropout, nn.Dropout2d)) and not name.startswith("encoder")
    }


def _on_meta(name, **options):
    with torch.device("meta"):
        return models.create(name, classes=2, **options)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("pspnet-resnet101-deepstem", nn.Dropout2d), ("pspnet-resnet101", nn.Dropout)],
)
def test_both_heads_of_a_pspnet_drop_what_their_paper_drops(name, kind):
    network = _on_meta(name, aux=True)
    assert _dropouts(network) == {"head.dropout": (kind, 0.1), "aux.dropout": (kind, 0.1)}
    assert _dropouts(_on_meta(name, dropout=0.3))["head.dropout"] == (kind, 0.3)


@pytest.mark.parametrize(
    "name", ["mst-deeplabv3plus", "deeplabv3plus-xception65", "deeplabv3plus-mobilenetv2-mst"]
)
def test_dropouts_of_the_mst_decoder_are_options(name):
    for options, (one, other) in (({}, (0.5, 0.1)), ({"dropout": [0.2, 0]}, (0.2, 0))):
        expected = {"fuse.1": (nn.Dropout, one), "fuse.3": (nn.Dropout, other)}
        assert _dropouts(_on_meta(name, **options)) == expected


@pytest.mark.parametrize("dropout", [0.5, [0.5], (0.1, 1.0), (0.1, "a"), "ab"])
def test_unusable_dropouts_are_refused(dropout):
    with pytest.raises(OptionError, match="unusable dropout"):
        _on_meta("mst-deeplabv3plus", dropout=dropout)


# --- sizes


@pytest.mark.parametrize(
    ("encoder", "least"), [("mobilenetv2_100", 1), ("vgg11", 1), ("convnext_atto", 32)]
)
def test_only_encoders_that_need_it_continue_small_images(encoder, least):
    backbone = Backbone(encoder, bands=3, output_stride=None, weights=None).eval()
    assert backbone.least == least
    sizes = []
    backbone.body.register_forward_pre_hook(lambda body, given: sizes.append(given[0].shape[2:]))
    for height, width in ((1, 1), (1, 70), (33, 20), (64, 64)):
        with torch.no_grad():
            maps = backbone(torch.zeros(1, 3, height, width))
        assert sizes.pop() == (max(height, least), max(width, least))
        if least > 1:
            shapes = [tuple(each.shape[2:]) for each in maps]
            assert shapes == [(-(-height // by), -(-width // by)) for by in backbone.reductions]


@torch.no_grad()
def test_small_images_are_continued_by_their_last_row_and_column():
    backbone = Backbone("convnext_atto", bands=3, output_stride=None, weights=None).eval()
    image = _noise(1, 3, 20, 50)
    padded = functional.pad(image, (0, 0, 0, 12), mode="replicate")
    expected = backbone.body(padded)
    for got, whole in zip(backbone(image), expected, strict=True):
        height, width = (min(g, w) for g, w in zip(got.shape[2:], whole.shape[2:], strict=True))
        assert torch.equal(got[..., :height, :width], whole[..., :height, :width])


# --- U-Net


@pytest.mark.parametrize("bilinear", [True, False])
@pytest.mark.parametrize("widths", [(8, 12, 24), (8, 8, 16), [1, 1], (7, 5, 3), (16, 8)])
@torch.no_grad()
def test_a_unet_takes_any_widths(widths, bilinear):
    network = models.create("unet", classes=2, widths=widths, bilinear=bilinear).eval()
    assert network(_noise(1, 3, 33, 21)).shape == (1, 2, 33, 21)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (8, 0)}, "unusable widths, expected positive integers"),
        ({"widths": (8, -4)}, "unusable widths"),
        ({"widths": (8, 16.0)}, "unusable widths"),
        ({"widths": (8, True)}, "unusable widths"),
        ({"widths": (8,)}, "two stages or more"),
        ({"widths": 8}, "unusable widths for unet, expected numbers, got 8"),
        ({"widths": "88"}, "unusable widths for unet"),
        ({"bilinear": "no"}, "unusable bilinear for unet, expected true or false, got 'no'"),
        ({"bilinear": 1}, "unusable bilinear"),
    ],
)
def test_unusable_options_of_a_unet_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        _on_meta("unet", **options)


@pytest.mark.parametrize(
    "options", [{"output_stride": "16"}, {"encoder": 5}, {"dropout": "a"}, {"strip": 1}]
)
def test_options_of_another_type_are_refused(options):
    with pytest.raises(OptionError, match=rf"unusable {next(iter(options))} for lm-deeplabv3plus"):
        _on_meta("lm-deeplabv3plus", **options)
