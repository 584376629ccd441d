"""Losses of logits ``(N, K, H, W)`` against int64 labels ``(N, H, W)`` with 255 for none."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from rsseg.class_weights import median_frequency_weights
from rsseg.errors import OptionError
from rsseg.losses.affinity import neighbouring_pixel_affinity
from rsseg.losses.compound import CLLoss, DeepSupervision
from rsseg.losses.npa import NPALoss
from rsseg.losses.pixel import CrossEntropyLoss, FocalLoss, PixelLoss
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
        near = difflib.get_close_matches(name, BUILDERS, n=2) or sorted(BUILDERS)
        raise OptionError(f"there is no loss '{name}'", expected=" or ".join(near))
    known = list(inspect.signature(BUILDERS[name]).parameters)
    for key in options:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1) or known
            raise OptionError(f"the loss {name} has no option '{key}'", expected=", ".join(near))
    return BUILDERS[name](**options)
