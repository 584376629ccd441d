"""NPALoss: a loss of pixels, weighted by how many of each one's neighbours are of another class."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rsseg import affinity as on_numpy
from rsseg.errors import OptionError
from rsseg.legend import NODATA
from rsseg.losses.affinity import neighbouring_pixel_affinity
from rsseg.losses.pixel import (
    CrossEntropyLoss,
    FocalLoss,
    PixelLoss,
    check_word,
    full_precision,
    weighted_cross_entropy,
)

Transform = Literal["log10", "ln", "norm"]
Reduction = Literal["mean", "weighted_mean", "paper"]
_BASES = {"log10": 10.0, "ln": math.e}
_PIXEL_LOSSES: dict[str, type[PixelLoss]] = {
    "cross-entropy": CrossEntropyLoss,
    "focal": FocalLoss,
}


class NPALoss(nn.Module):
    """Neighbouring-pixel affinity loss (Feng et al. 2020, equations 1-4).

    A pixel's weight grows with the count A of differing pixels in the window around it:
    ``log_a(A + a^offset)``, at least the offset, or ``(A - min) / (max - min) + offset`` by image.

    When scores are held against the paper's: its means are over five of the six classes, and in its
    Table 3 two mean IoU do not follow from the F1 beside them: the dilated FCN's 80.70 is 80.25 by
    its F1, PSPNet's 80.83 is 80.70. The F1 are the safer ones to compare with.

    Args:
        search_region: Radius k of the window in pixels.
        transform: From counts to weights: ``log10``, ``ln`` or ``norm``.
        offset: The smallest weight L.
        ignore_index: Label of pixels that do not count.
        reduction: ``mean`` over the labelled pixels; ``weighted_mean`` over the sum of weights;
            ``paper`` divides by the number of images alone, as equation 4 is printed: a sum over
            pixels, far too large for the paper's learning rate.
        ignore_neighbour: Whether an unlabelled neighbour is left out (``neutral``) or ``differs``.
        pixel_loss: What is weighted: None for the cross-entropy, ``"focal"``, or any `PixelLoss`.

    Raises:
        OptionError: If an option is out of range.
    """

    def __init__(
        self,
        search_region: int = 32,
        transform: Transform = "log10",
        offset: float = 0.5,
        ignore_index: int = NODATA,
        reduction: Reduction = "mean",
        ignore_neighbour: on_numpy.IgnoreNeighbour = "neutral",
        pixel_loss: PixelLoss | str | None = None,
    ) -> None:
        super().__init__()
        on_numpy.check_window(search_region, ignore_neighbour)
        check_word("transform", transform, get_args(Transform))
        check_word("reduction", reduction, get_args(Reduction))
        if not 0 <= offset < math.inf:
            raise OptionError("unusable offset", expected="a number from 0", got=offset)
        if not isinstance(pixel_loss, PixelLoss):
            name = "cross-entropy" if pixel_loss is None else pixel_loss
            check_word("pixel_loss", name, tuple(_PIXEL_LOSSES))
            pixel_loss = _PIXEL_LOSSES[name](ignore_index=ignore_index)
        if pixel_loss.ignore_index != ignore_index:
            raise OptionError(
                "the weighted loss ignores another label",
                expected=ignore_index,
                got=pixel_loss.ignore_index,
            )
        self.search_region, self.transform, self.offset = search_region, transform, offset
        self.ignore_index, self.reduction = ignore_index, reduction
        self.ignore_neighbour, self.pixel_loss = ignore_neighbour, pixel_loss
        self._plain = type(pixel_loss) is CrossEntropyLoss and pixel_loss.class_weights is None

    def forward(self, logits: Tensor, labels: Tensor, affinity: Tensor | None = None) -> Tensor:
        """Scalar loss, at least in float32; 0 with a graph if no pixel is labelled.

        Args:
            logits: ``(N, K, H, W)``.
            labels: ``(N, H, W)``.
            affinity: The affinity map ``(N, H, W)`` of the labels, if at hand, such as from the
                workers of a loader (see `label_transform`).
        """
        logits = full_precision(logits)
        weights = self.weights(labels, affinity, classes=logits.shape[1]).to(logits.dtype)
        if self._plain:
            total = weighted_cross_entropy(
                logits, labels.masked_fill(labels == self.ignore_index, 0), weights
            )
        else:
            total = (weights * self.pixel_loss.pixels(logits, labels)).sum()
        if self.reduction == "paper":
            return total / len(labels)
        if self.reduction == "weighted_mean":
            whole = weights.sum()
            return total / whole.where(whole > 0, 1)
        return total / (labels != self.ignore_index).sum().clamp(min=1)

    @torch.no_grad()
    def weights(
        self, labels: Tensor, affinity: Tensor | None = None, *, classes: int | None = None
    ) -> Tensor:
        """Weights ``(N, H, W)`` in float32, 0 where unlabelled."""
        if affinity is None:
            affinity = neighbouring_pixel_affinity(
                labels,
                self.search_region,
                self.ignore_index,
                self.ignore_neighbour,
                classes=classes,
            )
        ignored = labels == self.ignore_index
        return self._transformed(affinity, ignored).masked_fill_(ignored, 0)

    def mean_weight(self, labels: Tensor, affinity: Tensor | None = None) -> Tensor:
        """Mean weight of the labelled pixels, a scalar; 0 if there are none.

        With the reduction ``mean`` it multiplies the learning rate, so transforms and offsets that
        differ in it also learn at different speeds.
        """
        labelled = (labels != self.ignore_index).sum().clamp(min=1)
        return self.weights(labels, affinity).sum() / labelled

    def label_transform(self) -> Callable[[npt.NDArray[np.integer[Any]]], npt.NDArray[np.int32]]:
        """What gives the affinity map ``(H, W)`` of a label, for the workers of a loader."""
        return partial(
            on_numpy.neighbouring_pixel_affinity,
            k=self.search_region,
            ignore_index=self.ignore_index,
            ignore_neighbour=self.ignore_neighbour,
        )

    def _transformed(self, counts: Tensor, ignored: Tensor) -> Tensor:
        if self.transform != "norm":
            base = _BASES[self.transform]
            logarithms: Tensor = (counts + base**self.offset).log_()
            return logarithms.div_(math.log(base))
        low = counts.masked_fill(ignored, torch.iinfo(counts.dtype).max).amin((1, 2), keepdim=True)
        high = counts.amax((1, 2), keepdim=True)  # counts are 0 where ignored
        span = (high - low).clamp(min=0)
        shares: Tensor = (counts - low) / span.clamp(min=1)
        return shares + self.offset
