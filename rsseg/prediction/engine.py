"""Engines: a network on a device, from raw windows to class probabilities."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from rsseg.bundle import Bundle
from rsseg.errors import MissingExtra, OptionError
from rsseg.prediction.options import PredictOptions

if TYPE_CHECKING:
    from torch import nn


class Engine(Protocol):
    """What the pipeline asks of a network on a device.

    The shape of a forward pass is fixed, so that the scores of a window do not depend on the
    windows it stands beside.
    """

    name: str
    device: str
    precision: str

    def __call__(self, windows: npt.NDArray[Any]) -> Any:
        """Probabilities ``(N, K, h, w)`` of raw windows ``(N, B, h, w)``, float32, on the device.

        The result is good until the next call.
        """

    def to_device(self, array: npt.NDArray[Any]) -> Any:
        """The array on the device, as the library there has it."""

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """The array as numpy."""


@dataclass(frozen=True)
class Placement:
    """Which engine runs where and how precisely, resolved from the options."""

    engine: str
    device: str
    precision: str

    @property
    def batch(self) -> int:
        """Windows of one forward pass: one on a CPU, whose caches hold the activations of one."""
        return 1 if self.device == "cpu" else 8


def place(options: PredictOptions, *, own_network: bool) -> Placement:
    """Resolve ``auto`` in device, engine and precision.

    Args:
        options: The user's choices.
        own_network: Whether the caller passes a network of their own, which runs on torch.

    Raises:
        OptionError: If the choices exclude each other.
        MissingExtra: If torch is needed and missing.
    """
    device = options.device
    if device == "auto":
        device = "cuda" if options.engine != "openvino" and _has_cuda() else "cpu"
    engine: str = options.engine
    if engine == "auto":
        engine = "openvino" if device == "cpu" and not own_network else "torch"
    if engine == "openvino" and (own_network or device != "cpu"):
        what = "a network passed in" if own_network else f"the device {device}"
        raise OptionError(f"the engine openvino does not run {what}", remedy="use engine torch")
    if engine == "torch" and importlib.util.find_spec("torch") is None:
        raise MissingExtra("torch", "torch")
    if device.startswith("cuda") and not _has_cuda():
        raise OptionError(
            f"the device {device} is not there",
            expected="an NVIDIA GPU and a torch that sees it",
            remedy="use --device cpu",
        )
    if options.precision == "auto":
        return Placement(engine, device, "fp32" if own_network else _best_precision(engine, device))
    if options.precision == "fp16" and device == "cpu":
        raise OptionError("CPUs do not compute in fp16", expected="fp32 or bf16", got="fp16")
    return Placement(engine, device, options.precision)


def make_engine(
    placement: Placement,
    bundle: Bundle,
    window: int,
    dtype: np.dtype[Any],
    *,
    footprint: int,
    model: Path | None,
    network: nn.Module | None,
) -> Engine:
    """Load a network onto its device.

    Args:
        placement: Engine, device and precision.
        bundle: Describes the network.
        window: Side of the windows, pixels.
        dtype: Type of the raw windows.
        footprint: Side of the probabilities, to which they are interpolated if it is another.
        model: The model file, unless a network is given.
        network: A network of the caller's, mapping normalised images to logits.

    Raises:
        BundleError: If the model file does not fit.
        OptionError: If the device is not there.
    """
    if placement.engine == "openvino":
        from rsseg.prediction.onnx_graph import onnx_graph
        from rsseg.prediction.openvino_engine import OpenVINOEngine

        assert model is not None
        return OpenVINOEngine(
            onnx_graph(model), bundle, window, dtype, placement.precision, footprint
        )
    from rsseg.prediction.torch_engine import TorchEngine

    if network is None:
        from rsseg.models import load

        assert model is not None
        network, _ = load(model)
    return TorchEngine(network, bundle, window, placement, footprint)


def _has_cuda() -> bool:
    """Whether torch sees a GPU; torch is not even imported where there is no driver."""
    driver = os.path.exists("/proc/driver/nvidia/version") or shutil.which("nvidia-smi")
    if not driver or importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _best_precision(engine: str, device: str) -> str:
    if engine == "openvino":
        from rsseg.prediction.openvino_engine import has_bf16

        return "bf16" if has_bf16() else "fp32"
    if device.startswith("cuda"):
        import torch

        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return "fp32"
