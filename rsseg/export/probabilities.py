"""A network with its scaling before it and softmax behind it, as other software wants models."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsseg.normalise import Normalisation


class Probabilities(nn.Module):
    """From pixels to class probabilities.

    Args:
        network: Maps normalised images to logits ``(N, K, h, w)``.
        normalisation: Scaling of raw values that it was trained with.
        scale: What the raw values were divided by before they come here.
    """

    gain: Tensor
    offset: Tensor

    def __init__(
        self, network: nn.Module, normalisation: Normalisation, *, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.network = network
        gain, offset = normalisation.gain * scale, normalisation.offset
        self.register_buffer("gain", torch.from_numpy(gain)[:, None, None].float())
        self.register_buffer("offset", torch.from_numpy(offset)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        """Probabilities ``(N, K, h, w)`` of pixels ``(N, B, h, w)``, both float32."""
        logits: Tensor = self.network(pixels * self.gain + self.offset)
        return logits.softmax(dim=1)
