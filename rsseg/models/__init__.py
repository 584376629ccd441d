"""Networks by name: ``create``, ``load``, ``save``. All return logits at input size."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from rsseg.errors import OptionError
from rsseg.models.deeplab import DeepLabV3Plus, LMDeepLabV3Plus
from rsseg.models.heads import deeplabv3, fcn, pspnet
from rsseg.models.mst import MSTDeepLabV3Plus
from rsseg.models.start import COCO
from rsseg.models.unet import PretrainedUNet, UNet
from rsseg.models.weights import load, save

__all__ = ["BUILDERS", "create", "defaults", "load", "save"]

_ENCODERS = {
    "xception": "legacy_xception",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "mobilenetv2": "mobilenetv2_100",
}

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "mst-deeplabv3plus": MSTDeepLabV3Plus,
    "deeplabv3plus-xception65": partial(MSTDeepLabV3Plus, encoder="xception65", attention=False),
    "deeplabv3plus-mobilenetv2-mst": partial(MSTDeepLabV3Plus, attention=False),
    "pspnet-resnet101-deepstem": partial(
        pspnet,
        encoder="resnet101s",
        output_stride=16,
        align_corners=True,
        drop_channels=True,
    ),
    "unet-vgg16": PretrainedUNet,
    "lm-deeplabv3plus": LMDeepLabV3Plus,
    **{f"deeplabv3-{n}": partial(deeplabv3, encoder=timm) for n, timm in _ENCODERS.items()},
    **{f"deeplabv3plus-{n}": partial(DeepLabV3Plus, encoder=timm) for n, timm in _ENCODERS.items()},
    "unet": UNet,
    "unet-small": partial(UNet, widths=(32, 64, 128, 256)),
    "fcn-resnet101": fcn,
    "fcn-dilated-resnet101": partial(fcn, output_stride=8),
    "pspnet-resnet101": pspnet,
}
"""Builder by architecture name; `rsseg.catalog` has a card of each."""


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
            of a file in timm's layout. FCN and DeepLabV3 on ResNets also take ``"coco"`` or the
            path of torchvision's file: all but the last layers start from those.
        output_stride: Input pixels per pixel of the deepest feature; None for the paper's.
        aux: Whether to add an auxiliary head, where the architecture has one.
        encoder: A timm encoder in place of the architecture's own, where it can take another.
        options: Further arguments of the architecture.

    Raises:
        OptionError: If the name or an option is unknown, of a wrong type or out of range.
        BundleError: If the weights cannot be had or do not fit.
    """
    builder = _builder(name)
    if classes < 1 or bands < 1:
        raise OptionError(
            "a network needs at least one class and band", got=f"{classes} and {bands}"
        )
    given = {"output_stride": output_stride, "aux": aux or None, "encoder": encoder}
    options |= {key: value for key, value in given.items() if value is not None}
    known = defaults(name)
    for key in options.keys() - known:
        near = difflib.get_close_matches(key, known, n=1) or list(known)
        raise OptionError(f"{name} has no option '{key}'", expected=", ".join(near))
    for key, value in options.items():
        _check_type(name, key, value, known[key])
    if weights == COCO and name.partition("-")[0] not in ("deeplabv3", "fcn"):
        raise OptionError(
            f"{name} has no weights 'coco'",
            remedy="deeplabv3-resnet50, deeplabv3-resnet101, fcn-resnet101 and "
            "fcn-dilated-resnet101 have them",
        )
    return builder(classes=classes, bands=bands, weights=weights, **options)


def defaults(name: str) -> dict[str, Any]:
    """The architecture's own options and their defaults.

    Raises:
        OptionError: If there is no such architecture.
    """
    parameters = inspect.signature(_builder(name)).parameters
    return {
        key: parameter.default
        for key, parameter in parameters.items()
        if key not in ("classes", "bands", "weights")
    }


def _builder(name: str) -> Callable[..., nn.Module]:
    if name not in BUILDERS:
        near = difflib.get_close_matches(name, BUILDERS, n=3) or sorted(BUILDERS)
        raise OptionError(f"there is no architecture '{name}'", expected=" or ".join(near))
    return BUILDERS[name]


def _check_type(name: str, key: str, value: Any, default: Any) -> None:
    """Refuse an option of another type than its default; what has none is the builder's to check.

    A list is as good as a tuple, because JSON and YAML have only lists, and 0 as good as 0.0.
    """
    kinds: dict[type, tuple[type, ...]] = {float: (int, float), tuple: (list, tuple)}
    kind = type(default)
    if default is None or (
        isinstance(value, kinds.get(kind, (kind,))) and isinstance(value, bool) == (kind is bool)
    ):
        return
    words = {bool: "true or false", int: "an integer", float: "a number", tuple: "numbers"}
    raise OptionError(
        f"unusable {key} for {name}", expected=words.get(kind, "a name"), got=repr(value)
    )
