"""Losses that are a mean over pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from rsseg.errors import OptionError
from rsseg.legend import NODATA


class PixelLoss(nn.Module):
    """Base of losses that give each pixel a value of its own.

    Args:
        ignore_index: Label of pixels that do not count.
    """

    def __init__(self, ignore_index: int = NODATA) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def pixels(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Losses ``(N, H, W)`` of logits ``(N, K, H, W)``, 0 where unlabelled."""
        raise NotImplementedError

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean over the labelled pixels, at least in float32; 0 with a graph if there is none."""
        count = (labels != self.ignore_index).sum().clamp(min=1)
        return self.pixels(logits, labels).sum() / count


class CrossEntropyLoss(PixelLoss):
    """Cross-entropy.

    Args:
        ignore_index: Label of pixels that do not count.
        class_weights: Weight of each class, such as `median_frequency_weights`; the mean is then
            over the sum of the weights, as in torch.
    """

    class_weights: Tensor | None

    def __init__(
        self, ignore_index: int = NODATA, class_weights: Sequence[float] | Tensor | None = None
    ) -> None:
        super().__init__(ignore_index)
        weights = None if class_weights is None else torch.as_tensor(class_weights).float()
        self.register_buffer("class_weights", weights, persistent=False)

    def pixels(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Losses ``(N, H, W)`` of logits ``(N, K, H, W)``, 0 where unlabelled.

        Raises:
            OptionError: If there is not one class weight for each class.
        """
        logits = full_precision(logits)
        weights = self._class_weights(logits)
        return functional.cross_entropy(
            logits, labels, weight=weights, ignore_index=self.ignore_index, reduction="none"
        )

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean over the labelled pixels, at least in float32; 0 with a graph if there is none.

        Raises:
            OptionError: If there is not one class weight for each class.
        """
        logits = full_precision(logits)
        labelled = labels != self.ignore_index
        classes = labels.masked_fill(~labelled, 0)
        weights, by_class = labelled.to(logits.dtype), self._class_weights(logits)
        if by_class is not None:
            weights = weights * by_class[classes]
        whole = weights.sum()
        return weighted_cross_entropy(logits, classes, weights) / whole.where(whole > 0, 1)

    def _class_weights(self, logits: Tensor) -> Tensor | None:
        if self.class_weights is None:
            return None
        if len(self.class_weights) != logits.shape[1]:
            raise OptionError(
                "there is not one class weight for each class",
                expected=logits.shape[1],
                got=len(self.class_weights),
            )
        return self.class_weights.to(logits.dtype)


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Sum over pixels of weight times cross-entropy, in one pass less than torch's own.

    Args:
        logits: ``(N, K, H, W)`` in float32 or float64.
        labels: ``(N, H, W)``, all from 0 to K - 1: where none is meant, any with weight 0.
        weights: ``(N, H, W)``, without a gradient, of the type of the logits.
    """
    total: Tensor = _WeightedCrossEntropy.apply(logits, labels, weights)
    return total


class _WeightedCrossEntropy(torch.autograd.Function):
    """Its gradient ``weight * (softmax - one-hot)`` is written once, not put together."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        logarithms = logits.log_softmax(dim=1)
        ctx.save_for_backward(logarithms, labels, weights)
        return -(logarithms.gather(1, labels[:, None])[:, 0] * weights).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        logarithms, labels, weights = ctx.saved_tensors
        weights = (weights * slope)[:, None]
        gradient = logarithms.exp().mul_(weights).scatter_add_(1, labels[:, None], -weights)
        return gradient, None, None


class FocalLoss(PixelLoss):
    """Focal loss ``-alpha (1 - p)^gamma log p`` (Lin et al. 2017) for any number of classes.

    Args:
        gamma: How strongly well-classified pixels count less; 0 is the cross-entropy.
        alpha: A factor of the whole.
        ignore_index: Label of pixels that do not count.

    Raises:
        OptionError: If gamma is negative.
    """

    def __init__(self, gamma: float = 2.0, alpha: float = 1.0, ignore_index: int = NODATA) -> None:
        super().__init__(ignore_index)
        if gamma < 0:
            raise OptionError("unusable gamma", expected="0 or more", got=gamma)
        self.gamma, self.alpha = gamma, alpha

    def pixels(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Losses ``(N, H, W)`` of logits ``(N, K, H, W)``, 0 where unlabelled."""
        entropy = functional.cross_entropy(
            full_precision(logits), labels, ignore_index=self.ignore_index, reduction="none"
        )
        # 1 - p; its slope is endless at p = 1 for gamma below 1, so it stays off 0.
        miss = (-torch.expm1(-entropy)).clamp(min=torch.finfo(entropy.dtype).eps)
        return self.alpha * miss**self.gamma * entropy


def full_precision(logits: Tensor) -> Tensor:
    """Logits in float32, or float64 if they are: sums over a batch are too long for less."""
    return logits if logits.dtype == torch.float64 else logits.float()


def check_word(what: str, word: str, words: tuple[str, ...]) -> None:
    """Refuse an option that is none of the words there are."""
    if word not in words:
        raise OptionError(f"unusable {what}", expected=" or ".join(words), got=word)
