"""Losses that compare regions, not single pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsseg.legend import NODATA


class LovaszSoftmaxLoss(nn.Module):
    """The Lovasz extension of 1 - mean IoU (Berman, Triki and Blaschko 2018, Algorithm 1).

    The mean is over the classes present in the labels of the whole batch.

    Args:
        ignore_index: Label of pixels that do not count.
    """

    def __init__(self, ignore_index: int = NODATA) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss in float32; 0 with a graph if no pixel is labelled."""
        labelled = labels != self.ignore_index
        scores = logits.float().softmax(dim=1).movedim(1, -1)[labelled]
        truth = labels[labelled]
        if truth.numel() == 0:
            return logits.float().sum() * 0
        losses = [
            _class_loss(scores[:, index], truth == index) for index in torch.unique(truth).tolist()
        ]
        return torch.stack(losses).mean()


def _class_loss(scores: Tensor, member: Tensor) -> Tensor:
    """Loss of one class from its probabilities ``(P,)`` and its pixels ``(P,)``."""
    errors, order = (member.float() - scores).abs().sort(descending=True)
    return errors @ _jaccard_steps(member[order])


def _jaccard_steps(member: Tensor) -> Tensor:
    """How much the Jaccard loss grows with each pixel, in order of descending error."""
    hits = member.double().cumsum(0)
    others = (~member).double().cumsum(0)
    jaccard = 1 - (hits[-1] - hits) / (hits[-1] + others)
    return jaccard.diff(prepend=jaccard.new_zeros(1)).float()
