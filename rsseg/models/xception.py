"""The two Xceptions of the papers, from timm's, as feature pyramids at output stride 8 or 16.

Strides are moved here by hand: timm cannot dilate the original Xception, and it dilates the aligned
one at other places than the MST-DeepLabV3+ paper's.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class OriginalXception(nn.Module):
    """The 36-layer Xception (Chollet 2017), timm's ``legacy_xception``, padded in the stem.

    The code behind the LM-DeepLabV3+ paper leaves out that padding, the padding of the last two
    dilated convolutions and the last batch normalisation; this one has them.

    Args:
        body: timm's network.
        output_stride: 8, 16 or 32.
    """

    def __init__(self, body: Any, output_stride: int) -> None:
        super().__init__()
        for stem in (body.conv1, body.conv2):
            stem.padding = (1, 1)
        late, last = {32: (1, 1), 16: (1, 2), 8: (2, 4)}[output_stride]
        if output_stride == 8:
            _dilate(body.block3, 1)
        if output_stride < 32:
            for number in range(4, 12):
                _dilate(getattr(body, f"block{number}"), late)
            _dilate(body.block12, late)
            _dilate(body.conv3, last)
            _dilate(body.conv4, last)
        body.fc, body.global_pool = nn.Identity(), nn.Identity()
        self.body = body
        self.reductions = (2, 4, 8, min(16, output_stride), output_stride)
        self.channels = (64, 128, 256, 728, 2048)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Five maps: after the stem, blocks 1, 2 and 11, and at the end."""
        body = self.body
        stem = body.act2(body.bn2(body.conv2(body.act1(body.bn1(body.conv1(images))))))
        first = body.block1(stem)
        second = body.block2(first)
        middle = body.block3(second)
        for number in range(4, 12):
            middle = getattr(body, f"block{number}")(middle)
        deep = body.act3(body.bn3(body.conv3(body.block12(middle))))
        return [stem, first, second, middle, body.act4(body.bn4(body.conv4(deep)))]


class AlignedXception(nn.Module):
    """Aligned Xception-65 (Chen et al. 2018), timm's ``xception65``.

    The shallow map is the output of the second block's second separable convolution, before ReLU.
    At output stride 16 nothing is dilated, at 8 all from the fourth block on is, by 2.

    Args:
        body: timm's network.
        output_stride: 8, 16 or 32.
    """

    def __init__(self, body: Any, output_stride: int) -> None:
        super().__init__()
        if output_stride < 32:
            _dilate(body.blocks[19], 1)
        if output_stride == 8:
            _dilate(body.blocks[2], 1)
            for block in body.blocks[3:]:
                _dilate(block, 2)
        body.head = nn.Identity()
        self.body = body
        self.reductions = (2, 4, 8, min(16, output_stride), output_stride)
        self.channels = (128, 256, 728, 728, 2048)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Five maps: in blocks 1, 2 and 3 before their stride, after block 19, and at the end."""
        blocks = self.body.blocks
        features = self.body.stem(images)
        taps = []
        for block in blocks[:3]:
            tap = features
            for step in block.stack[:-2]:
                tap = step(tap)
            strided = block.stack[-1](functional.relu(tap))  # its own ReLU would change the tap
            features = strided + block.shortcut(features)
            taps.append(tap)
        middle = blocks[3:19](features)
        return [*taps, middle, self.body.act(blocks[19:](middle))]


def _dilate(module: nn.Module, rate: int) -> None:
    """Take away a part's strides and dilate its 3x3 convolutions, in place."""
    for part in list(module.modules()):
        if isinstance(part, nn.Conv2d):
            part.stride = (1, 1)
            if part.kernel_size == (3, 3):
                part.dilation, part.padding = (rate, rate), (rate, rate)
        for name, child in part.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(part, name, nn.Identity())
