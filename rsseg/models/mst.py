"""The networks of the MST-DeepLabV3+ paper (002): DeepLabV3+ with biased convolutions throughout.

Against the usual DeepLabV3+ the convolutions of ASPP and decoder have a bias beside batch
normalisation, bilinear interpolation aligns corners, and the decoder fuses by two convolutions.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from rsseg.models.attention import SqueezeExcitation
from rsseg.models.backbones import Backbone
from rsseg.models.blocks import ASPP, conv_bn_relu, resize
from rsseg.models.heads import aspp_rates

_WIDTH = 256
_SHALLOW_WIDTH = 48


class MSTDeepLabV3Plus(nn.Module):
    """MST-DeepLabV3+: MobileNetV2, squeeze and excitation on the ASPP, DeepLabV3+ decoder.

    6,019,094 parameters at 6 classes. "Transfer learning" in the paper means starting the
    encoder from ImageNet weights.

    Args:
        classes: Output channels.
        bands: Input channels.
        weights: Start of the encoder, see `rsseg.models.create`.
        encoder: A timm encoder with features at 1/4.
        output_stride: 16 as in the paper, or 8 (dilations double).
        attention: Whether to weight the channels of the ASPP by squeeze and excitation; without it
            this is the DeepLabV3+ the paper compares with.

    Raises:
        OptionError: If the output stride is another, or the encoder has no features at 1/4.
    """

    def __init__(
        self,
        *,
        classes: int,
        bands: int = 3,
        weights: str | None = None,
        encoder: str = "mobilenetv2_100",
        output_stride: int = 16,
        attention: bool = True,
    ) -> None:
        super().__init__()
        rates = aspp_rates(output_stride)
        self.encoder = Backbone(encoder, bands=bands, output_stride=output_stride, weights=weights)
        self.shallow_map = self.encoder.at(4)
        shallow_channels = self.encoder.channels[self.shallow_map]
        self.aspp = ASPP(self.encoder.channels[-1], rates, width=_WIDTH, bias=True)
        self.attention = (
            SqueezeExcitation(self.aspp.channels, reduction=16) if attention else nn.Identity()
        )
        self.merge = conv_bn_relu(self.aspp.channels, _WIDTH, bias=True)
        self.shallow = conv_bn_relu(shallow_channels, _SHALLOW_WIDTH, bias=True)
        self.fuse = nn.Sequential(
            conv_bn_relu(_WIDTH + _SHALLOW_WIDTH, _WIDTH, 3, bias=True),
            nn.Dropout(0.5),
            conv_bn_relu(_WIDTH, _WIDTH, 3, bias=True),
            nn.Dropout(0.1),
        )
        self.classify = nn.Conv2d(_WIDTH, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, classes, h, w)`` of images ``(N, bands, h, w)``."""
        maps = self.encoder(images)
        shallow = maps[self.shallow_map]
        deep = resize(self.merge(self.attention(self.aspp(maps[-1]))), shallow, align_corners=True)
        fused = self.fuse(torch.cat([deep, self.shallow(shallow)], dim=1))
        return resize(cast(Tensor, self.classify(fused)), images, align_corners=True)
