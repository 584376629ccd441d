"""Windows reach a device unchanged, and a batch that does not fit is halved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rsseg.errors import OptionError
from rsseg.prediction.engine import Placement
from rsseg.prediction.torch_device import SLOTS, PlainDevice, Uploader, device_of
from rsseg.prediction.torch_engine import TorchEngine

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32"]
TYPES += ["float64"]


class Slow(PlainDevice):
    """A device whose copies are only done when they are waited for, as those of a GPU may be."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.made: list[Tensor] = []
        self.waited: list[int] = []
        self._sent = 0

    def buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        self.made.append(super().buffer(shape, dtype))
        return self.made[-1]

    def send(self, host: Tensor) -> tuple[Tensor, Any]:
        number, self._sent = self._sent, self._sent + 1
        waited = self.waited

        class Copy:
            def synchronize(self) -> None:
                waited.append(number)

        return super().send(host)[0], Copy()


class Greedy(nn.Module):
    """Stands for a network on a device whose memory holds so many windows.

    Args:
        most: Windows of a forward pass that fit.
        failures: Passes that fail nevertheless, after the first ``later``.
        later: Passes before those.
    """

    def __init__(self, most: int, failures: int = 0, later: int = 0) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)
        self.most, self.failures, self.later = most, failures, later
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if len(self.seen) > self.later and self.failures:
            self.failures -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.layer(images)


def extremes(dtype: str) -> np.ndarray:
    """Windows ``(3, 2, 2, 2)`` with the least and greatest values of a type."""
    kind = np.dtype(dtype)
    ends = [-1e30, 1e30] if kind.kind == "f" else [np.iinfo(kind).min, np.iinfo(kind).max]
    middle = [number * (1.5 if kind.kind == "f" else 1) for number in range(22)]
    return np.array([*ends, *middle], kind).reshape(3, 2, 2, 2)


@pytest.mark.parametrize("dtype", TYPES)
def test_values_arrive_as_float32(dtype: str) -> None:
    windows = extremes(dtype)
    sent = Uploader(device_of("cpu"))(windows, 3)
    np.testing.assert_array_equal(sent.numpy(), windows.astype(np.float32))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "float32"])
def test_windows_travel_in_their_own_size(dtype: str) -> None:
    device = Slow()
    Uploader(device)(extremes(dtype), 3)
    assert [buffer.element_size() for buffer in device.made] == [np.dtype(dtype).itemsize]


def test_the_last_window_fills_up_what_is_missing() -> None:
    windows = extremes("uint8")
    sent = Uploader(device_of("cpu"))(windows, 5).numpy()
    np.testing.assert_array_equal(sent[:3], windows)
    np.testing.assert_array_equal(sent[3:], windows[[2, 2]])


def test_a_buffer_is_filled_again_only_when_its_copy_is_done() -> None:
    device = Slow()
    upload = Uploader(device)
    for _ in range(SLOTS):
        upload(extremes("uint8"), 3)
    assert device.waited == []
    upload(extremes("uint8"), 3)
    upload(extremes("uint8"), 3)
    assert device.waited == [0, 1]
    assert len(device.made) == SLOTS


def test_results_outlive_the_buffers() -> None:
    upload = Uploader(device_of("cpu"))
    first = upload(np.zeros((1, 1, 2, 2), np.float32), 1)
    for _ in range(2 * SLOTS):
        upload(np.ones((1, 1, 2, 2), np.float32), 1)
    assert first.sum() == 0


def engine(network: nn.Module, make_bundle: Any, batch: int = 16) -> TorchEngine:
    return TorchEngine(network, make_bundle(), 8, Placement("torch", "cpu", "fp32", forward=batch))


@pytest.mark.parametrize(("most", "settled"), [(16, 16), (15, 8), (5, 4), (1, 1)])
def test_a_batch_that_does_not_fit_is_halved(make_bundle: Any, most: int, settled: int) -> None:
    network = Greedy(most)
    scorer = engine(network, make_bundle)
    assert scorer.batch == settled
    network.seen.clear()
    windows = np.random.default_rng(0).integers(0, 255, (19, 3, 8, 8), np.uint8)
    scores = scorer(windows)
    assert scores.shape == (19, 4, 8, 8)
    assert set(network.seen) == {settled}, "the shape of a forward pass never changes"
    for window, alone in zip(windows, scores, strict=True):
        np.testing.assert_array_equal(scorer(window[None])[0], alone)


def test_memory_for_less_than_a_window_is_refused(make_bundle: Any) -> None:
    with pytest.raises(OptionError, match="does not hold one window of 8 pixels"):
        engine(Greedy(0), make_bundle)


def test_memory_taken_meanwhile_is_tried_once_more(make_bundle: Any) -> None:
    network = Greedy(16, failures=1, later=1)
    scorer = engine(network, make_bundle)
    windows = np.zeros((3, 3, 8, 8), np.uint8)
    assert scorer(windows).shape == (3, 4, 8, 8)
    assert network.seen == [16, 16, 16]
    with pytest.raises(OptionError, match="the memory of cpu is full"):
        engine(Greedy(16, failures=2, later=1), make_bundle)(windows)


def test_time_is_that_of_calls_and_grows(make_bundle: Any) -> None:
    scorer = engine(Greedy(16), make_bundle)
    assert scorer.seconds == 0
    scorer(np.zeros((3, 3, 8, 8), np.uint8))
    once = scorer.seconds
    scorer(np.zeros((3, 3, 8, 8), np.uint8))
    assert 0 < once < scorer.seconds
