"""Cards of the networks, without torch: what each is, what it costs, what its paper printed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rsseg.errors import OptionError

PAPERS: Mapping[str, str] = MappingProxyType(
    {
        "LM": "Hou, Chen and Gu 2024, LM-DeeplabV3+: A Lightweight Image Segmentation Algorithm "
        "Based on Multi-scale Feature Interaction",
        "MST": "Wang, Yang, Liu and Yan 2024, An improved semantic segmentation algorithm for "
        "high-resolution remote sensing images based on DeepLabv3+",
        "alpine": "Kaltenrieder and Damiani, Semantic segmentation of alpine land cover",
        "NPALoss": "Feng et al. 2020, NPALoss: Neighboring Pixel Affinity Loss for Semantic "
        "Segmentation in High-Resolution Aerial Imagery",
    }
)
"""Reference by the name that cards use."""


@dataclass(frozen=True)
class Count:
    """Trainable parameters of a network made with certain options.

    Args:
        parameters: Exact, running statistics left out.
        classes: Output channels.
        options: Further arguments of `rsseg.models.create`.
    """

    parameters: int
    classes: int
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """Figures a paper printed; None where it did not.

    Args:
        parameters_m: Millions of parameters.
        megabytes: Size in 32 bits, in MiB.
        gflops: Billions of operations, by the rules of `rsseg.models.complexity`.
    """

    parameters_m: float | None = None
    megabytes: float | None = None
    gflops: float | None = None


@dataclass(frozen=True)
class Card:
    """One network structure.

    Args:
        name: By which `rsseg.models.create` makes it.
        paper: Key of `PAPERS`.
        summary: The structure in a sentence.
        side: Height and width of the image its operations are counted for.
        counts: Parameters; the first in the setting of the paper's own count.
        published: What the paper printed for that setting.
        note: Where the paper's figure is off, and why.
        options: What the architecture's own options mean, by name.
    """

    name: str
    paper: str
    summary: str
    side: int
    counts: tuple[Count, ...]
    published: Published = Published()
    note: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def setting(self) -> Count:
        """Classes and options of the paper's own count."""
        return self.counts[0]


def card(name: str) -> Card:
    """The card of a network.

    Raises:
        OptionError: If there is none; the nearest names are in the message.
    """
    if name not in CARDS:
        near = difflib.get_close_matches(name, CARDS, n=3) or list(CARDS)
        raise OptionError(f"there is no network '{name}'", expected=" or ".join(near))
    return CARDS[name]


_STRIDE = {"output_stride": "input pixels per pixel of the deepest features"}
_ENCODER = {"encoder": "any timm encoder that gives the features needed"}
_DROPOUT = {"dropout": "share of channels left out in the head"}
_AUX = {"aux": "an auxiliary head on the stage before the last, used in training only"}
_AT_8 = {"output_stride": 8}
_WITH_AUX = {"aux": True}
_PADDING = (
    "the paper's operations count a padded expansion in each block of its MobileNetV2, which costs "
    "0.98 G and changes nothing else"
)
_XCEPTION = (
    "the paper's Xception lacks its last batch normalisation (4,096 parameters) and the padding of "
    "its stem and last two convolutions"
)


def _deeplab(
    encoder: str,
    title: str,
    counts: tuple[int, int],
    printed: tuple[tuple[float, float], tuple[float, float]],
    notes: tuple[str, str],
    more: tuple[Count, ...] = (),
) -> list[Card]:
    """DeepLabV3 and DeepLabV3+ on one encoder, as the LM paper's Table 3 counts them."""
    plain = Card(
        f"deeplabv3-{encoder}",
        "LM",
        f"{title} and ASPP; no decoder",
        768,
        (Count(counts[0], 21, _AT_8), *more),
        Published(parameters_m=printed[0][0], gflops=printed[0][1]),
        notes[0],
        {**_STRIDE, **_ENCODER, **_DROPOUT, **_AUX},
    )
    plus = Card(
        f"deeplabv3plus-{encoder}",
        "LM",
        f"{title}, ASPP, and a decoder with the features at 1/4",
        768,
        (Count(counts[1], 21, _AT_8),),
        Published(parameters_m=printed[1][0], gflops=printed[1][1]),
        notes[1],
        {**_STRIDE, **_ENCODER, **_DROPOUT},
    )
    return [plain, plus]


_SWITCHES = {
    "strip": "strip pooling in place of the ASPP's image pooling",
    "eca": "channel attention on the features at 1/4",
    "epsa": "the EPSA block on the concatenated ASPP",
    "strip_gate": "branch0: multiply the strip mask with the 1x1 branch, not put it beside",
}
_OFF = {"strip": False, "eca": False, "epsa": False}

_ALL = [
    Card(
        "mst-deeplabv3plus",
        "MST",
        "MobileNetV2, ASPP with squeeze and excitation, DeepLabV3+ decoder",
        512,
        (Count(6_019_094, 6), Count(6_018_066, 2), Count(6_019_351, 7), Count(6_022_949, 21)),
        Published(megabytes=22.96),
        "the paper's 0.77 MB for attention is 22.96 - 22.19, of 6 and of 21 classes; it is 0.78",
        {**_STRIDE, **_ENCODER, "attention": "squeeze and excitation on the ASPP"},
    ),
    Card(
        "deeplabv3plus-xception65",
        "MST",
        "aligned Xception-65, ASPP, decoder with biased convolutions",
        512,
        (Count(54_709_702, 6),),
        Published(megabytes=208.70),
        options={**_STRIDE, **_ENCODER, "attention": "squeeze and excitation on the ASPP"},
    ),
    Card(
        "deeplabv3plus-mobilenetv2-mst",
        "MST",
        "MST-DeepLabV3+ without attention",
        512,
        (Count(5_814_294, 6), Count(5_818_149, 21)),
        Published(megabytes=22.19),
        "the paper's row was counted with 21 classes (22.19), the others with 6",
        {**_STRIDE, **_ENCODER, "attention": "squeeze and excitation on the ASPP"},
    ),
    Card(
        "pspnet-resnet101-deepstem",
        "MST",
        "ResNet-101 with a stem of three convolutions, pyramid pooling",
        512,
        (Count(68_062_156, 6, _WITH_AUX), Count(65_700_806, 6)),
        Published(megabytes=259.64),
        "the paper counts the auxiliary head; its text does not say ResNet-101",
        {**_STRIDE, **_ENCODER, **_DROPOUT, **_AUX, "align_corners": "of the interpolation"},
    ),
    Card(
        "unet-vgg16",
        "MST",
        "VGG16 without normalisation, U-Net decoder by interpolation",
        512,
        (Count(24_891_462, 6),),
        Published(megabytes=94.95),
        options={"encoder": "any timm encoder whose maps halve each time"},
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
        {**_STRIDE, **_ENCODER, **_DROPOUT, **_SWITCHES},
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
        ("", ""),
        (Count(39_635_528, 8), Count(41_997_392, 8, _WITH_AUX)),
    ),
    *_deeplab(
        "resnet101",
        "ResNet-101",
        (58_630_997, 58_753_973),
        ((58.64, 544.06), (58.75, 565.07)),
        ("the paper's 58.64 is a slip for 58.63", ""),
        (Count(58_627_142, 6), Count(60_988_492, 6, {**_AT_8, **_WITH_AUX})),
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
        options={"bilinear": "up-sample by interpolation", "widths": "channels of the stages"},
    ),
    Card(
        "unet-small",
        "alpine",
        "U-Net of four stages, 32 to 256 channels, from scratch",
        400,
        (Count(1_927_240, 8), Count(1_072_296, 8, {"bilinear": True})),
        options={"bilinear": "up-sample by interpolation", "widths": "channels of the stages"},
    ),
    Card(
        "fcn-resnet101",
        "NPALoss",
        "ResNet-101 at 1/32 and a 3x3 head",
        513,
        (Count(51_941_446, 6),),
        options={**_STRIDE, **_ENCODER, **_DROPOUT, **_AUX},
    ),
    Card(
        "fcn-dilated-resnet101",
        "NPALoss",
        "ResNet-101 dilated to 1/8 and a 3x3 head",
        513,
        (Count(54_302_796, 6, _WITH_AUX), Count(51_941_446, 6)),
        options={**_STRIDE, **_ENCODER, **_DROPOUT, **_AUX},
    ),
    Card(
        "pspnet-resnet101",
        "NPALoss",
        "ResNet-101 dilated to 1/8 and pyramid pooling",
        513,
        (Count(67_938_380, 6, _WITH_AUX), Count(65_577_030, 6)),
        options={**_STRIDE, **_ENCODER, **_DROPOUT, **_AUX, "align_corners": "of interpolation"},
    ),
]

CARDS: Mapping[str, Card] = MappingProxyType({each.name: each for each in _ALL})
"""Card by name, in the order of the papers."""
