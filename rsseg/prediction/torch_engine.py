"""Networks on torch: GPUs, and networks that a caller passes in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from rsseg.bundle import Bundle
from rsseg.errors import BundleError, OptionError
from rsseg.prediction.engine import Placement

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine:
    """A module on a device; normalisation, softmax and blending happen there.

    A forward pass always has the placement's number of windows, the last one padded.

    Args:
        network: Maps normalised ``(N, B, h, w)`` float32 to logits ``(N, K, h, w)``.
        bundle: Gives classes and normalisation.
        window: Side of the windows, pixels.
        placement: Device and precision.
        footprint: Side to which the probabilities are interpolated; None for the windows'.

    Raises:
        OptionError: If the device is not there.
        BundleError: If the network's output does not fit the legend.
    """

    name = "torch"

    def __init__(
        self,
        network: nn.Module,
        bundle: Bundle,
        window: int,
        placement: Placement,
        footprint: int | None = None,
    ) -> None:
        device = placement.device
        self.device, self.precision, self._batch = device, placement.precision, placement.batch
        self._classes, self._side = len(bundle.legend), footprint or window
        try:
            self._network = network.eval().to(device)
        except (RuntimeError, AssertionError) as error:
            raise OptionError(f"the device {device} is not there: {error}") from error
        if device != "cpu":
            self._network = self._network.to(memory_format=torch.channels_last)
        self._gain = self.to_device(bundle.normalisation.gain)[:, None, None]
        self._offset = self.to_device(bundle.normalisation.offset)[:, None, None]
        self._check(len(bundle.bands), window)

    @torch.inference_mode()
    def __call__(self, windows: npt.NDArray[Any]) -> Tensor:
        """Probabilities ``(N, K, h, w)``, float32, of raw windows ``(N, B, h, w)``."""
        raw = self._upload(windows)
        groups = [self._forward(group) for group in torch.split(raw, self._batch)]
        scores = torch.cat(groups) if len(groups) > 1 else groups[0]
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)  # what is timed as the engine's is done
        return scores

    def to_device(self, array: npt.NDArray[Any]) -> Tensor:
        """The array as a tensor on the device."""
        return torch.from_numpy(array).to(self.device)

    def to_host(self, array: Tensor) -> npt.NDArray[Any]:
        """The tensor as numpy."""
        return array.cpu().numpy()

    def _upload(self, windows: npt.NDArray[Any]) -> Tensor:
        if windows.dtype in (np.uint16, np.uint32, np.float64):
            windows = windows.astype(np.float32)
        raw = torch.from_numpy(np.ascontiguousarray(windows))
        if self.device.startswith("cuda"):
            return raw.pin_memory().to(self.device, non_blocking=True)
        return raw.to(self.device)

    def _forward(self, raw: Tensor) -> Tensor:
        count = len(raw)
        if count < self._batch:
            raw = torch.cat([raw, raw[-1:].expand(self._batch - count, -1, -1, -1)])
        images = raw.float() * self._gain + self._offset
        if self.device != "cpu":
            images = images.contiguous(memory_format=torch.channels_last)
        kind, dtype = torch.device(self.device).type, _AUTOCAST.get(self.precision)
        # fp32 is to mean fp32, and a rerun the same bytes
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with exact, torch.autocast(kind, dtype, enabled=dtype is not None):
            logits: Tensor = self._network(images)
        scores = logits.float().softmax(dim=1)[:count]
        if scores.shape[-2:] == images.shape[-2:] != (self._side, self._side):
            scores = functional.interpolate(scores, size=(self._side, self._side), mode="bilinear")
        return scores

    def _check(self, bands: int, window: int) -> None:
        """Run one empty window: a mismatch shows here, not in the middle of a scene."""
        try:
            scores = self(np.zeros((1, bands, window, window), np.uint8))
        except RuntimeError as error:
            raise BundleError(
                f"the network fails on {bands} bands of {window} pixels: {error}"
            ) from error
        expected = (1, self._classes, self._side, self._side)
        if tuple(scores.shape) != expected:
            raise BundleError(
                "the network's output does not fit its legend and window",
                expected=f"logits {expected}",
                got=tuple(scores.shape),
            )
