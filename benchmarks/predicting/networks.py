"""The networks of the comparison, built alike in every environment from one file of weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

CLASSES = 6
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NAMES = ("mst", "smp", "pointwise")
TITLES = {
    "mst": "MST-DeepLabV3+ (embedded)",
    "smp": "DeepLabV3+ MobileNetV2 (segmentation-models-pytorch)",
    "pointwise": "1x1 convolution: overhead alone",
}


def build(name: str) -> nn.Module:
    """The network, from normalised images to logits; random weights from a fixed seed."""
    torch.manual_seed(0)
    if name == "mst":
        from rsseg.models import load
        from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL

        return load(EMBEDDED_MODEL)[0]
    if name == "smp":
        import segmentation_models_pytorch

        network = segmentation_models_pytorch.DeepLabV3Plus(
            "mobilenet_v2", encoder_weights=None, classes=CLASSES
        )
        settle(network)
        return network.eval()
    return nn.Conv2d(3, CLASSES, 1).eval()


def load(name: str, weights: Path) -> nn.Module:
    """The network with the weights of a file that `build` and `torch.save` made."""
    network = build(name)
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network.eval()


def settle(network: nn.Module) -> None:
    """Let batch normalisation see noise, and spread the logits: else one class is everywhere."""
    network.train()
    with torch.no_grad():
        for _ in range(12):
            coarse = torch.randn(2, 3, 16, 16)
            network(nn.functional.interpolate(coarse, size=(256, 256), mode="bilinear"))
        network.eval()
        coarse = torch.randn(4, 3, 16, 16)
        logits = network(nn.functional.interpolate(coarse, size=(256, 256), mode="bilinear"))
        head = network.segmentation_head[0]
        mean, spread = logits.mean(dim=(0, 2, 3)), logits.std(dim=(0, 2, 3))
        head.weight /= spread[:, None, None, None] / 3
        head.bias.copy_((head.bias - mean) / spread * 3)


class FromBytes(nn.Module):
    """Takes pixels of 0-1, as the peers hand them over, and gives probabilities.

    Args:
        network: Maps normalised images to logits.
        mean: Of each band of 0-1.
        std: Of each band of 0-1.
    """

    def __init__(self, network: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities ``(N, K, h, w)``."""
        return self.network((images - self.mean) / self.std).softmax(dim=1)
