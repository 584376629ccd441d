"""The networks of the MST-DeepLabV3+ paper (002): DeepLabV3+ with biased convolutions throughout.

Against the usual DeepLabV3+ the convolutions of ASPP and decoder have a bias beside batch
normalisation, bilinear interpolation aligns corners, and the decoder fuses by two convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rsseg.errors import OptionError
from rsseg.models.attention import SqueezeExcitation
from rsseg.models.blocks import ASPP, conv_bn_relu, resize
from rsseg.models.blocks import dropout as dropout_layer
from rsseg.models.deeplab import SHALLOW_WIDTH, WIDTH, EncoderDecoder


class MSTDeepLabV3Plus(EncoderDecoder):
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
        dropout: Shares of values left out after the first and second 3x3 unit of the decoder.

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
        dropout: Sequence[float] = (0.5, 0.1),
    ) -> None:
        if isinstance(dropout, str) or not isinstance(dropout, Sequence) or len(dropout) != 2:
            raise OptionError("unusable dropout", expected="two shares", got=dropout)
        super().__init__(bands, weights, encoder, output_stride)
        self.aspp = ASPP(self.encoder.channels[-1], self.rates, width=WIDTH, bias=True)
        self.attention = (
            SqueezeExcitation(self.aspp.channels, reduction=16) if attention else nn.Identity()
        )
        self.merge = conv_bn_relu(self.aspp.channels, WIDTH, bias=True)
        self.shallow = conv_bn_relu(self.shallow_channels, SHALLOW_WIDTH, bias=True)
        self.fuse = nn.Sequential(
            conv_bn_relu(WIDTH + SHALLOW_WIDTH, WIDTH, 3, bias=True),
            dropout_layer(dropout[0]),
            conv_bn_relu(WIDTH, WIDTH, 3, bias=True),
            dropout_layer(dropout[1]),
        )
        self.classify = nn.Conv2d(WIDTH, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, classes, h, w)`` of images ``(N, bands, h, w)``."""
        maps = self.encoder(images)
        shallow = maps[self.shallow_map]
        deep = resize(self.merge(self.attention(self.aspp(maps[-1]))), shallow, align_corners=True)
        fused = self.fuse(torch.cat([deep, self.shallow(shallow)], dim=1))
        return resize(cast(Tensor, self.classify(fused)), images, align_corners=True)
