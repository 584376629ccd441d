"""What the export tool writes, and what it refuses before any work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rsseg.errors import BundleError, MissingExtra, OptionError, OutputError, RssegError
from rsseg.export.tool import SUFFIXES, export


def test_the_result_tells_what_was_written(make_model, tmp_path):
    result = export(make_model(), tmp_path / "model.onnx", to="onnx")
    assert result.files == (str(tmp_path / "model.onnx"),) == (result.out,)
    assert result.bytes == (tmp_path / "model.onnx").stat().st_size
    assert result.notes == ()
    item = export(result.out, tmp_path / "item.json", to="stac-mlm")
    assert item.bytes == (tmp_path / "item.json").stat().st_size


def test_a_model_of_unknown_resolution_is_noted(make_model, tmp_path):
    result = export(make_model(gsd=None), tmp_path / "model.onnx", to="onnx")
    (note,) = result.notes
    assert "ground sample distance is unknown" in note


@pytest.mark.slow
def test_openvino_writes_two_files(make_model, tmp_path):
    result = export(make_model(), tmp_path / "m.xml", to="openvino")
    assert result.files == (str(tmp_path / "m.xml"), str(tmp_path / "m.bin"))
    with pytest.raises(OutputError, match=r"m\.xml is already there"):
        export(make_model(), tmp_path / "m.xml", to="openvino")
    (tmp_path / "m.xml").unlink()
    with pytest.raises(OutputError, match=r"m\.bin is already there"):
        export(make_model(), tmp_path / "m.xml", to="openvino")
    again = export(make_model(), tmp_path / "m.xml", to="openvino", overwrite=True)
    # not that of the first: OpenVINO numbers the nodes it makes on through the process
    assert again.bytes == sum(Path(file).stat().st_size for file in again.files)


@pytest.mark.parametrize("to", SUFFIXES)
def test_refusals_come_before_work(make_model, tmp_path, monkeypatch, to):
    monkeypatch.setattr("rsseg.export.tool._convert", lambda *given: pytest.fail("work"))
    monkeypatch.setattr("rsseg.export.tool.write_item", lambda *given: pytest.fail("work"))
    model, out = make_model(), tmp_path / f"model{SUFFIXES[to]}"
    text = tmp_path / "text.safetensors"
    text.write_text("none")
    cases: list[tuple[object, object, type[RssegError], str]] = [
        (text, out, BundleError, "not a model file"),
        (tmp_path / "none.safetensors", out, BundleError, "no model file"),
        (model, tmp_path / "model.odd", OptionError, SUFFIXES[to]),
        (model, tmp_path / "none" / out.name, OutputError, "no folder"),
        (model, model, OptionError, SUFFIXES[to]),
    ]
    for source, target, error, message in cases:
        with pytest.raises(error, match=message):
            export(source, target, to=to)
    out.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        export(model, out, to=to)
    assert out.read_text() == "mine"


@pytest.mark.slow
def test_a_program_needs_torch_alone(make_model, tmp_path, monkeypatch):
    for package in ("onnx", "onnxscript"):
        monkeypatch.setitem(sys.modules, package, None)
    result = export(make_model(), tmp_path / "m.pt2", to="torch-export")
    assert result.bytes == (tmp_path / "m.pt2").stat().st_size
    with pytest.raises(MissingExtra, match="onnx"):
        export(make_model(), tmp_path / "m.onnx", to="onnx")


def test_one_file_for_deepness_needs_no_onnxscript(make_model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    export(make_model(), tmp_path / "m.onnx", to="onnx")
    with pytest.raises(MissingExtra, match="onnxscript"):
        export(make_model(), tmp_path / "m.xml", to="openvino")


def test_odd_formats_and_graphs_are_refused(make_model, tmp_path):
    with pytest.raises(OptionError, match="no such format.*onnx, openvino"):
        export(make_model(), tmp_path / "m.tflite", to="tflite")
    graph = export(make_model(), tmp_path / "m.onnx", to="onnx").out
    with pytest.raises(OptionError, match=r"exported already.*safetensors"):
        export(graph, tmp_path / "m.xml", to="openvino")


def test_a_failed_export_leaves_what_was_there(make_model, tmp_path, monkeypatch):
    out = tmp_path / "model.onnx"
    out.write_text("old")

    def full(self, data):
        raise OSError(28, "No space left on device")

    model = make_model()
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OutputError, match=r"model\.onnx cannot be written: No space"):
        export(model, out, to="onnx", overwrite=True)
    assert out.read_text() == "old"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.onnx", "model.safetensors"]
