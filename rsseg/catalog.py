"""Cards of the networks, without torch: what each is, what it costs, what its paper printed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from rsseg.cards import PAPERS, Card, Count, Published
from rsseg.errors import OptionError

__all__ = ["CARDS", "PAPERS", "Card", "Count", "Published", "card"]


def card(name: str) -> Card:
    """The card of a network.

    Raises:
        OptionError: If there is none; the nearest names are in the message.
    """
    if name not in CARDS:
        near = difflib.get_close_matches(name, CARDS, n=3) or list(CARDS)
        raise OptionError(f"there is no network '{name}'", expected=" or ".join(near))
    return CARDS[name]


_MEANINGS = {
    "output_stride": "input pixels per pixel of the deepest features",
    "encoder": "any timm encoder that gives the features needed",
    "aux": "an auxiliary head on the stage before the last, used in training only",
    "attention": "squeeze and excitation on the ASPP",
    "align_corners": "of the interpolation",
    "drop_channels": "dropout leaves out whole channels, not single values",
    "bilinear": "up-sample by interpolation",
    "widths": "channels of the stages",
    "strip": "strip pooling in place of the ASPP's image pooling",
    "eca": "channel attention on the features at 1/4",
    "epsa": "the EPSA block on the concatenated ASPP",
    "strip_gate": "branch0: multiply the strip mask with the 1x1 branch, not put it beside",
}
_DROPOUT = "share of values left out in the head"
_DROPOUTS = "shares of values left out after the decoder's first and second 3x3 unit"
_DROPPED = "share left out in the head; an auxiliary head leaves out 0.1"
_HEAD = ("output_stride", "encoder", "dropout", "aux")
_PSPNET = (*_HEAD, "drop_channels", "align_corners")
_PLUS = ("output_stride", "encoder", "dropout")
_MST = (*_PLUS, "attention")
_LM = (*_PLUS, "strip", "eca", "epsa", "strip_gate")
_UNET = ("bilinear", "widths")
_AT_8 = {"output_stride": 8}
_WITH_AUX = {"aux": True}
_OFF = {"strip": False, "eca": False, "epsa": False}
_PADDING = (
    "the paper's operations count a padded expansion in each block of its MobileNetV2, which costs "
    "0.98 G and changes nothing else"
)
_XCEPTION = (
    "the paper's Xception lacks its last batch normalisation (4,096 parameters) and the padding of "
    "its stem and last two convolutions"
)


def _meanings(names: tuple[str, ...], dropout: str = _DROPOUT, **others: str) -> dict[str, str]:
    meanings = {**_MEANINGS, "dropout": dropout, **others}
    return {name: meanings[name] for name in names}


def _deeplab(
    encoder: str,
    title: str,
    at_21: tuple[int, int],
    printed: tuple[tuple[float, float], tuple[float, float]],
    notes: tuple[str, str] = ("", ""),
    more: tuple[Count, ...] = (),
) -> list[Card]:
    """DeepLabV3 and DeepLabV3+ on one encoder, as the LM paper's Table 3 counts them."""
    parts = ("ASPP; no decoder", "ASPP, and a decoder with the features at 1/4")
    return [
        Card(
            f"{kind}-{encoder}",
            "LM",
            f"{title}{' and ' if kind == 'deeplabv3' else ', '}{parts[plus]}",
            768,
            (Count(at_21[plus], 21, _AT_8), *(() if plus else more)),
            Published(parameters_m=printed[plus][0], gflops=printed[plus][1]),
            notes[plus],
            _meanings(_PLUS if plus else _HEAD),
        )
        for plus, kind in enumerate(("deeplabv3", "deeplabv3plus"))
    ]


_ALL = [
    Card(
        "mst-deeplabv3plus",
        "MST",
        "MobileNetV2, ASPP with squeeze and excitation, DeepLabV3+ decoder",
        512,
        (Count(6_019_094, 6), Count(6_018_066, 2), Count(6_019_351, 7), Count(6_022_949, 21)),
        Published(megabytes=22.96),
        "the paper's 0.77 MB for attention is 22.96 - 22.19, of 6 and of 21 classes; it is 0.78",
        _meanings(_MST, _DROPOUTS),
    ),
    Card(
        "deeplabv3plus-xception65",
        "MST",
        "aligned Xception-65, ASPP, decoder with biased convolutions",
        512,
        (Count(54_709_702, 6),),
        Published(megabytes=208.70),
        options=_meanings(_MST, _DROPOUTS),
    ),
    Card(
        "deeplabv3plus-mobilenetv2-mst",
        "MST",
        "MST-DeepLabV3+ without attention",
        512,
        (Count(5_814_294, 6), Count(5_818_149, 21)),
        Published(megabytes=22.19),
        "the paper's row was counted with 21 classes (22.19), the others with 6",
        _meanings(_MST, _DROPOUTS),
    ),
    Card(
        "pspnet-resnet101-deepstem",
        "MST",
        "ResNet-101 with a stem of three convolutions, pyramid pooling",
        512,
        (Count(68_062_156, 6, _WITH_AUX), Count(65_700_806, 6)),
        Published(megabytes=259.64),
        "the paper counts the auxiliary head; its text does not say ResNet-101",
        _meanings(_PSPNET, _DROPPED),
    ),
    Card(
        "unet-vgg16",
        "MST",
        "VGG16 without normalisation, U-Net decoder by interpolation",
        512,
        (Count(24_891_462, 6),),
        Published(megabytes=94.95),
        options=_meanings(("encoder",), encoder="any timm encoder whose maps halve each time"),
    ),
    Card(
        "lm-deeplabv3plus",
        "LM",
        "MobileNetV2, ASPP with strip pooling, EPSA block, channel attention on shallow features",
        768,
        (
            Count(7_202_349, 21, _AT_8),
            Count(7_201_835, 19),
            Count(5_225_203, 19, _OFF),
            Count(5_701_107, 19, {**_OFF, "strip": True}),
            Count(5_225_206, 19, {**_OFF, "eca": True}),
            Count(6_725_928, 19, {**_OFF, "epsa": True}),
            Count(5_701_110, 19, {"epsa": False}),
            Count(7_201_832, 19, {"eca": False}),
            Count(7_201_835, 19, {"strip_gate": "branch0"}),
        ),
        Published(parameters_m=7.20, gflops=83.56),
        _PADDING,
        _meanings(_LM),
    ),
    *_deeplab(
        "xception",
        "the original Xception",
        (36_937_789, 37_054_621),
        ((36.93, 302.85), (37.05, 324.65)),
        (_XCEPTION, _XCEPTION),
    ),
    *_deeplab(
        "resnet50",
        "ResNet-50",
        (39_638_869, 39_761_845),
        ((39.64, 368.87), (39.76, 389.88)),
        more=(Count(39_635_528, 8), Count(41_997_392, 8, _WITH_AUX)),
    ),
    *_deeplab(
        "resnet101",
        "ResNet-101",
        (58_630_997, 58_753_973),
        ((58.64, 544.06), (58.75, 565.07)),
        ("the paper's 58.64 is a slip for 58.63", ""),
        (
            Count(58_627_656, 8),
            Count(60_989_520, 8, _WITH_AUX),
            Count(58_627_142, 6),
            Count(60_988_492, 6, {**_AT_8, **_WITH_AUX}),
        ),
    ),
    *_deeplab(
        "mobilenetv2",
        "MobileNetV2",
        (5_113_877, 5_225_717),
        ((5.11, 48.46), (5.22, 69.07)),
        (_PADDING, f"{_PADDING}; its 5.22 is 5.2257 cut off"),
    ),
    Card(
        "unet",
        "alpine",
        "U-Net of five stages, 64 to 1,024 channels, from scratch",
        400,
        (Count(31_038_088, 8), Count(17_263_432, 8, {"bilinear": True})),
        options=_meanings(_UNET),
    ),
    Card(
        "unet-small",
        "alpine",
        "U-Net of four stages, 32 to 256 channels, from scratch",
        400,
        (Count(1_927_240, 8), Count(1_072_296, 8, {"bilinear": True})),
        options=_meanings(_UNET),
    ),
    Card(
        "fcn-resnet101",
        "NPALoss",
        "ResNet-101 at 1/32 and a 3x3 head",
        513,
        (Count(51_941_446, 6),),
        options=_meanings(_HEAD),
    ),
    Card(
        "fcn-dilated-resnet101",
        "NPALoss",
        "ResNet-101 dilated to 1/8 and a 3x3 head",
        513,
        (Count(54_302_796, 6, _WITH_AUX), Count(51_941_446, 6)),
        options=_meanings(_HEAD),
    ),
    Card(
        "pspnet-resnet101",
        "NPALoss",
        "ResNet-101 dilated to 1/8 and pyramid pooling",
        513,
        (Count(67_938_380, 6, _WITH_AUX), Count(65_577_030, 6)),
        options=_meanings(_PSPNET, _DROPPED),
    ),
]

CARDS: Mapping[str, Card] = MappingProxyType({each.name: each for each in _ALL})
"""Card by name, in the order of the papers."""
