"""Losses that are a mean over pixels."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from rsseg.legend import NODATA


class CrossEntropyLoss(nn.Module):
    """Mean cross-entropy over the labelled pixels; 0 with a graph if there is none.

    Args:
        ignore_index: Label of pixels that do not count.
    """

    def __init__(self, ignore_index: int = NODATA) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss in float32."""
        total = functional.cross_entropy(
            logits.float(), labels, ignore_index=self.ignore_index, reduction="sum"
        )
        return total / (labels != self.ignore_index).sum().clamp(min=1)
