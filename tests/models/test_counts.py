"""The papers' figures, from cards and networks on the meta device."""

import runpy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from rsseg import models
from rsseg.catalog import CARDS, PAPERS, card
from rsseg.errors import OptionError
from rsseg.models.attention import (
    EfficientChannelAttention,
    EPSABlock,
    SqueezeExcitation,
    StripPooling,
    eca_kernel,
)
from rsseg.models.complexity import complexity, of_card

ROOT = Path(__file__).parents[2]
COUNTS = [(name, count) for name, each in CARDS.items() for count in each.counts]
STANDARD = {
    "deeplabv3-resnet50": 368.867,
    "deeplabv3-resnet101": 544.059,
    "deeplabv3plus-resnet50": 389.880,
    "deeplabv3plus-resnet101": 565.072,
    "deeplabv3-mobilenetv2": 47.485,
    "deeplabv3plus-mobilenetv2": 68.088,
}
"""Billions of operations with ordinary padding, 21 classes, output stride 8, 768 x 768."""
PRINTED = {
    "deeplabv3-mobilenetv2": 48.465,
    "deeplabv3plus-mobilenetv2": 69.068,
    "lm-deeplabv3plus": 83.558,
}
"""The same with the padding of the LM paper's code."""


def _create(name, classes, **options):
    with torch.device("meta"):
        return models.create(name, classes=classes, **options)


def _count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("name", "count"), COUNTS)
def test_parameters_are_those_of_the_card(name, count):
    assert _count(_create(name, count.classes, **count.options)) == count.parameters


def test_there_is_a_card_for_every_network():
    assert set(CARDS) == set(models.BUILDERS)
    assert {each.paper for each in CARDS.values()} == set(PAPERS)


@pytest.mark.parametrize("name", CARDS)
def test_cards_explain_every_option(name):
    assert CARDS[name].options.keys() == models.defaults(name).keys()


@pytest.mark.parametrize("name", CARDS)
def test_cards_agree_with_the_papers_or_say_why(name):
    """Within half of the last digit printed, or a note."""
    each = CARDS[name]
    cost = of_card(each)
    pairs = [
        (cost.parameters / 1e6, each.published.parameters_m),
        (cost.megabytes, each.published.megabytes),
        (cost.operations / 1e9, each.published.gflops),
    ]
    off = [printed for ours, printed in pairs if printed and abs(ours - printed) > 0.00501]
    assert bool(off) <= bool(each.note)


@pytest.mark.parametrize("name", STANDARD)
def test_operations_are_the_papers(name):
    assert of_card(CARDS[name]).operations / 1e9 == pytest.approx(STANDARD[name], abs=5e-4)


@pytest.mark.parametrize("name", PRINTED)
def test_the_papers_padding_explains_the_rest(name):
    """Each block of its MobileNetV2 pads its input, so that it expands a larger map."""
    each = CARDS[name]
    network = _create(name, each.setting.classes, **each.setting.options)
    network.encoder.body.conv_stem.padding = (0, 0)
    for module in network.encoder.body.modules():
        if hasattr(module, "conv_dw"):
            before = (0, 0, 0, 0), module.conv_dw.dilation[0]
            module.conv_dw.padding = (0, 0)
            first = module.conv_pw if hasattr(module, "conv_pwl") else module.conv_dw
            first.register_forward_pre_hook(_padder(before[1]))
    cost = complexity(network, 3, each.side, each.side)
    assert cost.operations / 1e9 == pytest.approx(PRINTED[name], abs=6e-4)


def _padder(by):
    return lambda module, inputs: (functional.pad(inputs[0], (by, by, by, by)),)


@pytest.mark.parametrize(
    ("output_stride", "options", "billions"),
    [
        (8, {}, 82.56),
        (16, {}, 41.38),
        (8, {"strip": False, "eca": False, "epsa": False}, 69.049 - 0.98),
        (8, {"eca": False, "epsa": False}, 69.704 - 0.98),
        (8, {"strip": False, "eca": False}, 82.883 - 0.98),
    ],
)
def test_operations_of_the_lm_ablations(output_stride, options, billions):
    network = _create("lm-deeplabv3plus", 19, output_stride=output_stride, **options)
    assert complexity(network, 3, 768, 768).operations / 1e9 == pytest.approx(billions, abs=6e-3)


def test_convolutions_of_the_mst_and_npaloss_networks():
    expected = {
        "mst-deeplabv3plus": 26.25,
        "deeplabv3plus-xception65": 82.76,
        "unet": 117.7,
        "unet-small": 22.5,
        "fcn-resnet101": 45.9,
        "fcn-dilated-resnet101": 222.6,
        "pspnet-resnet101": 262.6,
    }
    for name, billions in expected.items():
        assert of_card(CARDS[name]).macs / 1e9 == pytest.approx(billions, rel=2e-3)


def test_parts_of_mst_are_the_papers():
    network = _create("mst-deeplabv3plus", 6)
    parts = {name: _count(part) for name, part in network.named_children()}
    assert parts == {
        "encoder": 1_811_712,
        "aspp": 82_688 + 3 * 738_048 + 82_688,
        "attention": 204_800,
        "merge": 328_448,
        "shallow": 1_296,
        "fuse": 1_291_776,
        "classify": 1_542,
    }
    assert _count(_create("deeplabv3plus-xception65", 6).encoder) == 37_867_312


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        (EPSABlock(1280), 1_500_725),
        (StripPooling(320, 256), 558_336),
        (SqueezeExcitation(1280), 204_800),
        (EfficientChannelAttention(24), 3),
    ],
)
def test_parts_of_lm_are_the_papers(module, parameters):
    assert _count(module) == parameters


@pytest.mark.parametrize(
    ("channels", "kernel"),
    [(c, 3) for c in (16, 24, 32, 64, 96)] + [(c, 5) for c in (128, 160, 256, 320, 1280)],
)
def test_eca_kernels(channels, kernel):
    assert eca_kernel(channels) == kernel


def test_output_sizes_of_the_encoders():
    with torch.no_grad():
        for stride, side, deep in ((16, 768, 48), (32, 513, 17), (8, 513, 65)):
            name = "fcn-resnet101" if stride == 32 else "deeplabv3-mobilenetv2"
            encoder = _create(name, 6, output_stride=stride).encoder
            maps = encoder(torch.zeros(1, 3, side, side, device="meta"))
            assert maps[-1].shape[-2:] == (deep, deep)
            assert maps[encoder.at(4)].shape[-1] == -(-side // 4)
            assert [each.shape[1] for each in maps] == list(encoder.channels)


def test_counting_leaves_the_network_alone():
    network = models.create("unet-small", classes=2).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    cost = complexity(network, 3, 32, 32)
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert sum(layer.macs for layer in cost.layers) == cost.macs
    assert sum(layer.parameters for layer in cost.layers) == cost.parameters


def test_operations_of_single_layers_by_hand():
    """A biased 3x3 convolution, normalisation, ReLU twice in one module, pooling."""

    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)

        def forward(self, images):
            return self.relu(self.pool(self.relu(self.bn(self.conv(images)))))

    cost = complexity(Tiny(), 3, 8, 8)
    assert cost.macs == 4 * 64 * 27
    assert cost.operations == 4 * 64 * 27 + 4 * 64 + 2 * 4 * 64 + 4 * 64 + 4 * 16


def test_the_readme_has_the_table():
    table = runpy.run_path(str(ROOT / "benchmarks" / "model_table.py"))["table"]()
    assert "\n".join(table) in (ROOT / "README.md").read_text("utf-8")


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(OptionError, match="no network 'unet-smal', expected unet-small"):
        card("unet-smal")
    with pytest.raises(OptionError, match="no architecture 'unet-smal', expected unet-small"):
        models.create("unet-smal", classes=2)
