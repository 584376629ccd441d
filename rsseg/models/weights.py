"""Model files: tensors and Bundle in one safetensors file, never pickle."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from rsseg.bundle import HEADER_KEY, Bundle, read_bundle
from rsseg.errors import BundleError, OptionError
from rsseg.replacing import replacing


def save(path: str | Path, network: nn.Module, bundle: Bundle, *, half: bool = False) -> None:
    """Write a network's tensors and its Bundle, whole or not at all.

    Args:
        path: Target, ``.safetensors``.
        network: The network the bundle describes.
        bundle: Goes into the header.
        half: Store floating-point tensors in 16 bits where their values fit; `load` widens them
            again.
    """
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    if half:
        tensors = {name: _halved(value) for name, value in tensors.items()}
    data = to_bytes(tensors, metadata={HEADER_KEY: bundle.to_json()})
    with replacing(path) as unfinished:
        unfinished.write_bytes(data)


def load(path: str | Path) -> tuple[nn.Module, Bundle]:
    """The network of a model file, in evaluation mode on the CPU in float32, and its Bundle.

    Raises:
        BundleError: If the file is damaged or its tensors do not fit its architecture.
    """
    from rsseg.models import create

    bundle = read_bundle(path)
    try:
        network = create(
            bundle.architecture,
            classes=len(bundle.legend),
            bands=len(bundle.bands),
            **bundle.options,
        )
    except OptionError as error:
        raise BundleError(f"the network of {path} cannot be built: {error}") from error
    try:
        tensors = load_file(str(path))
        network.load_state_dict(
            {n: v.float() if v.dtype == torch.float16 else v for n, v in tensors.items()}
        )
    except (SafetensorError, RuntimeError) as error:
        raise BundleError(
            f"the weights in {path} do not fit {bundle.architecture}: {error}"
        ) from error
    return network.eval(), bundle


def _halved(tensor: Tensor) -> Tensor:
    """The tensor in 16 bits, unless it has no fraction or a value is too large for them."""
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if bool(half.isfinite().all()) else tensor
