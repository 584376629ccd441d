"""Windows reach a device unchanged, and a batch that does not fit is halved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rsseg.errors import OptionError
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.engines import torch_engine
from rsseg.prediction.engines.engine import Placement
from rsseg.prediction.engines.torch_device import SLOTS, PlainDevice, Uploader, device_of
from rsseg.prediction.engines.torch_engine import TorchEngine

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


def test_room_is_left_for_blending(make_bundle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device of 100 kB: a window takes 4 kB, and its scores take 1024 bytes until blended."""
    taken: list[int] = []
    network = Greedy(16)
    inner = network.forward

    class Block:
        def __init__(self, count: int, device: str) -> None:
            self._count = count
            taken.append(count)

        def __del__(self) -> None:
            taken.remove(self._count)

    def forward(images: Tensor) -> Tensor:
        if 4_000 * len(images) + sum(taken) > 100_000:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(images)

    monkeypatch.setattr(torch_engine, "_reserved", Block)
    monkeypatch.setattr(network, "forward", forward)
    placement = Placement("torch", "cpu", "fp32", forward=16)
    for reserve, settled in ((0, 16), (19_616, 16), (19_617, 8), (94_976, 1)):
        assert TorchEngine(network, make_bundle(), 8, placement, reserve).batch == settled
        assert taken == [], "it is given back"
    with pytest.raises(OptionError, match="does not hold one window"):
        TorchEngine(network, make_bundle(), 8, placement, 94_977)


def test_only_bytes_come_back_from_the_device(
    make_scene: Any,
    make_bundle: Any,
    pointwise: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A byte for the class of each pixel, one for its confidence, one for each probability."""
    fetched: list[Tensor] = []
    real = TorchEngine.to_host

    def to_host(self: TorchEngine, array: Tensor) -> np.ndarray:
        fetched.append(array)
        return real(self, array)

    monkeypatch.setattr(TorchEngine, "to_host", to_host)
    scene = make_scene(height=200, width=150)
    for kinds, layers in ((("confidence",), 2), (("confidence", "probabilities"), 2 + 4)):
        fetched.clear()
        beside = {kind: tmp_path / f"{kind}{layers}.tif" for kind in kinds}
        options = PredictOptions(tile_size=64, device="cpu", **beside)
        out = tmp_path / f"{layers}.tif"
        predict(scene, out, bundle=make_bundle(), network=pointwise(), options=options)
        of_scene = [array for array in fetched if array.ndim > 1]  # not the probe at the start
        assert {array.dtype for array in of_scene} == {torch.uint8}
        assert sum(array.numel() for array in of_scene) == layers * 200 * 150


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


def test_memory_for_sums_is_tried_for_twice(
    make_bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer, failures = engine(Greedy(16), make_bundle), [1]
    real = torch.from_numpy

    def full(array: np.ndarray) -> Tensor:
        if failures[0]:
            failures[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(array)

    monkeypatch.setattr(torch, "from_numpy", full)
    assert scorer.to_device(np.ones(3, np.float32)).tolist() == [1, 1, 1]
    failures[0] = 2
    with pytest.raises(OptionError, match="the memory of cpu is full"):
        scorer.to_device(np.ones(3, np.float32))


def test_memory_for_the_weights_is_missing(make_bundle: Any) -> None:
    class Large(Greedy):
        def to(self, *given: Any, **more: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OptionError, match="the memory of cpu is full"):
        engine(Large(16), make_bundle)


def test_time_is_that_of_calls_and_grows(make_bundle: Any) -> None:
    scorer = engine(Greedy(16), make_bundle)
    assert scorer.seconds == 0
    scorer(np.zeros((3, 3, 8, 8), np.uint8))
    once = scorer.seconds
    scorer(np.zeros((3, 3, 8, 8), np.uint8))
    assert 0 < once < scorer.seconds
