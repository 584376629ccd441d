"""Losses of logits ``(N, K, H, W)`` against int64 labels ``(N, H, W)`` with 255 for none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from rsseg.errors import OptionError
from rsseg.losses.affinity import neighbouring_pixel_affinity
from rsseg.losses.compound import CLLoss, DeepSupervision
from rsseg.losses.npa import NPALoss
from rsseg.losses.pixel import CrossEntropyLoss, FocalLoss, PixelLoss, median_frequency_weights
from rsseg.losses.region import DiceLoss, IoULoss, LovaszSoftmaxLoss

__all__ = [
    "BUILDERS",
    "CLLoss",
    "CrossEntropyLoss",
    "DeepSupervision",
    "DiceLoss",
    "FocalLoss",
    "IoULoss",
    "LovaszSoftmaxLoss",
    "NPALoss",
    "PixelLoss",
    "create",
    "median_frequency_weights",
    "neighbouring_pixel_affinity",
]

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "cl": CLLoss,
    "cross-entropy": CrossEntropyLoss,
    "dice": DiceLoss,
    "focal": FocalLoss,
    "iou": IoULoss,
    "lovasz-softmax": LovaszSoftmaxLoss,
    "npa": NPALoss,
}
"""Builder by name."""


def create(name: str, **options: Any) -> nn.Module:
    """A loss by name.

    Raises:
        OptionError: If the name or an option is unknown.
    """
    if name not in BUILDERS:
        raise OptionError(f"there is no loss '{name}'", expected=" or ".join(sorted(BUILDERS)))
    try:
        return BUILDERS[name](**options)
    except TypeError as error:
        raise OptionError(f"the loss {name} does not take these options: {error}") from error
