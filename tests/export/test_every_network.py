"""Every architecture goes through the exporter of old opsets and comes out the same."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from rsseg import models
from rsseg.bundle import Bundle
from rsseg.export.deepness import write_deepness
from rsseg.legend import LAND_COVER
from rsseg.normalise import Normalisation

pytestmark = pytest.mark.slow

SIDE = 64
SCALING = Normalisation((255.0,) * 3, (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))


@pytest.mark.parametrize("name", models.BUILDERS)
def test_a_network_gives_the_same_probabilities(name, tmp_path):
    torch.manual_seed(0)
    network = models.create(name, classes=5).eval()
    with torch.no_grad():  # decided, so that agreement means something
        [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)][
            -1
        ].weight *= 50
    bundle = Bundle(name, LAND_COVER, ("red", "green", "blue"), SCALING, window=SIDE)
    write_deepness(network, bundle, tmp_path / "model.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, SIDE, SIDE)).astype(np.float32)
    session = onnxruntime.InferenceSession(
        str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"pixels": pixels / np.float32(255)})
    gain, offset = SCALING.gain[:, None, None], SCALING.offset[:, None, None]
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels * gain + offset)).softmax(dim=1).numpy()
    assert np.abs(found - expected).max() < 1e-4
