"""Encoders from timm as feature pyramids, with weights from the hub or a local file."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import Tensor, nn

from rsseg.errors import BundleError, OptionError
from rsseg.models.xception import AlignedXception, OriginalXception

IMAGENET = "imagenet"
_PROBE = 64
"""Side of the image by which an encoder's maps are checked."""
_ADAPTED: dict[str, Callable[[Any, int], nn.Module]] = {
    "legacy_xception": OriginalXception,
    "xception65": AlignedXception,
}
"""timm networks that get their strides and taps from us, by timm's name."""


class Backbone(nn.Module):
    """A timm network that gives its feature maps from shallow to deep.

    Args:
        name: timm name, such as ``mobilenetv2_100``.
        bands: Input channels. For other than three the first convolution is inflated from the RGB
            weights, which repeat along the bands and are scaled to keep the sum.
        output_stride: Input pixels per pixel of the deepest map; None for the network's own.
        weights: None, ``"imagenet"``, or the path of a file in timm's layout.

    Raises:
        OptionError: If there is no such encoder, or it cannot give maps at this output stride.
        BundleError: If the weights cannot be had or do not fit.
    """

    def __init__(
        self, name: str, *, bands: int, output_stride: int | None, weights: str | None
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32, None):
            raise OptionError("unusable output stride", expected="8, 16 or 32", got=output_stride)
        self.name = name
        self.reductions, self.channels = _shapes(name, bands, output_stride)
        try:
            self.body = _build(name, bands, output_stride, weights)
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            if weights is None:
                raise
            what = "from the hub" if weights == IMAGENET else weights
            raise BundleError(
                f"the weights of {name} {what} cannot be used: {str(error).partition('. ')[0]}",
                remedy=f"pass the path of a file in timm's {name} layout instead{_source(name)}",
            ) from error

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps ``(N, channels[i], h / reductions[i], w / reductions[i])``, sizes rounded up."""
        maps: list[Tensor] = self.body(images)
        return maps

    def at(self, reduction: int) -> int:
        """The number of the first map at a reduction.

        Raises:
            OptionError: If there is none.
        """
        if reduction not in self.reductions:
            raise OptionError(
                f"the encoder {self.name} cannot be used here: it has no features at 1/{reduction}",
                got=", ".join(f"1/{each}" for each in self.reductions),
            )
        return self.reductions.index(reduction)


def _shapes(
    name: str, bands: int, output_stride: int | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Reductions and channels of an encoder's maps, seen on the meta device."""
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise OptionError(f"timm has no encoder '{name}'", expected=" or ".join(near) or None)
    try:
        with torch.device("meta"), torch.no_grad():
            body = _build(name, bands, output_stride, None).eval()
            maps = body(torch.zeros(1, bands, _PROBE, _PROBE))
    except Exception as error:  # timm refuses in its own ways, by assertions and TypeErrors too
        raise OptionError(
            f"the encoder {name} cannot be used here: no feature maps"
            + (f" at output stride {output_stride}" if output_stride else ""),
            remedy=f"timm says: {error}",
        ) from error
    reductions = tuple(_PROBE // each.shape[-1] for each in maps)
    if output_stride and (
        reductions[-1] != output_stride or maps[-1].shape[2] != maps[-1].shape[3]
    ):
        raise OptionError(
            f"the encoder {name} cannot be used here: its deepest features are wrong",
            expected=f"(N, C, h/{output_stride}, w/{output_stride})",
            got=f"{tuple(maps[-1].shape)} for {_PROBE} x {_PROBE}",
        )
    return reductions, tuple(each.shape[1] for each in maps)


def _build(name: str, bands: int, output_stride: int | None, weights: str | None) -> nn.Module:
    arguments: dict[str, Any] = {"in_chans": bands}
    if weights is not None:
        arguments["pretrained"] = True
        if weights != IMAGENET:
            arguments["pretrained_cfg_overlay"] = {"state_dict": _read_tensors(name, weights)}
    if name in _ADAPTED:
        return _ADAPTED[name](timm.create_model(name, **arguments), output_stride or 32)
    if output_stride is not None:
        arguments["output_stride"] = output_stride
    return timm.create_model(name, features_only=True, **arguments)


def _read_tensors(name: str, weights: str) -> dict[str, Tensor]:
    """The tensors of a file, which must be all of the encoder's: timm keeps silent about gaps."""
    if not Path(weights).is_file():
        raise BundleError(
            f"there are no encoder weights {weights}", expected="'imagenet' or a file"
        )
    found: dict[str, Tensor] = load_state_dict(weights, use_ema=False, weights_only=True)
    with torch.device("meta"):
        needed = timm.create_model(name, num_classes=0).state_dict().keys()
    missing = sorted(
        each for each in needed - found.keys() if not each.endswith("num_batches_tracked")
    )
    if missing:
        raise RuntimeError(f"{missing[0]} is missing")
    return found


def _source(name: str) -> str:
    """Where the file of the hub lies, for people who have another machine with a network."""
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        return ""
    repository = config.hf_hub_id.rstrip("/")
    if repository == "timm":
        repository = f"timm/{name}.{config.tag}" if config.tag else f"timm/{name}"
    return f", such as model.safetensors of https://huggingface.co/{repository}"
