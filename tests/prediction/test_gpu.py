"""What only a CUDA device can show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsseg.prediction import PredictOptions, predict

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
