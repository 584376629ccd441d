"""Losses that compare regions, not single pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsseg.legend import NODATA


class LovaszSoftmaxLoss(nn.Module):
    """The Lovasz extension of 1 - mean IoU (Berman, Triki and Blaschko 2018, Algorithm 1).

    The mean is over the classes present in the labels of the whole batch. All classes are sorted
    in one call, which runs on all cores.

    Args:
        ignore_index: Label of pixels that do not count.
    """

    def __init__(self, ignore_index: int = NODATA) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss in float32; 0 with a graph if no pixel is labelled."""
        labelled = (labels != self.ignore_index).flatten()
        present = torch.unique(labels.flatten()[labelled])
        if present.numel() == 0:
            return logits.float().sum() * 0
        scores = logits.float().softmax(dim=1).movedim(1, 0).flatten(1)[present]
        member = labels.flatten() == present[:, None]
        # An unlabelled pixel has no error, so it comes last and weighs nothing.
        errors = (member.float() - scores).abs() * labelled
        errors, order = errors.sort(dim=1, descending=True)
        steps: Tensor = errors * _jaccard_steps(member.gather(1, order))
        return steps.sum(dim=1).mean()


def _jaccard_steps(member: Tensor) -> Tensor:
    """How much each class's Jaccard loss grows with each pixel, by descending error.

    Args:
        member: Whether the pixels are of the class, in order, ``(K, P)``.
    """
    hits = member.cumsum(1)
    ranks = torch.arange(1, member.shape[1] + 1, device=member.device)
    total = hits[:, -1:]
    jaccard = 1 - (total - hits).double() / (total + ranks - hits)
    return jaccard.diff(dim=1, prepend=jaccard.new_zeros(len(member), 1)).float()
