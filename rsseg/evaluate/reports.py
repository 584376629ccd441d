"""Scores as files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsseg.errors import OutputError
from rsseg.replacing import replacing

REPORTS = (".json", ".csv")
"""Names of reports end so."""

_Line = tuple[str, str, str, object]


def write_report(scores: dict[str, Any], out: str | Path) -> None:
    """Write scores as JSON, or as CSV with one number a line.

    The lines of the CSV are ``score, class, predicted, value``; ``class`` is empty for scores of
    the whole, ``predicted`` for all but the confusion matrix (empty there: unpredicted). Scores
    by the whole truth beside an eroded one begin with ``full_``, settings with ``setting_``.

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


def _lines(report: dict[str, Any]) -> Iterator[_Line]:
    yield from _of_scores(report, "")
    yield from _of_scores(report["full"], "full_") if "full" in report else ()
    yield from _of_estimates(report["estimates"]) if "estimates" in report else ()
    for note in report.get("notes", ()):
        yield "note", "", "", note
    for key, value in report.get("settings", {}).items():
        yield f"setting_{key}", "", "", ",".join(value) if isinstance(value, list) else value


def _of_scores(scores: dict[str, Any], prefix: str) -> Iterator[_Line]:
    names = list(scores["classes"])
    for key, value in scores.items():
        if not isinstance(value, dict | list):
            yield prefix + key, "", "", value
    for name, row in scores["classes"].items():
        for key, value in row.items():
            yield prefix + key, name, "", value
    for name, row in zip(names, scores["confusion"], strict=True):
        for predicted, count in zip([*names, ""], row, strict=True):
            yield f"{prefix}confusion", name, predicted, count


def _of_estimates(estimates: dict[str, Any]) -> Iterator[_Line]:
    """What points say of the whole map; the proportions have the mapped class as predicted."""
    names = list(estimates["classes"])
    yield "area_unit", "", "", estimates["area_unit"]
    for name, row in [("", {"oa": estimates["oa"]}), *estimates["classes"].items()]:
        for key, value in row.items():
            if not isinstance(value, dict):
                yield key, name, "", value
                continue
            low, high = value["interval"] or (None, None)
            yield f"estimated_{key}", name, "", value["estimate"]
            yield f"estimated_{key}_standard_error", name, "", value["standard_error"]
            yield f"estimated_{key}_low", name, "", low
            yield f"estimated_{key}_high", name, "", high
    for mapped, shares in zip(names, estimates["proportions"], strict=True):
        for true, share in zip(names, shares, strict=True):
            yield "estimated_proportion", true, mapped, share
