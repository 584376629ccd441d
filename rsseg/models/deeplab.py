"""DeepLabV3+ as the LM-DeepLabV3+ paper counts it, and LM-DeepLabV3+ itself.

Convolutions before batch normalisation have no bias, and one 3x3 unit fuses shallow and deep.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsseg.errors import OptionError
from rsseg.models.attention import EfficientChannelAttention, EPSABlock, StripPooling
from rsseg.models.backbones import Backbone
from rsseg.models.blocks import ASPP, conv_bn_relu, resize
from rsseg.models.blocks import dropout as dropout_layer
from rsseg.models.heads import aspp_rates

WIDTH = 256
SHALLOW_WIDTH = 48


class EncoderDecoder(nn.Module):
    """What the DeepLabV3+ of both papers begin with: an encoder, its shallow map, the rates.

    Args:
        bands: Input channels.
        weights: Start of the encoder, see `rsseg.models.create`.
        encoder: A timm encoder with features at 1/4.
        output_stride: 16 or 8.

    Raises:
        OptionError: If the output stride is another, or the encoder has no features at 1/4.
        BundleError: If the weights cannot be had or do not fit.
    """

    def __init__(self, bands: int, weights: str | None, encoder: str, output_stride: int) -> None:
        super().__init__()
        self.rates = aspp_rates(output_stride)
        self.encoder = Backbone(encoder, bands=bands, output_stride=output_stride, weights=weights)
        self.shallow_map = self.encoder.at(4)
        self.shallow_channels = self.encoder.channels[self.shallow_map]


class DeepLabV3Plus(EncoderDecoder):
    """DeepLabV3+ (Chen et al. 2018): ASPP on the deep map, fused with the map at stride 4.

    Args:
        classes: Output channels.
        bands: Input channels.
        weights: Start of the encoder, see `rsseg.models.create`.
        encoder: A timm encoder with features at 1/4.
        output_stride: 16 or 8 (dilations double).
        dropout: Share of values left out after the ASPP.

    Raises:
        OptionError: If the output stride is another, or the encoder has no features at 1/4.
    """

    def __init__(
        self,
        *,
        classes: int,
        bands: int = 3,
        weights: str | None = None,
        encoder: str = "resnet50",
        output_stride: int = 16,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(bands, weights, encoder, output_stride)
        self.aspp = ASPP(self.encoder.channels[-1], self.rates, width=WIDTH)
        self.mix: nn.Module = nn.Identity()
        self.merge = nn.Sequential(conv_bn_relu(self.aspp.channels, WIDTH), dropout_layer(dropout))
        self.attend: nn.Module = nn.Identity()
        self.shallow = conv_bn_relu(self.shallow_channels, SHALLOW_WIDTH)
        self.fuse = conv_bn_relu(SHALLOW_WIDTH + WIDTH, WIDTH, 3)
        self.classify = nn.Conv2d(WIDTH, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, classes, h, w)`` of images ``(N, bands, h, w)``."""
        maps = self.encoder(images)
        deep = self.merge(self.mix(self.aspp(maps[-1])))
        shallow = self.shallow(self.attend(maps[self.shallow_map]))
        fused = self.fuse(torch.cat([shallow, resize(deep, shallow)], dim=1))
        return resize(self.classify(fused), images)


class LMDeepLabV3Plus(DeepLabV3Plus):
    """LM-DeepLabV3+: 7,201,835 parameters at 19 classes; each addition has a switch.

    Args:
        classes: Output channels.
        bands: Input channels.
        weights: Start of the encoder, see `rsseg.models.create`.
        encoder: A timm encoder with features at 1/4.
        output_stride: 16 as in the paper's training, or 8 as in its count.
        dropout: Share of values left out after the ASPP.
        strip: Strip pooling in place of the ASPP's image pooling.
        eca: Efficient channel attention on the shallow map, on its way to the decoder only.
        epsa: The EPSA block on the concatenated ASPP.
        strip_gate: None puts the strip pooling's mask itself beside the other branches;
            ``"branch0"`` multiplies it with the 1x1 branch first (the paper's equation 4 on a
            projection; as printed it multiplies 256 channels with 320).

    Raises:
        OptionError: If an option is out of range.
    """

    def __init__(
        self,
        *,
        classes: int,
        bands: int = 3,
        weights: str | None = None,
        encoder: str = "mobilenetv2_100",
        output_stride: int = 16,
        dropout: float = 0.1,
        strip: bool = True,
        eca: bool = True,
        epsa: bool = True,
        strip_gate: str | None = None,
    ) -> None:
        super().__init__(
            classes=classes,
            bands=bands,
            weights=weights,
            encoder=encoder,
            output_stride=output_stride,
            dropout=dropout,
        )
        if strip_gate not in (None, "branch0") or (strip_gate and not strip):
            raise OptionError(
                "unusable strip gate", expected="none, or branch0 with strip", got=strip_gate
            )
        if strip:
            deep = self.encoder.channels[-1]
            self.aspp = StripASPP(deep, self.rates, gated=bool(strip_gate))
        if epsa:
            self.mix = EPSABlock(self.aspp.channels)
        if eca:
            self.attend = EfficientChannelAttention(self.shallow_channels)


class StripASPP(ASPP):
    """An ASPP whose image pooling is replaced by strip pooling.

    Args:
        inputs: Channels in.
        rates: Dilations of the three 3x3 branches.
        gated: Whether the mask is multiplied with the output of the 1x1 branch.
    """

    def __init__(self, inputs: int, rates: tuple[int, int, int], *, gated: bool) -> None:
        super().__init__(inputs, rates, width=WIDTH)
        self.branches[-1] = StripPooling(inputs, WIDTH)
        self.gated = gated

    def forward(self, features: Tensor) -> Tensor:
        """``(N, inputs, h, w)`` to the concatenation ``(N, channels, h, w)``."""
        branches = [branch(features) for branch in self.branches]
        if self.gated:
            branches[-1] = branches[-1] * branches[0]
        return torch.cat(branches, dim=1)
