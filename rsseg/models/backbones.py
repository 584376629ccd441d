"""Encoders from timm as feature pyramids, with weights from the hub or a local file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from rsseg.errors import BundleError, OptionError

IMAGENET = "imagenet"


class Backbone(nn.Module):
    """A timm network that gives a shallow and a deep feature map.

    Args:
        name: timm name, such as ``mobilenetv2_100``.
        bands: Input channels; for other than three the first convolution is adapted from RGB.
        output_stride: Input pixels per pixel of the deep feature: 8, 16 or 32.
        weights: None, ``"imagenet"``, or the path of a safetensors file in timm's layout.

    Raises:
        OptionError: If the output stride is not one of the three.
        BundleError: If the weights cannot be had or do not fit.
    """

    def __init__(self, name: str, *, bands: int, output_stride: int, weights: str | None) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise OptionError("unusable output stride", expected="8, 16 or 32", got=output_stride)
        self.body = _features(name, bands, output_stride, weights)
        info: Any = self.body.feature_info
        reductions, channels = list(info.reduction()), list(info.channels())
        self._shallow = reductions.index(4)
        self.shallow_channels = channels[self._shallow]
        self.deep_channels = channels[-1]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Shallow feature at stride 4 and deep feature at the output stride."""
        features = self.body(images)
        return features[self._shallow], features[-1]


def _features(name: str, bands: int, output_stride: int, weights: str | None) -> nn.Module:
    arguments: dict[str, Any] = {
        "features_only": True,
        "output_stride": output_stride,
        "in_chans": bands,
    }
    if weights is not None:
        arguments["pretrained"] = True
        if weights != IMAGENET:
            if not Path(weights).is_file():
                raise BundleError(
                    f"there are no encoder weights {weights}", expected="'imagenet' or a file"
                )
            arguments["pretrained_cfg_overlay"] = {"file": str(weights)}
    try:
        body = timm.create_model(name, **arguments)
        if weights not in (None, IMAGENET):
            _require_tensors(body, weights)
        return body
    except (OSError, RuntimeError, SafetensorError) as error:
        if weights is None:
            raise
        what = "from the hub" if weights == IMAGENET else weights
        raise BundleError(
            f"the weights of {name} {what} cannot be used: {error}",
            remedy=f"pass the path of a safetensors file in timm's {name} layout instead",
        ) from error


def _require_tensors(body: nn.Module, weights: str) -> None:
    """Check that a file has all of the encoder's tensors: timm keeps silent where it has none."""
    needed = {name for name in body.state_dict() if not name.endswith("num_batches_tracked")}
    with safe_open(weights, framework="pt") as file:
        missing = sorted(needed - set(file.keys()))
    if missing:
        raise RuntimeError(f"{missing[0]} is missing")
