"""``rsseg export`` and ``rsseg info --markdown`` on the command line."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from rsseg.bundle import read_bundle
from rsseg.export.tool import SUFFIXES
from rsseg.model_card import model_card
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg_cli import export
from rsseg_cli.main import main


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_formats_are_those_of_the_tool():
    (choice,) = [option.type for option in export.command.params if option.name == "to"]
    assert isinstance(choice, click.Choice)
    assert list(choice.choices) == list(SUFFIXES)


def test_an_item_of_the_embedded_model(tmp_path):
    out = tmp_path / "item.json"
    done = run("export", "--to", "stac-mlm", "--out", out, "--json")
    assert done.exit_code == 0
    note = f"the item looks for landcover.safetensors beside itself: copy it from {EMBEDDED_MODEL}"
    assert done.stderr == f"note: {note}\n"
    told = json.loads(done.stdout)
    assert told == {
        "out": str(out),
        "format": "stac-mlm",
        "files": [str(out)],
        "bytes": out.stat().st_size,
        "notes": [note],
    }
    item = json.loads(out.read_text(encoding="utf-8"))
    assert item["assets"]["model"]["href"] == EMBEDDED_MODEL.name
    again = run("export", EMBEDDED_MODEL, "--to", "stac-mlm", "--out", out)
    assert again.exit_code == 1
    assert again.stderr.count("\n") == 1
    assert run("export", "--to", "stac-mlm", "--out", out, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--to", "onnx"], 2, "--out"),
        (["--to", "tflite", "--out", "x"], 2, "tflite"),
        (["--to", "onnx", "--out", "model.xml"], 2, "a name ending in .onnx"),
        (["none.safetensors", "--to", "onnx", "--out", "m.onnx"], 1, "there is no model file"),
        (["--to", "onnx", "--out", "none/m.onnx"], 1, "there is no folder none"),
    ],
)
def test_misuse_is_one_line(tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    done = run("export", *arguments)
    assert done.exit_code == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_items_need_no_torch(tmp_path):
    code = (
        "import sys\n"
        "from rsseg_cli.main import main\n"
        f"main(['export', '--to', 'stac-mlm', '--out', {str(tmp_path / 'i.json')!r}],"
        " standalone_mode=False)\n"
        "assert not {'torch', 'onnx', 'openvino'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_card_is_printed():
    done = run("info", EMBEDDED_MODEL, "--markdown")
    assert done.exit_code == 0
    assert done.stdout == model_card(EMBEDDED_MODEL)
    both = run("info", EMBEDDED_MODEL, "--markdown", "--json")
    assert both.exit_code == 2


def test_only_models_have_cards(tmp_path):
    path = tmp_path / "map.tif"
    path.write_bytes(b"II*\0")
    done = run("info", path, "--markdown")
    assert done.exit_code == 1
    assert "not a model file" in done.stderr


@pytest.mark.slow
def test_the_exported_embedded_model_maps_as_the_embedded_one(make_scene, tmp_path):
    graph, scene = tmp_path / "landcover.onnx", make_scene(height=700, width=600)
    assert run("export", "--to", "onnx", "--out", graph).exit_code == 0
    assert read_bundle(graph).legend == read_bundle(EMBEDDED_MODEL).legend
    assert "kind: model" in run("info", graph).stdout
    maps = []
    for model in (EMBEDDED_MODEL, graph):
        out = tmp_path / f"{model.suffix[1:]}.tif"
        done = run("predict", scene, "--model", model, "--precision", "fp32", "--out", out)
        assert done.exit_code == 0, done.stderr
        with rasterio.open(out) as dataset:
            maps.append(dataset.read(1))
    assert np.mean(maps[0] == maps[1]) > 0.9999
