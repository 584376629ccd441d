"""OpenVINO's format: the model's probabilities, and two files or none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import openvino
import pytest

from rsseg.bundle import Bundle, read_bundle
from rsseg.errors import OutputError
from rsseg.export import openvino_ir
from rsseg.export.openvino_ir import weights_of, write_openvino
from rsseg.models import load
from rsseg.prediction.engines.openvino_core import openvino_core

pytestmark = pytest.mark.slow


def run(xml: Path, pixels: np.ndarray) -> np.ndarray:
    settings = {"INFERENCE_PRECISION_HINT": openvino.Type.f32}
    compiled = openvino_core().compile_model(openvino_core().read_model(xml), "CPU", settings)
    return compiled(pixels.astype(np.float32))[0]


def test_raw_pixels_of_any_size_give_the_probabilities_of_the_model(
    make_model, make_pixels, probabilities, tmp_path
):
    model, out = make_model(scale=10_000.0), tmp_path / "model.xml"
    write_openvino(*load(model), out)
    for side in (48, 80):
        pixels = make_pixels(side=side, top=9000, dtype="uint16")
        assert np.abs(run(out, pixels) - probabilities(model, pixels)).max() < 1e-4
    told = openvino_core().read_model(out).get_rt_info("rsseg").value
    assert Bundle.from_json(told) == read_bundle(model)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "model.bin",
        "model.safetensors",
        "model.xml",
    ]


@pytest.mark.parametrize("cut", ["model.bin", "model.xml"])
def test_files_cut_short_by_a_full_disk_do_not_appear(make_model, tmp_path, monkeypatch, cut):
    save = openvino.save_model

    def save_half(model, xml, **options):
        save(model, xml, **options)
        file = xml.with_name(cut)
        os.truncate(file, file.stat().st_size // 2)

    monkeypatch.setattr(openvino_ir.openvino, "save_model", save_half)
    out = tmp_path / "model.xml"
    with pytest.raises(OutputError, match=r"model\.xml cannot be written"):
        write_openvino(*load(make_model()), out)
    assert [each.name for each in tmp_path.iterdir()] == ["model.safetensors"]


def test_no_graph_is_left_without_its_weights(make_model, tmp_path, monkeypatch):
    out, replace = tmp_path / "model.xml", os.replace

    def fail_on_graphs(source, target):
        if Path(target) == out:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr("rsseg.replacing.os.replace", fail_on_graphs)
    with pytest.raises(OSError, match="No space"):
        write_openvino(*load(make_model()), out)
    assert not out.exists()
    assert not weights_of(out).exists()
