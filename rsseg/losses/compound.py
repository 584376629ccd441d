"""Sums of losses."""

from __future__ import annotations

from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn

from rsseg.errors import OptionError
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

    Raises:
        OptionError: If ``warm_up`` is no number of calls.
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
        if not isinstance(warm_up, int) or warm_up < 0:
            raise OptionError("unusable warm_up", expected="a whole number from 0", got=warm_up)
        self.ce = CrossEntropyLoss(ignore_index)
        self.lovasz = LovaszSoftmaxLoss(ignore_index)
        self.ce_weight, self.lovasz_weight, self.warm_up = ce_weight, lovasz_weight, warm_up
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss, at least in float32."""
        loss: Tensor = self.ce_weight * self.ce(logits, labels)
        if self.training:
            self.calls += 1
        if not self.training or int(self.calls) > self.warm_up:
            loss = loss + self.lovasz_weight * self.lovasz(logits, labels)
        return loss


class DeepSupervision(nn.Module):
    """A loss on the main logits plus a share of one on the auxiliary logits.

    Args:
        loss: For the main logits.
        weight: Of the auxiliary loss.
        aux_loss: For the auxiliary logits; None for one like ``loss``, with a state of its own.
    """

    def __init__(
        self, loss: nn.Module, weight: float = 0.4, aux_loss: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.loss, self.weight = loss, weight
        self.alike = aux_loss is None
        self.aux_loss = deepcopy(loss) if aux_loss is None else aux_loss

    def forward(
        self, outputs: Tensor | tuple[Tensor, Tensor], labels: Tensor, *given: Tensor
    ) -> Tensor:
        """Scalar loss of logits, or of main and auxiliary logits.

        Args:
            outputs: What a network gives.
            labels: Class indices ``(N, H, W)``.
            given: What else the loss takes, such as the affinity map of `NPALoss`; an auxiliary
                loss of its own does not get it.
        """
        if isinstance(outputs, Tensor):
            return cast(Tensor, self.loss(outputs, labels, *given))
        main, aux = outputs
        beside = self.aux_loss(aux, labels, *(given if self.alike else ()))
        return cast(Tensor, self.loss(main, labels, *given) + self.weight * beside)
