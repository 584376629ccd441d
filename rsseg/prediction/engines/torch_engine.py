"""Networks on torch: GPUs, and networks that a caller passes in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rsseg.bundle import Bundle
from rsseg.errors import BundleError, OptionError
from rsseg.prediction.engines.engine import Placement
from rsseg.prediction.engines.torch_device import Uploader, device_of

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine:
    """A module on a device; normalisation, softmax and blending happen there.

    A forward pass always has the same number of windows, the last one padded: the placement's,
    or half of it, a quarter, ... if the device's memory does not hold that many. On a GPU a call
    returns when the work is asked for; `to_host` waits for it.

    Args:
        network: Maps normalised ``(N, B, h, w)`` float32 to logits ``(N, K, h, w)``.
        bundle: Gives classes and normalisation.
        window: Side of the windows, pixels.
        placement: Device, precision, and the windows of one forward pass to try first.
        reserve: Bytes of the device's memory that forward passes are to leave for blending.

    Raises:
        OptionError: If the device is not there, or its memory does not hold one window.
        BundleError: If the network's output does not fit the legend.
    """

    name = "torch"
    streams = 1

    def __init__(
        self,
        network: nn.Module,
        bundle: Bundle,
        window: int,
        placement: Placement,
        reserve: int = 0,
    ) -> None:
        device = placement.device
        self.device, self.precision, self.batch = device, placement.precision, placement.batch
        self._classes, self._side, self._reserve = len(bundle.legend), window, reserve
        try:
            self._device = device_of(device)
            self._network = network.eval().to(device)
        except torch.OutOfMemoryError as error:
            raise _full(device) from error
        except (RuntimeError, AssertionError) as error:
            raise OptionError(f"the device {device} is not there: {error}") from error
        if device != "cpu":
            self._network = self._network.to(memory_format=torch.channels_last)
        if placement.compiled:
            # the shape of a forward pass never changes, so its kernels are launched as one graph
            self._network = _compiled(self._network)
        self._gain = self.to_device(bundle.normalisation.gain)[:, None, None]
        self._offset = self.to_device(bundle.normalisation.offset)[:, None, None]
        self._upload = Uploader(self._device)
        self._seconds, self._spans = 0.0, list[tuple[Any, Any]]()
        self._settle(len(bundle.bands), window)

    @property
    def seconds(self) -> float:
        """Time the device was busy with calls so far; waits for the last."""
        self._seconds += sum(self._device.between(*span) for span in self._spans)
        self._spans.clear()
        return self._seconds

    def __call__(self, windows: npt.NDArray[Any]) -> Tensor:
        """Probabilities ``(N, K, h, w)``, float32, of raw windows ``(N, B, h, w)``.

        Raises:
            OptionError: If other programs have taken the device's memory meanwhile.
        """
        # again in the same shape: another one would not give the same bytes
        return self._tried_twice(lambda: self._scores(windows))

    def to_device(self, array: npt.NDArray[Any]) -> Tensor:
        """The array as a tensor on the device.

        Raises:
            OptionError: If other programs have taken the device's memory meanwhile.
        """
        return self._tried_twice(lambda: torch.from_numpy(array).to(self.device))

    def to_host(self, array: Tensor) -> npt.NDArray[Any]:
        """The tensor as numpy."""
        return array.cpu().numpy()

    def _tried_twice(self, call: Callable[[], Tensor]) -> Tensor:
        """What a call gives, after torch has given back what it keeps if memory did not suffice."""
        try:
            return call()
        except torch.OutOfMemoryError:
            self._device.release()
        try:
            return call()
        except torch.OutOfMemoryError as error:
            raise _full(self.device) from error

    @torch.inference_mode()
    def _scores(self, windows: npt.NDArray[Any]) -> Tensor:
        groups = []
        for first in range(0, len(windows), self.batch):
            group = windows[first : first + self.batch]
            raw = self._upload(group, self.batch)
            began = self._device.mark()
            groups.append(self._forward(raw)[: len(group)])
            self._spans.append((began, self._device.mark()))
        return torch.cat(groups) if len(groups) > 1 else groups[0]

    def _forward(self, raw: Tensor) -> Tensor:
        images = raw * self._gain + self._offset
        if self.device != "cpu":
            images = images.contiguous(memory_format=torch.channels_last)
        kind, dtype = torch.device(self.device).type, _AUTOCAST.get(self.precision)
        # fp32 is to mean fp32, and a rerun the same bytes
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with exact, torch.autocast(kind, dtype, enabled=dtype is not None):
            logits: Tensor = self._network(images)
        return logits.float().softmax(dim=1)

    def _settle(self, bands: int, window: int) -> None:
        """Run empty windows: what does not fit shows here, not in the middle of a scene."""
        while not self._fits(bands, window):
            self._device.release()
            if self.batch == 1:
                raise OptionError(
                    f"the memory of {self.device} does not hold one window of {window} pixels",
                    remedy="choose a smaller --tile-size or --memory, or end other programs "
                    "that use it",
                )
            self.batch //= 2
        self._seconds = 0.0
        self._spans.clear()

    def _fits(self, bands: int, window: int) -> bool:
        """Whether memory holds a forward pass; a network of another shape is refused.

        Beside it lie the sums, and the scores of the pass before, which are blended meanwhile.
        """
        before = 4 * self.batch * self._classes * self._side**2
        try:
            beside = _reserved(self._reserve + before, self.device)
            scores = self._scores(np.zeros((self.batch, bands, window, window), np.uint8))
            self.to_host(scores[0, 0, 0])  # by then the device has done it all
            del beside
        except torch.OutOfMemoryError:
            return False
        except RuntimeError as error:
            raise BundleError(
                f"the network fails on {bands} bands of {window} pixels: {error}"
            ) from error
        expected = (self.batch, self._classes, self._side, self._side)
        if tuple(scores.shape) != expected:
            raise BundleError(
                "the network's output does not fit its legend and window",
                expected=f"logits {expected}",
                got=tuple(scores.shape),
            )
        return True


def _full(device: str) -> OptionError:
    return OptionError(
        f"the memory of {device} is full",
        remedy="end other programs that use it; the same command then goes on",
    )


def _reserved(count: int, device: str) -> Tensor:
    """So many bytes of a device's memory, which nobody uses."""
    return torch.empty(count, dtype=torch.uint8, device=device)


def _compiled(network: nn.Module) -> nn.Module:
    return cast(nn.Module, torch.compile(network, mode="reduce-overhead"))
