"""Engines: a network on a device, from raw windows to class probabilities."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from rsseg.bundle import Bundle
from rsseg.errors import MissingExtra, OptionError
from rsseg.prediction.engines.onnx_graph import as_fed, network_graph, onnx_graph
from rsseg.prediction.engines.quantising import quantised_graph
from rsseg.prediction.engines.rounding import shift_of
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
    batch: int
    """Windows of one forward pass."""
    streams: int
    """Threads that may call it at once."""

    @property
    def seconds(self) -> float:
        """Time the device was busy with calls so far; with one of two streams, half of it."""

    def __call__(self, windows: npt.NDArray[Any]) -> Any:
        """Probabilities ``(N, K, h, w)`` of raw windows ``(N, B, h, w)``, float32, on the device.

        A GPU may still be at work on the result when it is returned; computations with it queue
        up behind, and `to_host` waits. The result is good until ``streams`` later calls of the same
        thread have been made and another is.
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
    compiled: bool = False
    forward: int | None = None

    @property
    def batch(self) -> int:
        """Windows of one forward pass: one on a CPU, whose caches hold the activations of one.

        An engine on a GPU begins with this number and halves it until its memory suffices. What it
        came to is ``forward`` when an unfinished run is gone on with, for scores depend on it.
        """
        return self.forward or (1 if self.device == "cpu" else 16)

    @property
    def streams(self) -> int:
        """Windows computed at once, by a part of the cores each.

        With all cores at work on one window, all of them wait when one is needed elsewhere, as for
        blending. More than two would take more memory, and cache.
        """
        return min(2, _usable_cores()) if self.engine == "openvino" else 1


def place(options: PredictOptions, *, own_network: bool, graph: bool = False) -> Placement:
    """Resolve ``auto`` in device, engine and precision.

    Args:
        options: The user's choices.
        own_network: Whether the caller passes a network of their own, which runs on torch.
        graph: Whether the model is a graph that only OpenVINO runs.

    Raises:
        OptionError: If the choices exclude each other.
        MissingExtra: If torch is needed and missing.
    """
    if graph:
        if options.engine == "torch" or options.device not in ("auto", "cpu"):
            raise OptionError(
                "an .onnx model runs on CPUs by the engine openvino alone",
                got=f"engine {options.engine}, device {options.device}",
                remedy="use the .safetensors file that it was made of",
            )
        options = replace(options, engine="openvino", device="cpu")
    device = options.device
    if "," in device:
        raise OptionError(
            "this runs on one device",
            got=device,
            remedy="several share a map where rsseg predict makes all of it",
        )
    if device == "auto":
        device = "cuda" if options.engine != "openvino" and _has_cuda() else "cpu"
    engine: str = options.engine
    if engine == "auto":
        engine = "openvino" if device == "cpu" and not own_network else "torch"
    if engine == "openvino" and device != "cpu":
        raise OptionError(
            f"the engine openvino does not run the device {device}", remedy="use engine torch"
        )
    if engine == "torch" and importlib.util.find_spec("torch") is None:
        raise MissingExtra("torch", "torch")
    if device.startswith("cuda") and not _has_cuda():
        raise OptionError(
            f"the device {device} is not there",
            expected="an NVIDIA GPU and a torch that sees it",
            remedy="use --device cpu",
        )
    if options.precision == "int8" and engine != "openvino":
        raise OptionError(
            "only the engine openvino computes in int8",
            got=f"{engine} on {device}",
            remedy="add --device cpu --engine openvino, or use bf16",
        )
    if options.compile and not device.startswith("cuda"):
        raise OptionError("only networks on a GPU are compiled", got=f"the device {device}")
    if options.precision == "auto":
        best = "fp32" if own_network else _best_precision(engine, device)
        return Placement(engine, device, best, options.compile)
    if options.precision == "fp16" and device == "cpu":
        raise OptionError("CPUs do not compute in fp16", expected="fp32 or bf16", got="fp16")
    return Placement(engine, device, options.precision, options.compile)


def make_engine(
    placement: Placement,
    bundle: Bundle,
    window: int,
    dtype: np.dtype[Any],
    *,
    model: Path | None,
    network: nn.Module | None,
    identity: str,
    reserve: int = 0,
    streams: int = 1,
) -> Engine:
    """Load a network onto its device.

    Args:
        placement: Engine, device and precision.
        bundle: Describes the network.
        window: Side of the windows, pixels.
        dtype: Type of the raw windows.
        model: The model file, unless a network is given.
        network: A network of the caller's, mapping normalised images to logits.
        identity: Hash of the weights.
        reserve: Bytes of a GPU's memory to leave for blending.
        streams: Threads that are to call it at once, see `Placement`.

    Raises:
        BundleError: If the model file does not fit, or the network cannot be converted.
        OptionError: If the device is not there.
    """
    if placement.engine == "openvino":
        from rsseg.prediction.engines.openvino_engine import OpenVINOEngine, has_bf16

        graph = (
            quantised_graph(identity)
            if placement.precision == "int8"
            else graph_of(model, network, bundle, window, identity)
        )
        bundle, low = as_fed(bundle, model), placement.precision == "bf16" and has_bf16()
        shift = shift_of(graph, bundle, window, identity) if low else None
        return OpenVINOEngine(
            graph, bundle, window, dtype, placement.precision, shift, identity, streams
        )
    from rsseg.prediction.engines.torch_engine import TorchEngine

    if network is None:
        from rsseg.models import load

        assert model is not None
        network, _ = load(model)
    return TorchEngine(network, bundle, window, placement, reserve)


def graph_of(
    model: Path | None, network: nn.Module | None, bundle: Bundle, window: int, identity: str
) -> Path:
    """The ONNX graph of a model file, or of a network of the caller's for windows of this side.

    What it takes, `as_fed` says.
    """
    if network is not None:
        return network_graph(network, bundle, window, identity)
    assert model is not None
    return onnx_graph(model, identity)


def _usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _has_cuda() -> bool:
    """Whether torch sees a GPU; torch is not even imported where there is no driver."""
    driver = os.path.exists("/proc/driver/nvidia/version") or shutil.which("nvidia-smi")
    if not driver or importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _best_precision(engine: str, device: str) -> str:
    if engine == "openvino":
        from rsseg.prediction.engines.openvino_engine import has_bf16

        return "bf16" if has_bf16() else "fp32"
    if device.startswith("cuda"):
        import torch

        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return "fp32"
