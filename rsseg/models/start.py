"""Files of tensors that networks start from, read once and checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from timm.models import load_state_dict
from torch import Tensor

from rsseg.errors import BundleError

IMAGENET = "imagenet"
COCO = "coco"


@dataclass(frozen=True)
class Start:
    """Tensors and where they come from.

    Args:
        source: Path or hub entry, for messages.
        tensors: By name.
    """

    source: str
    tensors: Mapping[str, Tensor]


def opened(weights: str | Start | None) -> str | Start | None:
    """The tensors of a file; ``"imagenet"``, None and what is open already pass.

    Raises:
        BundleError: If there is no such file, or it holds no tensors by name.
    """
    if weights is None or weights == IMAGENET or isinstance(weights, Start):
        return weights
    if not Path(weights).is_file():
        raise BundleError(
            f"there are no encoder weights {weights}", expected="'imagenet' or a file"
        )
    try:
        found = load_state_dict(weights, use_ema=False, weights_only=True)
    except Exception as error:  # unpickling and what timm does with the content fail in many ways
        raise _no_weights(weights) from error
    tensors = {
        name: tensor
        for name, tensor in found.items()
        if isinstance(name, str) and isinstance(tensor, Tensor)
    }
    if not tensors or len(tensors) < len(found):
        raise _no_weights(weights)
    return Start(weights, tensors)


def misfit(
    start: Start, needed: Mapping[str, torch.Size], surplus: Collection[str] = ()
) -> str | None:
    """Why tensors are not those of a network; None if they are.

    Args:
        start: The tensors.
        needed: Shapes of the tensors that must be there, counters aside.
        surplus: Names of others that may be.
    """
    for name, shape in needed.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in start.tensors:
            return f"{name} is missing"
        got = start.tensors[name].shape
        if got != shape:
            return f"{name} is {_times(got)} there, not {_times(shape)}"
    for name in start.tensors:
        if name not in needed and name not in surplus:
            return f"{name} has no place in it"
    return None


def _times(shape: torch.Size) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _no_weights(path: str) -> BundleError:
    return BundleError(
        f"{path} is no file of weights",
        expected="tensors by name, as safetensors or as torch.save writes a state_dict",
    )
