"""U-Nets: the alpine paper's, trained from scratch, and the one on a pre-trained VGG16.

Pooling rounds sizes up and up-sampled maps are cut to the skip's size, so that any size passes; at
multiples of the deepest stride this is the usual U-Net.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from rsseg.errors import OptionError
from rsseg.models.backbones import Backbone
from rsseg.models.blocks import conv_bn_relu, resize

_STAGES = 5


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) with padded, normalised convolutions.

    Args:
        classes: Output channels.
        bands: Input channels.
        weights: Must be None: there is no pre-trained encoder.
        widths: Channels of the stages.
        bilinear: Up-sample by interpolation, with the deepest stage half as wide, instead of by
            transposed convolutions.

    Raises:
        OptionError: If weights are asked for, or the widths are not two positive integers or more.
    """

    def __init__(
        self,
        *,
        classes: int,
        bands: int = 3,
        weights: str | None = None,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        bilinear: bool = False,
    ) -> None:
        super().__init__()
        if weights is not None:
            raise OptionError("a U-Net of its own has no pre-trained encoder", got=weights)
        if isinstance(widths, str) or not isinstance(widths, Sequence) or len(widths) < 2:
            raise OptionError("a U-Net needs two stages or more", got=widths)
        if any(type(width) is not int or width < 1 for width in widths):
            raise OptionError("unusable widths", expected="positive integers", got=widths)
        *others, deep = widths
        if bilinear:
            deep = max(deep // 2, 1)
        stages = [*others, deep]
        self.encoder = nn.ModuleList(
            _double_conv(inputs, width, width)
            for inputs, width in zip((bands, *stages), stages, strict=False)
        )
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.decoder = nn.ModuleList()
        for number, skip in reversed(list(enumerate(others))):
            if bilinear:
                joined, outputs = skip + deep, others[max(number - 1, 0)]
                step = _Up(None, _double_conv(joined, joined // 2, outputs))
            else:
                outputs = skip
                up = nn.ConvTranspose2d(deep, skip, 2, stride=2)
                step = _Up(up, _double_conv(2 * skip, skip, skip))
            self.decoder.append(step)
            deep = outputs
        self.classify = nn.Conv2d(widths[0], classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, classes, h, w)`` of images ``(N, bands, h, w)``."""
        skips = [self.encoder[0](images)]
        for stage in self.encoder[1:]:
            skips.append(stage(self.pool(skips[-1])))
        features = skips.pop()
        for step in self.decoder:
            features = step(features, skips.pop())
        return cast(Tensor, self.classify(features))


class PretrainedUNet(nn.Module):
    """A U-Net decoder without normalisation on a timm encoder, VGG16 in the MST-DeepLabV3+ paper.

    Args:
        classes: Output channels.
        bands: Input channels.
        weights: Start of the encoder, see `rsseg.models.create`.
        encoder: A timm encoder, each map of which is half as wide and high as the one before; the
            first five are used (VGG has a sixth, after its last pooling).

    Raises:
        OptionError: If the encoder's maps are otherwise.
    """

    def __init__(
        self,
        *,
        classes: int,
        bands: int = 3,
        weights: str | None = None,
        encoder: str = "vgg16",
    ) -> None:
        super().__init__()
        self.encoder = Backbone(encoder, bands=bands, output_stride=None, weights=weights)
        reductions = self.encoder.reductions[:_STAGES]
        if any(b != 2 * a for a, b in pairwise(reductions)):
            raise OptionError(
                f"the encoder {encoder} cannot be used here: its maps do not halve each time",
                got=", ".join(f"1/{each}" for each in reductions),
            )
        self.decoder = nn.ModuleList()
        *skips, deep = self.encoder.channels[:_STAGES]
        for skip in reversed(skips):
            self.decoder.append(_Up(None, _plain_double_conv(deep + skip, skip)))
            deep = skip
        self.classify = nn.Conv2d(deep, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, classes, h, w)`` of images ``(N, bands, h, w)``."""
        *skips, features = self.encoder(images)[:_STAGES]
        for step in self.decoder:
            features = step(features, skips.pop())
        logits: Tensor = self.classify(features)
        if self.encoder.reductions[0] == 1:
            return logits
        return resize(logits, images, align_corners=True)


class _Up(nn.Module):
    """Up-sample to the size of a skip, put it beside the skip, convolve."""

    def __init__(self, up: nn.Module | None, convolve: nn.Module) -> None:
        super().__init__()
        self.up, self.convolve = up, convolve

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        if self.up is None:
            deep = resize(deep, skip, align_corners=True)
        else:
            deep = self.up(deep)[..., : skip.shape[-2], : skip.shape[-1]]
        convolved: Tensor = self.convolve(torch.cat([skip, deep], dim=1))
        return convolved


def _double_conv(inputs: int, middle: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(inputs, middle, 3), conv_bn_relu(middle, outputs, 3))


def _plain_double_conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(inplace=True),
    )
