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
from rsseg.models.xception import OriginalXception

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


OFF = {
    "deeplabv3plus-mobilenetv2-mst": {"megabytes"},
    "lm-deeplabv3plus": {"operations"},
    "deeplabv3-xception": {"parameters", "operations"},
    "deeplabv3plus-xception": {"operations"},
    "deeplabv3-resnet101": {"parameters"},
    "deeplabv3-mobilenetv2": {"operations"},
    "deeplabv3plus-mobilenetv2": {"parameters", "operations"},
}
"""Figures of the papers that ours are not; the cards' notes say why."""
ABLATION = [
    ((), 5_225_203, {8: 69.049, 16: 37.998}),
    (("strip",), 5_701_107, {8: 69.704, 16: 38.174}),
    (("eca",), 5_225_206, {8: 69.049, 16: 37.998}),
    (("epsa",), 6_725_928, {8: 82.883, 16: 41.457}),
    (("strip", "eca"), 5_701_110, {8: 69.704, 16: 38.174}),
    (("strip", "epsa"), 7_201_832, {8: 83.539, 16: 41.632}),
    (("strip", "eca", "epsa"), 7_201_835, {8: 83.539, 16: 41.632}),
]
"""LM-DeepLabV3+ with single additions at 19 classes, with the padding of its paper's code."""


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
def test_cards_agree_with_the_papers_but_for_these(name):
    """Within half of the last digit printed."""
    each = CARDS[name]
    cost, published = of_card(each), each.published
    pairs = {
        "parameters": (cost.parameters / 1e6, published.parameters_m),
        "megabytes": (cost.megabytes, published.megabytes),
        "operations": (cost.operations / 1e9, published.gflops),
    }
    off = {
        what for what, (ours, printed) in pairs.items() if printed and abs(ours - printed) > 0.00501
    }
    assert off == OFF.get(name, set())
    assert each.note or not off


@pytest.mark.parametrize("name", STANDARD)
def test_operations_are_the_papers(name):
    assert of_card(CARDS[name]).operations / 1e9 == pytest.approx(STANDARD[name], abs=5e-4)


@pytest.mark.parametrize("name", PRINTED)
def test_the_papers_padding_explains_the_rest(name):
    each = CARDS[name]
    network = _as_printed(_create(name, each.setting.classes, **each.setting.options))
    cost = complexity(network, 3, each.side, each.side)
    assert cost.operations / 1e9 == pytest.approx(PRINTED[name], abs=6e-4)


@pytest.mark.parametrize(
    ("name", "parameters", "billions"),
    [
        ("deeplabv3-xception", 36_933_693, 302.852),
        ("deeplabv3plus-xception", 37_050_525, 324.653),
    ],
)
def test_the_papers_xception_is_ours_without_what_it_lacks(name, parameters, billions):
    network = _as_printed(_create(name, 21, output_stride=8))
    cost = complexity(network, 3, 768, 768)
    assert cost.parameters == parameters
    assert cost.operations / 1e9 == pytest.approx(billions, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "parameters", "billions"),
    [
        ("deeplabv3-xception", 36_933_179, 92.50),
        ("deeplabv3-resnet50", 39_638_355, 109.31),
        ("deeplabv3-resnet101", 58_630_483, 153.11),
        ("deeplabv3-mobilenetv2", 5_113_363, 13.29),
        ("deeplabv3plus-xception", 37_050_011, 117.34),
        ("deeplabv3plus-resnet50", 39_761_331, 134.43),
        ("deeplabv3plus-resnet101", 58_753_459, 178.22),
        ("deeplabv3plus-mobilenetv2", 5_225_203, 38.00),
    ],
)
def test_baselines_at_the_19_classes_and_stride_of_the_lm_papers_training(
    name, parameters, billions
):
    network = _as_printed(_create(name, 19, output_stride=16))
    cost = complexity(network, 3, 768, 768)
    assert cost.parameters == parameters
    assert cost.operations / 1e9 == pytest.approx(billions, abs=5.1e-3)


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize(("added", "parameters", "billions"), ABLATION)
def test_the_lm_ablation(added, parameters, billions, output_stride):
    switches = {key: key in added for key in ("strip", "eca", "epsa")}
    network = _create("lm-deeplabv3plus", 19, output_stride=output_stride, **switches)
    cost = complexity(_as_printed(network), 3, 768, 768)
    assert cost.parameters == parameters
    assert cost.operations / 1e9 == pytest.approx(billions[output_stride], abs=6e-4)


def test_operations_of_lm_with_ordinary_padding():
    for output_stride, billions in ((8, 82.56), (16, 41.38)):
        network = _create("lm-deeplabv3plus", 19, output_stride=output_stride)
        cost = complexity(network, 3, 768, 768)
        assert cost.operations / 1e9 == pytest.approx(billions, abs=6e-3)


def _as_printed(network):
    """A network with the odd padding of the LM paper's code.

    Each block of its MobileNetV2 pads its input, so that it expands a larger map. Its Xception
    lacks padding in the stem and the last convolutions, and the last batch normalisation.
    """
    body = network.encoder.body
    if isinstance(body, OriginalXception):
        body = body.body
        body.conv1.padding = body.conv2.padding = (0, 0)
        body.conv3.conv1.padding = body.conv4.conv1.padding = (1, 1)
        body.bn4 = body.act4 = nn.Identity()
    elif hasattr(body, "conv_stem"):
        body.conv_stem.padding = (0, 0)
        for module in body.modules():
            if hasattr(module, "conv_dw"):
                by = module.conv_dw.dilation[0]
                module.conv_dw.padding = (0, 0)
                first = module.conv_pw if hasattr(module, "conv_pwl") else module.conv_dw
                first.register_forward_pre_hook(_padder(by))
    return network


def _padder(by):
    return lambda module, inputs: (functional.pad(inputs[0], (by, by, by, by)),)


def test_operations_leave_auxiliary_heads_out_and_parameters_do_not():
    plain, more = (
        complexity(_create("deeplabv3-mobilenetv2", 6, aux=aux), 3, 64, 64) for aux in (False, True)
    )
    assert (more.macs, more.operations) == (plain.macs, plain.operations)
    assert more.parameters > plain.parameters
    head = [layer for layer in more.layers if layer.name.startswith("aux")]
    assert sum(layer.parameters for layer in head) == more.parameters - plain.parameters
    assert all(layer.macs == 0 and not layer.shapes for layer in head)


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


def test_the_documentation_has_the_table():
    table = runpy.run_path(str(ROOT / "benchmarks" / "model_table.py"))["table"]()
    assert "\n".join(table) in (ROOT / "docs" / "networks.md").read_text("utf-8")


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(OptionError, match="no network 'unet-smal', expected unet-small"):
        card("unet-smal")
    with pytest.raises(OptionError, match="no architecture 'unet-smal', expected unet-small"):
        models.create("unet-smal", classes=2)
