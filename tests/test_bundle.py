import dataclasses
import json
import struct
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rsseg import models
from rsseg.bundle import DECAY_BINS, HEADER_KEY, Bundle, read_bundle, read_layout
from rsseg.errors import BundleError
from rsseg.legend import LAND_COVER
from rsseg.normalise import Normalisation

BUNDLE = Bundle(
    architecture="mst-deeplabv3plus",
    legend=LAND_COVER,
    bands=("red", "green", "blue", "nir"),
    normalisation=Normalisation((255.0,) * 4, (0.1, 0.2, 0.3, 0.4), (0.5,) * 4),
    options={"output_stride": 8},
    window=384,
    gsd=0.25,
    licence="Apache-2.0",
    provenance={"seed": 3, "split": {"train": ["tile1", "Straße"]}},
    scores={"miou": 0.5, "classes": {"water": {"iou": None}}},
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    models.save(path, nn.Linear(3, 2), BUNDLE)
    return path


def _foreign(path, header):
    """A safetensors file with these texts in its header."""
    save_file({"x": torch.zeros(2)}, str(path), metadata=header)
    return path


def test_json_round_trip():
    assert Bundle.from_json(BUNDLE.to_json()) == BUNDLE
    assert "\n" not in BUNDLE.to_json()
    assert "decay" not in BUNDLE.to_json(), "files without it stay as they were"
    told = dataclasses.replace(BUNDLE, decay=tuple(0.5 / (1 + i) for i in range(DECAY_BINS)))
    assert Bundle.from_json(told.to_json()) == told


def test_reading_a_saved_bundle_loads_neither_torch_nor_rasterio(file):
    code = (
        "import sys; from rsseg.bundle import read_bundle\n"
        f"bundle = read_bundle({str(file)!r})\n"
        "assert not {'torch', 'rasterio', 'safetensors'} & sys.modules.keys()\n"
        "print(bundle.to_json())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Bundle.from_json(run.stdout) == BUNDLE == read_bundle(file)


def test_layout_points_at_the_tensors(file):
    start, tensors = read_layout(file)
    kind, first, after = tensors["bias"]
    values = struct.unpack("<2f", file.read_bytes()[start + first : start + after])
    assert kind == "F32"
    assert list(values) == load_file(str(file))["bias"].tolist()
    assert max(after for _, _, after in tensors.values()) == file.stat().st_size - start


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BundleError, match="there is no model file .*nowhere"):
        read_bundle(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"a text file, longer than a header's length\n" * 9, bytes(100), b"\xff" * 100],
)
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"odd\.safetensors"):
        read_bundle(path)


@pytest.mark.parametrize("kept", [1, 8, 9, 200])
def test_truncated_headers_are_refused_by_name(file, kept):
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        read_bundle(file)


def test_truncated_weights_are_refused_by_name(tmp_path):
    path = tmp_path / "short.safetensors"
    bundle = dataclasses.replace(BUNDLE, options={})
    models.save(path, models.create(bundle.architecture, classes=5, bands=4), bundle, half=True)
    path.write_bytes(path.read_bytes()[:-10])
    assert read_bundle(path) == bundle
    with pytest.raises(BundleError, match=r"short\.safetensors"):
        models.load(path)


def test_weights_of_another_network_are_refused_by_name(file):
    with pytest.raises(BundleError, match=r"model\.safetensors do not fit mst-deeplabv3plus"):
        models.load(file)


def test_safetensors_of_others_are_refused_by_name(tmp_path):
    for name, header in (("bare", None), ("timm", {"format": "pt"})):
        path = _foreign(tmp_path / f"{name}.safetensors", header)
        with pytest.raises(BundleError, match=rf"{name}\.safetensors .* without an rsseg header"):
            read_bundle(path)


def _with(**changes):
    return json.loads(BUNDLE.to_json()) | changes


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("not json", "damaged"),
        ("[]", "damaged"),
        (json.dumps({"schema": 1}), "damaged"),
        (json.dumps(_with(schema=2)), "newer rsseg.*upgrade"),
        (json.dumps(_with(schema="1")), "damaged"),
        (json.dumps(_with(bands=["red"])), "bands"),
        (json.dumps(_with(gsd="fine")), "damaged"),
        (json.dumps(_with(window=0)), "window"),
        (json.dumps(_with(legend=[])), "at least one class"),
        (json.dumps(_with(legend=[{"code": 0}])), "incomplete"),
        (json.dumps(_with(normalisation={})), "normalisation"),
    ],
)
def test_damaged_headers_are_refused_by_name(tmp_path, header, message):
    path = _foreign(tmp_path / "bad.safetensors", {HEADER_KEY: header})
    with pytest.raises(BundleError, match=rf"bad\.safetensors.*{message}"):
        read_bundle(path)


@pytest.mark.parametrize(
    "change",
    [
        {"window": 0},
        {"gsd": 0.0},
        {"bands": ("red",)},
        {"decay": (0.5,)},
        {"decay": (1.5,) * DECAY_BINS},
    ],
)
def test_impossible_bundles_cannot_be_made(change):
    with pytest.raises(BundleError):
        dataclasses.replace(BUNDLE, **change)
