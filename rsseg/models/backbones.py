"""Encoders from timm as feature pyramids, with weights from the hub or a local file."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import timm
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from rsseg.errors import BundleError, OptionError
from rsseg.models.start import Start, misfit, opened
from rsseg.models.xception import AlignedXception, OriginalXception

_PROBE = 64
"""Side of the image by which an encoder's maps are checked."""
_ADAPTED: dict[str, Callable[[Any, int], nn.Module]] = {
    "legacy_xception": OriginalXception,
    "xception65": AlignedXception,
}
"""timm networks that get their strides and taps from us, by timm's name."""
_TIMM_LOG = logging.getLogger("timm.models._builder")


class Shapes(NamedTuple):
    """What an encoder gives, from shallow to deep.

    Args:
        reductions: Input pixels per pixel of each map.
        channels: Channels of each map.
        least: Side of the smallest image it takes.
    """

    reductions: tuple[int, ...]
    channels: tuple[int, ...]
    least: int = 1


class Backbone(nn.Module):
    """A timm network that gives its feature maps from shallow to deep.

    Some encoders, such as ConvNeXt, cut images into patches without padding and so take none
    smaller than a patch, and drop what is over at the edge. For those an image is continued at the
    bottom and right up to the least side, and their maps are cut or continued likewise.

    Args:
        name: timm name, such as ``mobilenetv2_100``.
        bands: Input channels. For other than three the first convolution is inflated from the RGB
            weights: for one band their sum; for more they repeat along the bands, scaled by
            3 / bands, which keeps their sum only where bands are a multiple of three.
        output_stride: Input pixels per pixel of the deepest map; None for the network's own.
        weights: None, ``"imagenet"``, the path of a file in timm's layout, or its tensors.

    Raises:
        OptionError: If there is no such encoder, or it cannot give maps at this output stride.
        BundleError: If the weights cannot be had or do not fit.
    """

    def __init__(
        self, name: str, *, bands: int, output_stride: int | None, weights: str | Start | None
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32, None):
            raise OptionError("unusable output stride", expected="8, 16 or 32", got=output_stride)
        self.name = name
        self.reductions, self.channels, self.least = _shapes(name, bands, output_stride)
        start = opened(weights)
        if isinstance(start, Start):
            _check(name, start)
        try:
            with _without_surplus_warnings():
                self.body = _build(name, bands, output_stride, start)
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            if start is None:
                raise
            reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise _unusable(name, start, reason[0].partition(". ")[0].rstrip(".")) from error

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps ``(N, channels[i], h / reductions[i], w / reductions[i])``, sizes rounded up."""
        if self.least == 1:
            maps: list[Tensor] = self.body(images)
            return maps
        height, width = images.shape[-2:]
        sides = (torch.sym_max(height, self.least), torch.sym_max(width, self.least))
        return [
            _to_size(each, (height + by - 1) // by, (width + by - 1) // by)
            for each, by in zip(self.body(_to_size(images, *sides)), self.reductions, strict=True)
        ]

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


def _to_size(maps: Tensor, height: int | torch.SymInt, width: int | torch.SymInt) -> Tensor:
    """Maps cut at the bottom and right, or continued there by their last row and column.

    By index, because a size known only when the network runs must export.
    """
    for axis, size in ((-2, height), (-1, width)):
        cells = torch.arange(size, device=maps.device).clamp(max=maps.shape[axis] - 1)
        maps = maps.index_select(axis, cells)
    return maps


def _shapes(name: str, bands: int, output_stride: int | None) -> Shapes:
    """What an encoder gives, seen on the meta device."""
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise OptionError(f"timm has no encoder '{name}'", expected=" or ".join(near) or None)
    body = _on_meta(name, bands, output_stride)
    maps = _maps(body, bands, _PROBE)
    refused = f"the encoder {name} cannot be used here"
    if maps is None and (
        output_stride is None or _maps(_on_meta(name, bands, None), bands, _PROBE) is None
    ):
        raise OptionError(
            f"{refused}: it has no feature maps of images of any size",
            remedy="resnet50 and convnext_tiny have them",
        )
    if maps is None or (output_stride and _PROBE // maps[-1].shape[-1] != output_stride):
        raise OptionError(
            f"{refused}: it cannot be dilated to 1/{output_stride}",
            remedy="resnet50 and mobilenetv2_100 can",
        )
    return Shapes(
        tuple(_PROBE // each.shape[-1] for each in maps),
        tuple(each.shape[1] for each in maps),
        next(side for side in (1, 2, 4, 8, 16, 32, _PROBE) if _maps(body, bands, side)),
    )


def _on_meta(name: str, bands: int, output_stride: int | None) -> nn.Module | None:
    """An encoder without numbers, if timm makes one like this."""
    try:
        with torch.device("meta"):
            return _build(name, bands, output_stride, None).eval()
    except Exception:  # timm refuses in its own ways, by assertions and TypeErrors too
        return None


def _maps(body: nn.Module | None, bands: int, side: int) -> list[Tensor] | None:
    """An encoder's maps ``(N, C, h, h)`` of a square image, if it gives any."""
    if body is None:
        return None
    try:
        with torch.no_grad():
            maps: list[Tensor] = body(torch.zeros(1, bands, side, side, device="meta"))
    except Exception:  # too small, or a fixed size
        return None
    return maps if all(each.ndim == 4 and each.shape[2] == each.shape[3] for each in maps) else None


def _build(
    name: str, bands: int, output_stride: int | None, start: str | Start | None
) -> nn.Module:
    arguments: dict[str, Any] = {"in_chans": bands}
    if start is not None:
        arguments["pretrained"] = True
    if isinstance(start, Start):
        arguments["pretrained_cfg_overlay"] = {"state_dict": dict(start.tensors)}
    if name in _ADAPTED:
        whole = timm.create_model(name, num_classes=0, **arguments)
        return _ADAPTED[name](whole, output_stride or 32)
    if output_stride is not None:
        arguments["output_stride"] = output_stride
    body: nn.Module = timm.create_model(name, features_only=True, **arguments)
    for part in body.modules():
        if isinstance(part, nn.MaxPool2d) and part.kernel_size == part.stride:
            part.ceil_mode = True  # VGG's: an odd last row counts, and any size passes
    return body


def _check(name: str, start: Start) -> None:
    """Refuse another network's tensors: timm keeps silent about those missing or too many."""
    with torch.device("meta"):
        whole = timm.create_model(name).state_dict().keys()
        features = timm.create_model(name, num_classes=0).state_dict()
    reason = misfit(start, {each: value.shape for each, value in features.items()}, whole)
    if reason:
        raise _unusable(name, start, reason)


def _unusable(name: str, start: str | Start, reason: str) -> BundleError:
    if isinstance(start, Start):
        wrong = f"the weights in {start.source} do not fit {name}: {reason}"
    else:
        wrong = f"the weights of {name} cannot be had from the hub: {reason}"
    return BundleError(
        wrong, remedy=f"pass the path of a file in timm's {name} layout{_source(name)}"
    )


@contextmanager
def _without_surplus_warnings() -> Iterator[None]:
    """Silence timm's warning of the classifier, which every file has and no feature pyramid."""

    def keep(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Unexpected keys")

    _TIMM_LOG.addFilter(keep)
    try:
        yield
    finally:
        _TIMM_LOG.removeFilter(keep)


def _source(name: str) -> str:
    """Where the file of the hub lies, for people who have another machine with a network."""
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        return ""
    repository = config.hf_hub_id.rstrip("/")
    if repository == "timm":
        repository = f"timm/{name}.{config.tag}" if config.tag else f"timm/{name}"
    return f", such as model.safetensors of https://huggingface.co/{repository}"
