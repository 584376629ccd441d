"""Losses that are a mean over pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
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
        return self.pixels(logits, labels).sum() / self._count(labels)

    def _count(self, labels: Tensor) -> Tensor:
        return (labels != self.ignore_index).sum().clamp(min=1)


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
        """Losses ``(N, H, W)`` of logits ``(N, K, H, W)``, 0 where unlabelled."""
        logits, weights = full_precision(logits), self.class_weights
        return functional.cross_entropy(
            logits,
            labels,
            weight=None if weights is None else weights.to(logits.dtype),
            ignore_index=self.ignore_index,
            reduction="none",
        )

    def _count(self, labels: Tensor) -> Tensor:
        if self.class_weights is None:
            return super()._count(labels)
        known = labels[labels != self.ignore_index]
        whole = self.class_weights[known].sum()
        return whole.where(whole > 0, 1)


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


def median_frequency_weights(pixels: Sequence[int], rare: Sequence[int] = ()) -> list[float]:
    """Weights ``median(f) / f_c`` of classes by their pixel counts (Eigen and Fergus 2015).

    Args:
        pixels: Labelled pixels of each class.
        rare: Classes left out of the median, which get the smallest weight of the others (the
            NPALoss paper's clutter).

    Returns:
        One weight for each class, 0 for a class without pixels.

    Raises:
        OptionError: If no class is left.
    """
    common = [c for c, count in enumerate(pixels) if count > 0 and c not in rare]
    if not common:
        raise OptionError("no class has pixels to weight by", got=list(pixels))
    median = float(torch.tensor([float(pixels[c]) for c in common]).quantile(0.5))
    weights = {c: median / pixels[c] for c in common}
    least = min(weights.values())
    return [weights.get(c, least if c in rare else 0.0) for c in range(len(pixels))]


def full_precision(logits: Tensor) -> Tensor:
    """Logits in float32, or float64 if they are: sums over a batch are too long for less."""
    return logits if logits.dtype == torch.float64 else logits.float()


def check_word(what: str, word: str, words: tuple[str, ...]) -> None:
    """Refuse an option that is none of the words there are."""
    if word not in words:
        raise OptionError(f"unusable {what}", expected=" or ".join(words), got=word)
