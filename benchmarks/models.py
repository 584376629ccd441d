"""Forward throughput of every network at 512 x 512: torch and OpenVINO on the CPU, torch on a GPU.

Window pixels per second, the fastest of several forwards at batch 1; `NAME ...` for some networks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from rsseg import models
from rsseg.bundle import Bundle
from rsseg.catalog import CARDS
from rsseg.export.onnx import write_onnx
from rsseg.legend import LAND_COVER
from rsseg.normalise import Normalisation
from rsseg.prediction.engines.openvino_core import openvino_core

SIDE = 512
SECONDS = 3.0


def main() -> None:
    """Print one row per network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names or list(CARDS)
    bf16 = "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    gpu = torch.cuda.is_available()
    columns = ["torch fp32", "torch bf16", "OpenVINO f32"]
    columns += ["OpenVINO bf16"] * bf16 + ["GPU fp32", "GPU bf16"] * gpu
    print(f"Mpx/s at {SIDE} x {SIDE}, batch 1")
    print(f"{'network':<31}" + "".join(f"{column:>15}" for column in columns))
    for name in names:
        torch.manual_seed(0)
        network = models.create(name, classes=6).eval()
        rates = [
            *(torch_rate(network, "cpu", kind) for kind in (torch.float32, torch.bfloat16)),
            *openvino_rates(network, name, ["f32", "bf16"] if bf16 else ["f32"]),
        ]
        if gpu:
            kinds = (torch.float32, torch.bfloat16)
            rates += [torch_rate(network, "cuda", kind) for kind in kinds]
        print(f"{name:<31}" + "".join(f"{rate:15.2f}" for rate in rates), flush=True)


def torch_rate(network: nn.Module, device: str, kind: torch.dtype) -> float:
    """Megapixels per second in eager torch, channels last."""
    network = network.to(device).to(memory_format=torch.channels_last)
    images = torch.randn(1, 3, SIDE, SIDE, device=device).to(memory_format=torch.channels_last)

    def forward() -> None:
        with torch.inference_mode(), torch.autocast(device, kind, enabled=kind != torch.float32):
            network(images)
        if device == "cuda":
            torch.cuda.synchronize()

    return rate(forward)


def openvino_rates(network: nn.Module, name: str, precisions: list[str]) -> list[float]:
    """Megapixels per second through the ONNX graph, one request at a time."""
    network = network.cpu().to(memory_format=torch.contiguous_format)
    normalisation = Normalisation.uniform(3, scale=255, mean=0.5, std=0.5)
    bundle = Bundle(name, LAND_COVER, ("red", "green", "blue"), normalisation, window=SIDE)
    images = np.random.default_rng(0).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)
    core = openvino_core()
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "network.onnx"
        write_onnx(network, bundle, graph)
        for precision in precisions:
            model = core.read_model(graph)
            model.reshape([1, 3, SIDE, SIDE])
            hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
            request = core.compile_model(model, "CPU", hints).create_infer_request()
            rates.append(rate(lambda request=request: request.infer(images)))  # type: ignore[misc]
    return rates


def rate(forward: Callable[[], object]) -> float:
    """Megapixels per second of the fastest of the calls that fit into some seconds."""
    forward()
    fastest, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        began = time.perf_counter()
        forward()
        fastest = min(fastest, time.perf_counter() - began)
    return SIDE * SIDE / fastest / 1e6


if __name__ == "__main__":
    main()
