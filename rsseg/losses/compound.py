"""Sums of losses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsseg.legend import NODATA
from rsseg.losses.pixel import CrossEntropyLoss
from rsseg.losses.region import LovaszSoftmaxLoss


class CLLoss(nn.Module):
    """Cross-entropy plus Lovasz-Softmax (the LM-DeepLabV3+ paper, section 3.4).

    Args:
        ce_weight: Weight of the cross-entropy.
        lovasz_weight: Weight of Lovasz-Softmax.
        warm_up: Calls in training mode that use the cross-entropy alone.
        ignore_index: Label of pixels that do not count.
    """

    calls: Tensor

    def __init__(
        self,
        ce_weight: float = 1.0,
        lovasz_weight: float = 1.0,
        warm_up: int = 0,
        ignore_index: int = NODATA,
    ) -> None:
        super().__init__()
        self.ce = CrossEntropyLoss(ignore_index)
        self.lovasz = LovaszSoftmaxLoss(ignore_index)
        self.ce_weight, self.lovasz_weight, self.warm_up = ce_weight, lovasz_weight, warm_up
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss in float32."""
        loss: Tensor = self.ce_weight * self.ce(logits, labels)
        if self.training:
            self.calls += 1
        if not self.training or int(self.calls) > self.warm_up:
            loss = loss + self.lovasz_weight * self.lovasz(logits, labels)
        return loss
