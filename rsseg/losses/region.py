"""Losses that compare regions, not single pixels."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from rsseg.errors import OptionError
from rsseg.legend import NODATA
from rsseg.losses.pixel import check_word, full_precision

_SORTED_AT_ONCE = 1 << 23
Scope = Literal["batch", "image"]
Classes = Literal["present", "all"]


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
        """Scalar loss, at least in float32; 0 with a graph if no pixel is labelled.

        Raises:
            OptionError: If a label is no class.
        """
        labels = labels.flatten()
        labelled = labels != self.ignore_index
        present = torch.unique(labels[labelled])
        if present.numel() == 0:
            return full_precision(logits).sum() * 0
        if present[0] < 0 or present[-1] >= logits.shape[1]:
            raise OptionError(
                "unusable label", expected=f"0 to {logits.shape[1] - 1}", got=present.tolist()
            )
        scores = full_precision(logits).softmax(dim=1).movedim(1, 0).flatten(1)
        loss = scores.new_zeros(())
        # A few classes at once use all cores, all of them at once too much memory.
        for some in present.split(max(1, _SORTED_AT_ONCE // labels.numel())):
            member = labels == some[:, None]
            # An unlabelled pixel has no error, so it comes last and weighs nothing.
            errors = (member.to(scores.dtype) - scores[some]).abs() * labelled
            loss = loss + (errors * _jaccard_steps(errors.detach(), member)).sum()
        return loss / len(present)


class OverlapLoss(nn.Module):
    """Base of losses that are 1 - a mean overlap of classes.

    Args:
        scope: Whether sums are over the ``batch`` or over each ``image``.
        classes: Whether the mean is over classes ``present`` in the labels of that scope, or all.
        eps: Added to the denominator.
        ignore_index: Label of pixels that do not count.

    Raises:
        OptionError: If scope or classes is another word.
    """

    def __init__(
        self,
        scope: Scope = "batch",
        classes: Classes = "present",
        eps: float = 1e-6,
        ignore_index: int = NODATA,
    ) -> None:
        super().__init__()
        check_word("scope", scope, get_args(Scope))
        check_word("classes", classes, get_args(Classes))
        self.scope, self.classes, self.eps, self.ignore_index = scope, classes, eps, ignore_index

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss, at least in float32; 0 with a graph if no pixel is labelled.

        Images without a labelled pixel do not count.
        """
        both, scores, truth = self._sums(logits, labels)
        part, whole = self.overlap(both, scores, truth)
        whole = whole + self.eps
        overlaps = part / whole.where(whole > 0, 1)
        if self.classes == "present":
            counted = truth > 0
        else:
            counted = (truth.sum(dim=1, keepdim=True) > 0).expand_as(truth)
        return ((1 - overlaps) * counted).sum() / counted.sum().clamp(min=1)

    def overlap(self, both: Tensor, scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Numerator and denominator from the sums of p y, p and y."""
        raise NotImplementedError

    def _sums(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sums ``(N, K)`` over the labelled pixels of p y, p and y; N is 1 for the batch."""
        labelled = labels != self.ignore_index
        classes = labels.masked_fill(~labelled, 0).flatten(1)
        scores = full_precision(logits).softmax(dim=1).flatten(2)
        counted = labelled.flatten(1).to(scores.dtype)
        own = scores.gather(1, classes[:, None])[:, 0] * counted
        zeros = scores.new_zeros(scores.shape[:2])
        sums = [
            zeros.scatter_add(1, classes, own),
            (scores @ counted[:, :, None])[:, :, 0],
            zeros.scatter_add(1, classes, counted),
        ]
        if self.scope == "batch":
            sums = [each.sum(0, keepdim=True) for each in sums]
        return sums[0], sums[1], sums[2]


class DiceLoss(OverlapLoss):
    """Soft Dice, 1 - mean of ``2 sum(p y) / (sum(p) + sum(y))`` (Milletari et al. 2016)."""

    def overlap(self, both: Tensor, scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Numerator and denominator from the sums of p y, p and y."""
        return 2 * both, scores + truth


class IoULoss(OverlapLoss):
    """Soft IoU, 1 - mean of ``sum(p y) / sum(p + y - p y)``.

    With ``scope="image", classes="all", eps=0`` it is the alpine paper's code, where a class absent
    from an image scores 0: a perfect prediction of m of K classes then has the loss 1 - m / K.
    """

    def overlap(self, both: Tensor, scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Numerator and denominator from the sums of p y, p and y."""
        return both, scores + truth - both


def _jaccard_steps(errors: Tensor, member: Tensor) -> Tensor:
    """How much each class's Jaccard loss grows with each pixel, taken by descending error.

    Args:
        errors: ``(K, P)``.
        member: Whether the pixels are of the class, ``(K, P)``.
    """
    order = errors.argsort(dim=1, descending=True)
    hits = member.gather(1, order).cumsum(1)
    ranks = torch.arange(1, member.shape[1] + 1, device=member.device)
    total = hits[:, -1:]
    exact = torch.float32 if errors.device.type == "mps" else torch.float64  # which MPS lacks
    jaccard = 1 - (total - hits).to(exact) / (total + ranks - hits)
    steps = jaccard.diff(dim=1, prepend=jaccard.new_zeros(len(member), 1))
    return torch.empty_like(errors).scatter_(1, order, steps.to(errors.dtype))
