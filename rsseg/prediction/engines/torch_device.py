"""Devices of torch: raw windows onto them behind the computation, and the time they are busy."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SLOTS = 2
"""Host buffers: one is filled while the other is on its way."""
_VIEWS = {np.dtype(np.uint16): np.int16, np.dtype(np.uint32): np.int32}
"""Types that devices compute little with, and those their bits travel as."""
_NARROWED = (np.dtype(np.uint64), np.dtype(np.float64))


class Mark(Protocol):
    """A point in a device's work."""

    def synchronize(self) -> None:
        """Wait until the device has come to it."""


class Device(Protocol):
    """Where tensors live, and how windows get there."""

    def buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Host memory that the device copies from."""

    def send(self, host: Tensor) -> tuple[Tensor, Mark]:
        """The tensor on the device for its next computation, and when ``host`` is free again."""

    def mark(self) -> Any:
        """The point that the computation has come to when all asked for so far is done."""

    def between(self, first: Any, last: Any) -> float:
        """Seconds from one mark to another; waits for the last."""

    def release(self) -> None:
        """Give back memory that is kept for later tensors."""


def device_of(name: str) -> Device:
    """The device that torch calls so."""
    return CudaDevice(name) if torch.device(name).type == "cuda" else PlainDevice(name)


def gpus() -> dict[str, str]:
    """The kinds of this machine's GPUs by the names that torch has for them: ``cuda:0``, ..."""
    count = torch.cuda.device_count()
    return {f"cuda:{index}": torch.cuda.get_device_name(index) for index in range(count)}


class CudaDevice:
    """A GPU with its own queues: copies run beside the computation, and nobody waits for either."""

    def __init__(self, name: str) -> None:
        self._device = torch.device(name)
        self._copying = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    def buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Pinned memory, from which copies are asynchronous."""
        with torch.cuda.device(self._device):  # else the first GPU gives some of its own for it
            return torch.empty(shape, dtype=dtype, pin_memory=True)

    def send(self, host: Tensor) -> tuple[Tensor, Mark]:
        """Copy on a stream of its own; the computing stream waits for it, the CPU does not."""
        sent = torch.cuda.Event()  # type: ignore[no-untyped-call]
        computing = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._copying):
            raw = host.to(self._device, non_blocking=True)
            sent.record(self._copying)
        computing.wait_event(sent)
        raw.record_stream(computing)
        return raw, sent

    def mark(self) -> torch.cuda.Event:
        """An event behind all that was asked for."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def between(self, first: torch.cuda.Event, last: torch.cuda.Event) -> float:
        """Seconds by the GPU's own clock."""
        last.synchronize()
        return float(first.elapsed_time(last)) / 1000

    def release(self) -> None:
        """Empty torch's cache of blocks."""
        torch.cuda.empty_cache()


class PlainDevice:
    """A device whose work is done when a call returns: the CPU."""

    def __init__(self, name: str) -> None:
        self._device = torch.device(name)

    def buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Ordinary memory."""
        return torch.empty(shape, dtype=dtype)

    def send(self, host: Tensor) -> tuple[Tensor, Mark]:
        """A copy, also where host and device share memory: the buffer is filled again."""
        return host.to(self._device, copy=True), _DONE

    def mark(self) -> float:
        """Now."""
        return time.perf_counter()

    def between(self, first: float, last: float) -> float:
        """Seconds of wall time."""
        return last - first

    def release(self) -> None:
        """Nothing is kept."""


class Uploader:
    """Copies raw windows to a device, in their own type and through few buffers.

    A call returns when the copy is on its way. It waits for none but the copy whose buffer it
    fills again, ``SLOTS`` calls before.

    Args:
        device: Where windows go.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._buffers: list[Tensor | None] = [None] * SLOTS
        self._sent: list[Mark] = [_DONE] * SLOTS
        self._turn = 0

    def __call__(self, windows: npt.NDArray[Any], count: int) -> Tensor:
        """The values as float32 ``(count, B, h, w)`` on the device.

        Args:
            windows: ``(N, B, h, w)`` of any numeric type, from 1 to ``count`` of them.
            count: Windows of the result; the last one is repeated for those that are missing.
        """
        if windows.dtype in _NARROWED:
            windows = windows.astype(np.float32)
        bits = np.ascontiguousarray(windows).view(_VIEWS.get(windows.dtype, windows.dtype))
        turn, self._turn = self._turn, (self._turn + 1) % SLOTS
        self._sent[turn].synchronize()
        host = self._buffer(turn, (count, *bits.shape[1:]), torch.from_numpy(bits).dtype)
        host.numpy()[: len(bits)] = bits
        host.numpy()[len(bits) :] = bits[-1:]
        raw, self._sent[turn] = self._device.send(host)
        return _values(raw, windows.dtype)

    def _buffer(self, turn: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        buffer = self._buffers[turn]
        if buffer is None or tuple(buffer.shape) != shape or buffer.dtype != dtype:
            buffer = self._buffers[turn] = self._device.buffer(shape, dtype)
        return buffer


def _values(raw: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """What the bits stand for, as float32."""
    if dtype == np.uint16:
        return (raw.int() & 0xFFFF).float()
    if dtype == np.uint32:  # by halves, for some devices have no wider type
        return ((raw >> 16) & 0xFFFF).float() * 65536 + (raw & 0xFFFF).float()
    return raw.float()


class _Done:
    """A mark long passed."""

    def synchronize(self) -> None:
        """Return at once."""


_DONE = _Done()
