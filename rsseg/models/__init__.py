"""Networks by name: ``create``, ``load``, ``save``. All return logits at input size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from rsseg.errors import OptionError
from rsseg.models.mst import MSTDeepLabV3Plus
from rsseg.models.weights import load, save

__all__ = ["BUILDERS", "create", "load", "save"]

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "mst-deeplabv3plus": MSTDeepLabV3Plus,
}
"""Builder by architecture name."""


def create(
    name: str,
    *,
    classes: int,
    bands: int = 3,
    weights: str | None = None,
    output_stride: int | None = None,
    aux: bool = False,
    encoder: str | None = None,
    **options: Any,
) -> nn.Module:
    """A network that maps ``(N, bands, h, w)`` to logits ``(N, classes, h, w)``, any h, w >= 1.

    Args:
        name: Architecture, one of `BUILDERS`.
        classes: Number of output channels.
        bands: Number of input channels.
        weights: Start of the encoder: None (random), ``"imagenet"`` (from the hub) or the path
            of a file with the encoder's tensors.
        output_stride: Input pixels per pixel of the deepest feature; None for the paper's.
        aux: Whether to add an auxiliary head, where the architecture has one.
        encoder: A timm encoder in place of the architecture's own, where it can take another.
        options: Further arguments of the architecture.

    Raises:
        OptionError: If the name or an option is unknown, or a number out of range.
    """
    if name not in BUILDERS:
        raise OptionError(
            f"there is no architecture '{name}'", expected=" or ".join(sorted(BUILDERS))
        )
    if classes < 1 or bands < 1:
        raise OptionError(
            "a network needs at least one class and band", got=f"{classes} and {bands}"
        )
    given = {"output_stride": output_stride, "aux": aux or None, "encoder": encoder}
    options |= {key: value for key, value in given.items() if value is not None}
    try:
        return BUILDERS[name](classes=classes, bands=bands, weights=weights, **options)
    except TypeError as error:
        raise OptionError(f"{name} does not take these options: {error}") from error
