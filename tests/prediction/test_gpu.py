"""What only a CUDA device can show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.engines.engine import Placement
from rsseg.prediction.engines.torch_device import CudaDevice, Uploader
from rsseg.prediction.engines.torch_engine import TorchEngine

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("size", [(1, 1), (300, 300), (400, 2000)])
@pytest.mark.parametrize("batch_size", [1, 5, 16])
def test_law_on_a_gpu(
    tmp_path: Path,
    make_scene: Any,
    make_bundle: Any,
    pointwise: Any,
    truth: Any,
    read: Any,
    size: tuple[int, int],
    batch_size: int,
) -> None:
    scene, bundle, network = make_scene(height=size[0], width=size[1]), make_bundle(), pointwise()
    options = PredictOptions(tile_size=128, device="cuda", batch_size=batch_size)
    result = predict(scene, tmp_path / "map.tif", bundle=bundle, network=network, options=options)
    assert (result.engine, result.device, result.precision) == ("torch", "cuda", "fp32")
    codes, near = truth(scene, network.cpu(), bundle)
    assert np.count_nonzero((read(tmp_path / "map.tif") != codes) & ~near) == 0


def test_same_bytes_for_any_batch_size(
    tmp_path: Path, make_scene: Any, make_bundle: Any, local: Any
) -> None:
    scene = make_scene(height=300, width=500)
    files = []
    for batch_size in (1, 3, 8, 64):
        out = tmp_path / f"{batch_size}.tif"
        options = PredictOptions(tile_size=64, device="cuda", batch_size=batch_size)
        predict(scene, out, bundle=make_bundle(), network=local(), options=options)
        files.append(out.read_bytes())
    assert len(set(files)) == 1


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32"]
)
def test_values_arrive_while_buffers_are_filled_again(dtype: str) -> None:
    """Many uploads in a row: none may overwrite a copy that is still on its way."""
    upload, random = Uploader(CudaDevice("cuda")), np.random.default_rng(0)
    sent = []
    for _ in range(20):
        values = random.integers(0, 100, (16, 3, 256, 256)) * 400_000
        windows = values.astype(dtype)
        sent.append((windows.astype(np.float32).sum(axis=(1, 2, 3)), upload(windows, 16)))
    for expected, tensor in sent:
        got = tensor.double().sum(dim=(1, 2, 3)).cpu().numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1)


def test_a_call_returns_before_the_gpu_is_done(make_bundle: Any, local: Any) -> None:
    bundle, placement = make_bundle(), Placement("torch", "cuda", "fp32")
    deep = torch.nn.Sequential(*[torch.nn.Conv2d(3, 3, 31, padding=15) for _ in range(60)], local())
    scorer = TorchEngine(deep, bundle, 512, placement)
    windows = np.zeros((scorer.batch, 3, 512, 512), np.uint8)
    scorer(windows)
    torch.cuda.synchronize()
    scores = scorer(windows)
    assert not torch.cuda.current_stream().query(), "the work is only queued"
    assert scorer.to_host(scores).shape == (scorer.batch, 4, 512, 512)
    assert scorer.seconds > 0


def test_a_batch_that_does_not_fit_is_halved(make_bundle: Any, pointwise: Any) -> None:
    """Most of the memory is taken, so that 16 large windows do not fit."""
    free, _ = torch.cuda.mem_get_info()
    side = 2048
    taken = torch.empty(int(free - 12 * side * side * 4 * 10), dtype=torch.uint8, device="cuda")
    scorer = TorchEngine(pointwise(), make_bundle(), side, Placement("torch", "cuda", "fp32"))
    assert 1 <= scorer.batch < 16
    assert scorer(np.zeros((3, 3, side, side), np.uint8)).shape == (3, 4, side, side)
    del taken


@pytest.mark.slow
def test_a_compiled_network_maps_the_same(
    tmp_path: Path, make_scene: Any, make_bundle: Any, pointwise: Any, truth: Any, read: Any
) -> None:
    scene, bundle, network = make_scene(height=300, width=500), make_bundle(), pointwise()
    options = PredictOptions(tile_size=128, device="cuda", compile=True)
    predict(scene, tmp_path / "map.tif", bundle=bundle, network=network, options=options)
    codes, near = truth(scene, network.cpu(), bundle)
    assert np.count_nonzero((read(tmp_path / "map.tif") != codes) & ~near) == 0
