"""What of a plan is needed to make its outputs of finished shards, kept beside them."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rsseg.geo.grid import Grid
from rsseg.geo.remote import public_name
from rsseg.geo.shards import Shard
from rsseg.legend import Legend
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.planning.plan import Plan
from rsseg.prediction.planning.provenance import tags_of


@dataclass(frozen=True)
class Manifest:
    """Outputs to be made of shards, by whoever has the shards.

    Args:
        grid: Of the outputs.
        legend: Classes.
        tags: Provenance.
        shards: Top, bottom, left and right of each shard, in pixels of the outputs.
        beside: Files beside the map, and the names of their bands by number in the shards.
        command: Words of the command that computes the shards, without what may give access.
    """

    grid: Grid
    legend: Legend
    tags: dict[str, str]
    shards: tuple[tuple[int, int, int, int], ...]
    beside: tuple[tuple[Path, dict[int, str]], ...]
    command: tuple[str, ...]

    def to_json(self, folder: Path) -> dict[str, Any]:
        """Plain types, the inverse of `from_json`; files are named as seen from a folder."""
        start = folder.absolute()
        return {
            "grid": self.grid.to_json(),
            "legend": self.legend.to_json(),
            "tags": self.tags,
            "shards": [list(each) for each in self.shards],
            "beside": [
                [
                    os.path.relpath(path.absolute(), start),
                    {str(n): name for n, name in bands.items()},
                ]
                for path, bands in self.beside
            ],
            "command": list(self.command),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], folder: Path) -> Manifest:
        """Read what `to_json` wrote."""
        return cls(
            Grid.from_json(data["grid"]),
            Legend.from_json(data["legend"]),
            dict(data["tags"]),
            tuple((top, bottom, left, right) for top, bottom, left, right in data["shards"]),
            tuple(
                (Path(os.path.normpath(folder / name)), {int(n): text for n, text in bands.items()})
                for name, bands in data["beside"]
            ),
            tuple(data["command"]),
        )


def manifest_of(work: Plan, out: Path) -> Manifest:
    """The manifest of a plan."""
    top, left = int(work.area.window.row_off), int(work.area.window.col_off)
    return Manifest(
        work.grid,
        work.bundle.legend,
        tags_of(work),
        tuple(_place(shard, top, left) for shard in work.shards),
        tuple(work.layers.outputs(work.options)),
        ("rsseg", "predict", public_name(work.scene), "--out", str(out), *_words(work)),
    )


def _place(shard: Shard, top: int, left: int) -> tuple[int, int, int, int]:
    return shard.top - top, shard.bottom - top, shard.left - left, shard.right - left


def _words(work: Plan) -> list[str]:
    """The options of a plan that are not the defaults, as words of the command line."""
    words = []
    if work.model not in (None, EMBEDDED_MODEL):
        words += ["--model", str(work.model)]
    for field in fields(PredictOptions):
        value = getattr(work.options, field.name)
        if value == field.default or field.name in ("overwrite", "restart"):
            continue
        words.append("--" + field.name.replace("_", "-"))
        if field.name == "stretch":
            words.append(",".join(f"p{each:g}" for each in value))
        elif isinstance(value, tuple):
            words.append(",".join(map(str, value)))
        elif value is not True:
            words.append(str(value))
    return words
