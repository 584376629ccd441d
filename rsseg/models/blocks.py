"""Parts that several networks share: convolution units, resizing, ASPP, the plain head."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from rsseg.errors import OptionError


def conv_bn_relu(
    inputs: int, outputs: int, kernel: int = 1, *, dilation: int = 1, bias: bool = False
) -> nn.Sequential:
    """A convolution that keeps the size, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(
            inputs,
            outputs,
            kernel,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            bias=bias,
        ),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def resize(features: Tensor, like: Tensor, *, align_corners: bool = False) -> Tensor:
    """``(N, C, h, w)`` interpolated bilinearly to the height and width of another tensor."""
    return functional.interpolate(
        features, size=like.shape[-2:], mode="bilinear", align_corners=align_corners
    )


class ImagePooling(nn.Module):
    """The global average of a feature map through a convolution unit, spread out again."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__()
        self.project = conv_bn_relu(inputs, outputs, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, inputs, h, w)`` to ``(N, outputs, h, w)``, constant over h and w."""
        pooled = self.project(features.mean(dim=(2, 3), keepdim=True))
        spread: Tensor = pooled.expand(-1, -1, *features.shape[-2:])
        return spread


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017): five branches side by side.

    Args:
        inputs: Channels in.
        rates: Dilations of the three 3x3 branches.
        width: Channels of each branch; the output has five times as many.
        bias: Whether convolutions before batch normalisation have a bias.
    """

    def __init__(
        self, inputs: int, rates: tuple[int, int, int], *, width: int = 256, bias: bool = False
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                conv_bn_relu(inputs, width, bias=bias),
                *(conv_bn_relu(inputs, width, 3, dilation=rate, bias=bias) for rate in rates),
                ImagePooling(inputs, width, bias=bias),
            ]
        )
        self.channels = width * len(self.branches)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, inputs, h, w)`` to the concatenation ``(N, 5 * width, h, w)``."""
        return torch.cat([branch(features) for branch in self.branches], dim=1)


def dropout(share: float, *, channels: bool = False) -> nn.Module:
    """Leave out a share of values, or of whole channels, while training.

    Raises:
        OptionError: If the share is not from 0 to under 1.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1:
        raise OptionError("unusable dropout", expected="0 or more and under 1", got=share)
    return nn.Dropout2d(share) if channels else nn.Dropout(share)


def plain_head(
    inputs: int, classes: int, share: float, *, drop_channels: bool = False
) -> nn.Sequential:
    """The head of an FCN and every auxiliary head: a 3x3 unit to a quarter, dropout, 1x1."""
    return nn.Sequential(
        OrderedDict(
            reduce=conv_bn_relu(inputs, inputs // 4, 3),
            dropout=dropout(share, channels=drop_channels),
            classify=nn.Conv2d(inputs // 4, classes, 1),
        )
    )
