"""``rsseg export``: a model for QGIS's Deepness, OpenVINO, torch, or a STAC catalogue."""

from __future__ import annotations

import click

from . import helpers


@click.command("export")
@click.argument("model", required=False)
@click.option(
    "--to",
    type=click.Choice(["onnx", "openvino", "torch-export", "stac-mlm"]),
    required=True,
    help="The format.",
)
@click.option("--out", required=True, help="File to write: .onnx, .xml, .pt2 or .json.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it is there.")
@helpers.output_options
def command(
    model: str | None, to: str, out: str, overwrite: bool, quiet: bool, as_json: bool
) -> None:
    """Write MODEL, or the embedded model, for other software.

    onnx: one file for QGIS's plugin Deepness, which brings its tile size, resolution and class
    names along; `rsseg predict --model` runs it too. Deepness divides pixels by 255 whatever their
    type, and the file undoes that: give it the bands and values that the model was trained on,
    8-bit, 16-bit or other.

    openvino: an .xml with the weights in a .bin beside it; torch-export: a .pt2. Both take raw
    pixels, float32, batch x bands x height x width, and give class probabilities.

    stac-mlm: a STAC item that describes the model file.
    """
    from rsseg.export.tool import export
    from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL

    result = export(EMBEDDED_MODEL if model is None else model, out, to=to, overwrite=overwrite)
    helpers.note(result.notes, quiet=quiet)
    text = f"{', '.join(result.files)}: {result.bytes / 1e6:.1f} MB"
    helpers.report(text, result.to_json(), quiet=quiet, as_json=as_json)
