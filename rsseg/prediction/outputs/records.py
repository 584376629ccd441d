"""Small files beside many maps that tell which plan each of them is of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from rsseg.errors import OutputError
from rsseg.prediction.planning.journal import changes
from rsseg.replacing import replacing

Told = TypeVar("Told")

FOLDER = ".rsseg"
"""Where the records of a folder of maps lie."""

BEGUN = -1
"""The size of an output that may be there, and is our own then: someone makes it just now."""


@dataclass(frozen=True)
class Record:
    """What a finished scene was made of.

    Args:
        plan: The plan's journal.
        sizes: Bytes of each output by its kind: ``map``, ``confidence`` and so on.
        result: The outcome in plain types.
    """

    plan: dict[str, Any]
    sizes: dict[str, int]
    result: dict[str, Any]

    def of_plan(self, journal: Mapping[str, Any]) -> bool:
        """Whether it is of a plan with this journal."""
        return bool(self.plan == json.loads(json.dumps(journal)))

    def changes(self, journal: Mapping[str, Any]) -> list[str]:
        """Names of the entries in which another journal differs."""
        return changes(self.plan, json.loads(json.dumps(journal)))

    def fits(self, found: Mapping[str, int]) -> bool:
        """Whether outputs of these sizes are as they were recorded."""
        return all(self.sizes.get(kind) == size for kind, size in found.items())

    def write(self, out: Path) -> None:
        """Put it beside a map.

        Raises:
            OutputError: If that cannot be written.
        """
        path = record_path(out)
        try:
            path.parent.mkdir(exist_ok=True)
            with replacing(path) as unfinished:
                unfinished.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def record_path(out: Path) -> Path:
    """Where the record of a map lies."""
    return out.parent / FOLDER / f"{out.stem}.json"


def read_record(out: Path) -> Record | None:
    """The record of a map; None if there is none, or it cannot be understood."""
    try:
        data = json.loads(record_path(out).read_text(encoding="utf-8"))
        return Record(dict(data["plan"]), dict(data["sizes"]), dict(data["result"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def sizes(outputs: Mapping[str, Path]) -> dict[str, int]:
    """Bytes of files by kind; -2 for one that is not there."""
    return {kind: path.stat().st_size if path.is_file() else -2 for kind, path in outputs.items()}


def rasters_of(outputs: Mapping[str, Told]) -> dict[str, Told]:
    """What is told of outputs by kind, less the polygons."""
    return {kind: told for kind, told in outputs.items() if kind != "polygons"}


def without_polygons(result: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a scene as long as its polygons are not there."""
    kept = {key: value for key, value in result.items() if key not in ("polygons", "polygon_count")}
    return kept | {"item": result["item"] | {"assets": rasters_of(result["item"]["assets"])}}
