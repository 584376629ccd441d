"""Attention over channels, strips and scales: the modules that the papers add to DeepLabV3+."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class SqueezeExcitation(nn.Module):
    """Channel weights from global averages (Hu et al. 2018), bias-free, by 1x1 convolutions.

    Convolutions, because the result of a Linear changes with the batch it stands in.

    Args:
        channels: Channels in and out.
        reduction: Ratio r of channels to the width of the bottleneck.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.excite = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, h, w)`` weighted by channel."""
        pooled = features.mean(dim=(2, 3), keepdim=True)
        weights = self.excite(functional.relu(self.squeeze(pooled)))
        weighted: Tensor = features * weights.sigmoid()
        return weighted


class EfficientChannelAttention(nn.Module):
    """Channel weights from a convolution along the channels' averages (ECA, Wang et al. 2020).

    The kernel is the odd number next to ``(log2(C) + 1) / 2``, ties going up (the LM-DeepLabV3+
    paper, equation 5): 3 for 24 channels.

    Args:
        channels: Channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        kernel = eca_kernel(channels)
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, h, w)`` weighted by channel."""
        pooled = features.mean(dim=(2, 3))
        weights = self.conv(pooled[:, None]).sigmoid()
        weighted: Tensor = features * weights[:, 0, :, None, None]
        return weighted


def eca_kernel(channels: int) -> int:
    """Kernel size of `EfficientChannelAttention`."""
    size = int(abs((math.log2(channels) + 1) / 2))
    return size if size % 2 else size + 1


class StripPooling(nn.Module):
    """A mask from averages along rows and columns (Hou et al. 2020): the LM paper's fifth branch.

    Args:
        inputs: Channels in.
        outputs: Channels of the mask.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.rows = _strip(inputs, outputs, (3, 1))
        self.columns = _strip(inputs, outputs, (1, 3))
        self.activate = nn.ReLU()
        self.mask = nn.Conv2d(outputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, inputs, h, w)`` to a mask ``(N, outputs, h, w)`` between 0 and 1."""
        rows = self.rows(features.mean(dim=3, keepdim=True))
        columns = self.columns(features.mean(dim=2, keepdim=True))
        mask: Tensor = self.mask(self.activate(rows + columns)).sigmoid()
        return mask


def _strip(inputs: int, outputs: int, kernel: tuple[int, int]) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False), nn.BatchNorm2d(outputs)
    )


class PyramidSplitAttention(nn.Module):
    """Convolutions of four sizes side by side, weighted against each other by channel (EPSA).

    Zhang et al. 2022. Each convolution sees all channels, as the LM paper's counts show (its text
    speaks of a split), and all scales share one squeeze and excitation.

    Args:
        channels: Channels in and out, a multiple of 64.
    """

    KERNELS_GROUPS = ((3, 1), (5, 4), (7, 8), (9, 16))

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // len(self.KERNELS_GROUPS)
        self.scales = nn.ModuleList(
            nn.Conv2d(channels, width, kernel, padding=kernel // 2, groups=groups, bias=False)
            for kernel, groups in self.KERNELS_GROUPS
        )
        self.weigh = nn.Sequential(
            nn.Conv2d(width, width // 16, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width // 16, width, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, h, w)`` to ``(N, C, h, w)``."""
        scales = [scale(features) for scale in self.scales]
        weights = [self.weigh(scale.mean(dim=(2, 3), keepdim=True)) for scale in scales]
        shares = torch.stack(weights, dim=1).softmax(dim=1).unbind(dim=1)
        weighted = [scale * share for scale, share in zip(scales, shares, strict=True)]
        return torch.cat(weighted, dim=1)


class EPSABlock(nn.Module):
    """The residual bottleneck around `PyramidSplitAttention`.

    Args:
        channels: Channels in and out; the bottleneck is a quarter as wide.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // 4
        self.reduce = _pointwise(channels, width)
        self.attention = nn.Sequential(PyramidSplitAttention(width), nn.BatchNorm2d(width))
        self.expand = _pointwise(width, channels)
        self.activate = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, h, w)`` to ``(N, C, h, w)``."""
        reduced = self.activate(self.reduce(features))
        attended = self.activate(self.attention(reduced))
        return cast(Tensor, self.activate(features + self.expand(attended)))


def _pointwise(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
