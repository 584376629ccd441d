"""Programs of torch.export: the model's probabilities without its code."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from rsseg.bundle import Bundle, read_bundle
from rsseg.export.torch_program import write_program
from rsseg.models import load

pytestmark = pytest.mark.slow

ALONE = """
import sys, numpy as np, torch
told = {"rsseg": ""}
network = torch.export.load(sys.argv[1], extra_files=told).module()
for name in sys.argv[2:]:
    pixels = torch.from_numpy(np.load(name).astype(np.float32))
    with torch.no_grad():
        np.save(name, network(pixels).numpy())
assert not any(name.startswith(("rsseg", "timm")) for name in sys.modules)
print(told["rsseg"])
"""


def test_it_runs_without_rsseg_on_batches_of_any_size(
    make_model, make_pixels, probabilities, tmp_path
):
    model, out = make_model(bands=4, scale=10_000.0), tmp_path / "model.pt2"
    write_program(*load(model), out)
    asked = {}
    for count, side in ((1, 48), (3, 80)):
        pixels = make_pixels(4, side=side, count=count, top=9000, dtype="uint16")
        file = tmp_path / f"{side}.npy"
        np.save(file, pixels)
        asked[file] = pixels
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ALONE, str(out), *map(str, asked)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert child.returncode == 0, child.stderr
    assert Bundle.from_json(child.stdout) == read_bundle(model)
    for file, pixels in asked.items():
        assert np.abs(np.load(file) - probabilities(model, pixels)).max() < 1e-4
