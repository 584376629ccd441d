"""The networks of the MST-DeepLabV3+ paper (002): DeepLabV3+ with biased convolutions throughout.

Against the usual DeepLabV3+ the convolutions of ASPP and decoder have a bias beside batch
normalisation, bilinear interpolation aligns corners, and the decoder fuses by two convolutions.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from rsseg.errors import OptionError
from rsseg.models.backbones import Backbone
from rsseg.models.blocks import ASPP, SqueezeExcitation, conv_bn_relu

_WIDTH = 256
_SHALLOW_WIDTH = 48
_RATES = {16: (6, 12, 18), 8: (12, 24, 36)}
"""Dilations of the ASPP by output stride."""


class MSTDeepLabV3Plus(nn.Module):
    """MST-DeepLabV3+: MobileNetV2, squeeze and excitation on the ASPP, DeepLabV3+ decoder.

    6,019,094 parameters at 6 classes. "Transfer learning" in the paper means starting the
    encoder from ImageNet weights.

    Args:
        classes: Output channels.
        bands: Input channels.
        weights: Start of the encoder, see `rsseg.models.create`.
        output_stride: 16 as in the paper, or 8 (dilations double).

    Raises:
        OptionError: If the output stride is another.
    """

    def __init__(
        self,
        *,
        classes: int,
        bands: int = 3,
        weights: str | None = None,
        output_stride: int = 16,
    ) -> None:
        super().__init__()
        if output_stride not in _RATES:
            raise OptionError("unusable output stride", expected="16 or 8", got=output_stride)
        self.encoder = Backbone(
            "mobilenetv2_100", bands=bands, output_stride=output_stride, weights=weights
        )
        self.aspp = ASPP(self.encoder.deep_channels, _RATES[output_stride], width=_WIDTH, bias=True)
        self.attention = SqueezeExcitation(self.aspp.channels, reduction=16)
        self.merge = conv_bn_relu(self.aspp.channels, _WIDTH, bias=True)
        self.shallow = conv_bn_relu(self.encoder.shallow_channels, _SHALLOW_WIDTH, bias=True)
        self.fuse = nn.Sequential(
            conv_bn_relu(_WIDTH + _SHALLOW_WIDTH, _WIDTH, 3, bias=True),
            nn.Dropout(0.5),
            conv_bn_relu(_WIDTH, _WIDTH, 3, bias=True),
            nn.Dropout(0.1),
        )
        self.classify = nn.Conv2d(_WIDTH, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, classes, h, w)`` of images ``(N, bands, h, w)``."""
        shallow, deep = self.encoder(images)
        deep = self.merge(self.attention(self.aspp(deep)))
        fused = torch.cat([_resize(deep, shallow), self.shallow(shallow)], dim=1)
        return _resize(cast(Tensor, self.classify(self.fuse(fused))), images)


def _resize(features: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(
        features, size=like.shape[-2:], mode="bilinear", align_corners=True
    )
