"""Heads on the deepest map of an encoder, and the network that has one."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from rsseg.errors import OptionError
from rsseg.models.backbones import Backbone
from rsseg.models.blocks import ASPP, conv_bn_relu, plain_head, resize
from rsseg.models.blocks import dropout as dropout_layer
from rsseg.models.pretrained import load_whole_network, open_weights

ASPP_RATES = {16: (6, 12, 18), 8: (12, 24, 36)}
"""Dilations of the ASPP by output stride."""
_AUX_DROPOUT = 0.1
_PYRAMID_WIDTH = 512


class EncoderHead(nn.Module):
    """An encoder, a head on its deepest map, and if asked for an auxiliary head one stage before.

    Args:
        encoder: The feature pyramid.
        head: From the deepest map to logits.
        aux_classes: Output channels of the auxiliary head; None for no such head.
        align_corners: How logits are interpolated to the size of the image.
        drop_channels: Whether the auxiliary head leaves out channels, not single values.
    """

    def __init__(
        self,
        encoder: Backbone,
        head: nn.Module,
        aux_classes: int | None = None,
        *,
        align_corners: bool = False,
        drop_channels: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.align_corners = encoder, head, align_corners
        self.aux = (
            None
            if aux_classes is None
            else plain_head(
                encoder.channels[-2], aux_classes, _AUX_DROPOUT, drop_channels=drop_channels
            )
        )

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Logits ``(N, K, h, w)``; while training with an auxiliary head also that head's."""
        maps = self.encoder(images)
        logits = resize(self.head(maps[-1]), images, align_corners=self.align_corners)
        if self.aux is None or not self.training:
            return logits
        return logits, resize(self.aux(maps[-2]), images, align_corners=self.align_corners)


def fcn(
    *,
    classes: int,
    bands: int = 3,
    weights: str | None = None,
    encoder: str = "resnet101",
    output_stride: int = 32,
    aux: bool = False,
    dropout: float = 0.1,
) -> EncoderHead:
    """FCN (Long et al. 2015) with a 3x3 head; dilated where the output stride is under 32.

    Args:
        classes: Output channels.
        bands: Input channels.
        weights: Start of the encoder or of all, see `rsseg.models.create`.
        encoder: A timm encoder.
        output_stride: 32, 16 or 8.
        aux: Whether to add an auxiliary head.
        dropout: Share of values left out in the head.

    Raises:
        OptionError: If an option is out of range, or the encoder cannot be dilated so.
        BundleError: If the weights cannot be had or do not fit.
    """
    start, whole = open_weights(weights, "fcn", encoder)
    backbone = Backbone(encoder, bands=bands, output_stride=output_stride, weights=start)
    head = plain_head(backbone.channels[-1], classes, dropout)
    network = EncoderHead(backbone, head, classes if aux else None)
    if whole:
        load_whole_network(network, "fcn", encoder, whole)
    return network


def deeplabv3(
    *,
    classes: int,
    bands: int = 3,
    weights: str | None = None,
    encoder: str = "resnet50",
    output_stride: int = 16,
    aux: bool = False,
    dropout: float = 0.1,
) -> EncoderHead:
    """DeepLabV3 (Chen et al. 2017): ASPP, merge to 256 channels, dropout, 3x3 unit, 1x1.

    Args:
        classes: Output channels.
        bands: Input channels.
        weights: Start of the encoder or of all, see `rsseg.models.create`.
        encoder: A timm encoder.
        output_stride: 16 or 8 (dilations double).
        aux: Whether to add an auxiliary head.
        dropout: Share of values left out after the ASPP.

    Raises:
        OptionError: If an option is out of range, or the encoder cannot be dilated so.
        BundleError: If the weights cannot be had or do not fit.
    """
    rates = aspp_rates(output_stride)
    start, whole = open_weights(weights, "deeplabv3", encoder)
    backbone = Backbone(encoder, bands=bands, output_stride=output_stride, weights=start)
    aspp = ASPP(backbone.channels[-1], rates)
    head = nn.Sequential(
        OrderedDict(
            aspp=aspp,
            merge=conv_bn_relu(aspp.channels, 256),
            dropout=dropout_layer(dropout),
            fuse=conv_bn_relu(256, 256, 3),
            classify=nn.Conv2d(256, classes, 1),
        )
    )
    network = EncoderHead(backbone, head, classes if aux else None)
    if whole:
        load_whole_network(network, "deeplabv3", encoder, whole)
    return network


def pspnet(
    *,
    classes: int,
    bands: int = 3,
    weights: str | None = None,
    encoder: str = "resnet101",
    output_stride: int = 8,
    aux: bool = False,
    dropout: float = 0.1,
    drop_channels: bool = False,
    align_corners: bool = False,
) -> EncoderHead:
    """PSPNet (Zhao et al. 2017): pyramid pooling over 1, 2, 3 and 6 bins, 512 channels wide.

    Args:
        classes: Output channels.
        bands: Input channels.
        weights: Start of the encoder, see `rsseg.models.create`.
        encoder: A timm encoder.
        output_stride: 32, 16 or 8.
        aux: Whether to add an auxiliary head.
        dropout: Share left out in the head; an auxiliary head leaves out a tenth.
        drop_channels: Whether dropout leaves out whole channels, not single values.
        align_corners: How maps and logits are interpolated.

    Raises:
        OptionError: If an option is out of range, or the encoder cannot be dilated so.
        BundleError: If the weights cannot be had or do not fit.
    """
    backbone = Backbone(encoder, bands=bands, output_stride=output_stride, weights=weights)
    pyramid = PyramidPooling(backbone.channels[-1], align_corners=align_corners)
    head = nn.Sequential(
        OrderedDict(
            pyramid=pyramid,
            merge=conv_bn_relu(pyramid.channels, _PYRAMID_WIDTH, 3),
            dropout=dropout_layer(dropout, channels=drop_channels),
            classify=nn.Conv2d(_PYRAMID_WIDTH, classes, 1),
        )
    )
    return EncoderHead(
        backbone,
        head,
        classes if aux else None,
        align_corners=align_corners,
        drop_channels=drop_channels,
    )


def aspp_rates(output_stride: int) -> tuple[int, int, int]:
    """Dilations of the ASPP.

    Raises:
        OptionError: If the output stride is neither 16 nor 8.
    """
    if output_stride not in ASPP_RATES:
        raise OptionError("unusable output stride", expected="16 or 8", got=output_stride)
    return ASPP_RATES[output_stride]


class PyramidPooling(nn.Module):
    """Averages over 1, 2, 3 and 6 bins a side, projected, spread out and put beside the input.

    Args:
        inputs: Channels in; the output has `channels`.
        align_corners: How the averages are interpolated.
    """

    BINS = (1, 2, 3, 6)

    def __init__(self, inputs: int, *, align_corners: bool = False) -> None:
        super().__init__()
        self.projections = nn.ModuleList(conv_bn_relu(inputs, _PYRAMID_WIDTH) for _ in self.BINS)
        self.align_corners = align_corners
        self.channels = inputs + _PYRAMID_WIDTH * len(self.BINS)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, inputs, h, w)`` to ``(N, channels, h, w)``."""
        levels = [
            resize(project(_pooled(features, bins)), features, align_corners=self.align_corners)
            for project, bins in zip(self.projections, self.BINS, strict=True)
        ]
        return torch.cat([features, *levels], dim=1)


def _pooled(features: Tensor, bins: int) -> Tensor:
    """Adaptive average pooling ``(N, C, bins, bins)`` as products with two averaging matrices.

    It exports with free height and width, and its gradient is deterministic on every device.
    """
    rows, columns = (_averaging(features.shape[axis], bins, features) for axis in (-2, -1))
    return rows @ features @ columns.transpose(-2, -1)


def _averaging(size: int, bins: int, like: Tensor) -> Tensor:
    """The matrix ``(bins, size)`` that averages each bin, as adaptive pooling lays them."""
    cells = torch.arange(size, device=like.device)
    bin_ = torch.arange(bins, device=like.device)[:, None]
    inside = (cells >= bin_ * size // bins) & (cells < ((bin_ + 1) * size + bins - 1) // bins)
    return inside.to(like.dtype) / inside.sum(dim=1, keepdim=True).to(like.dtype)
