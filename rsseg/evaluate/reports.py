"""Scores as files, and the check of their names before any work."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rsseg.errors import OptionError, OutputError
from rsseg.evaluate.plots import PICTURES, require_plots
from rsseg.replacing import replacing

REPORTS = (".json", ".csv")
"""Names of reports end so."""

RASTERS = (".tif", ".tiff")
"""Names of GeoTIFFs end so."""


def require_outputs(
    report: str | Path | None,
    picture: str | Path | None,
    *,
    inputs: Sequence[str | Path],
    overwrite: bool = False,
) -> None:
    """Check that a report and a picture can be written, where they are wanted, before any work.

    Raises:
        OptionError: If a suffix is of no format, or a file is an input.
        OutputError: If a folder is not there, or a file is already.
        MissingExtra: If a picture is wanted and matplotlib is not installed.
    """
    if report is not None:
        require_free(report, REPORTS, inputs=inputs, overwrite=overwrite)
    if picture is not None:
        require_plots()
        require_free(picture, PICTURES, inputs=inputs, overwrite=overwrite)


def require_free(
    out: str | Path,
    suffixes: Sequence[str],
    *,
    inputs: Sequence[str | Path] = (),
    overwrite: bool = False,
) -> None:
    """Check that a file can be written, before any work.

    Raises:
        OptionError: If its suffix is none of those, or it is an input.
        OutputError: If its folder is not there, or it is already.
    """
    out = Path(out)
    if out.suffix.lower() not in suffixes:
        raise OptionError(
            f"{out} cannot be written", expected=f"a name ending in {' or '.join(suffixes)}"
        )
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}", remedy="make it first")
    if out.is_dir():
        raise OutputError(f"{out} is a folder", expected="the name of a file")
    if not out.exists():
        return
    for source in inputs:
        if Path(source).exists() and out.samefile(source):
            raise OptionError(f"{out} would replace its own input", remedy="choose another name")
    if not overwrite:
        raise OutputError(f"{out} is already there", remedy="add --overwrite to replace it")


def write_report(scores: dict[str, Any], out: str | Path) -> None:
    """Write scores as JSON, or as CSV with one number a line.

    The lines of the CSV are ``score, class, predicted, value``; ``class`` is empty for scores of
    the whole, ``predicted`` for all but the confusion matrix (empty there: unpredicted).

    Raises:
        OutputError: If the file cannot be written.
    """
    out = Path(out)
    try:
        with (
            replacing(out) as unfinished,
            unfinished.open("w", encoding="utf-8", newline="") as target,
        ):
            if out.suffix.lower() == ".json":
                json.dump(scores, target, indent=2, ensure_ascii=False)
                target.write("\n")
            else:
                lines = csv.writer(target, lineterminator="\n")
                lines.writerow(("score", "class", "predicted", "value"))
                lines.writerows(_lines(scores))
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error


def _lines(scores: dict[str, Any]) -> Iterator[tuple[str, str, str, object]]:
    names = list(scores["classes"])
    for key, value in scores.items():
        if not isinstance(value, dict | list):
            yield key, "", "", value
    for name, row in scores["classes"].items():
        for key, value in row.items():
            yield key, name, "", value
    for name, row in zip(names, scores["confusion"], strict=True):
        for predicted, count in zip([*names, ""], row, strict=True):
            yield "confusion", name, predicted, count
    for note in scores.get("notes", ()):
        yield "note", "", "", note
    if "estimates" in scores:
        yield "area_unit", "", "", scores["estimates"]["area_unit"]
    estimates = scores.get("estimates", {"oa": None, "classes": {}})
    for name, row in [("", {"oa": estimates["oa"]}), *estimates["classes"].items()]:
        for key, value in row.items():
            if isinstance(value, dict):
                low, high = value["interval"] or (None, None)
                yield f"estimated_{key}", name, "", value["estimate"]
                yield f"estimated_{key}_low", name, "", low
                yield f"estimated_{key}_high", name, "", high
