"""Classes as people list them: a CSV, or names with commas."""

from __future__ import annotations

import colorsys
import csv
import re
from dataclasses import dataclass
from pathlib import Path

from rsseg.data.csv_tables import read_csv
from rsseg.errors import LegendError, OutputError
from rsseg.legend import Colour, LandClass, Legend
from rsseg.replacing import replacing

COLUMNS = ("code", "name", "colour")
FILE = "classes.csv"
"""Name of the table that stands beside a catalogue."""


@dataclass(frozen=True)
class ClassTable:
    """Classes, and what stands for them in masks.

    Args:
        legend: The classes, with the codes to write.
        values: Code by the value in a mask of one band.
        colours: Code by the colour in a mask; empty if no colours were stated.
    """

    legend: Legend
    values: dict[int, int]
    colours: dict[Colour, int]

    @classmethod
    def of(cls, legend: Legend) -> ClassTable:
        """Classes whose own codes stand in masks."""
        return cls(legend, {c.code: c.code for c in legend}, {})


def read_classes(text: str) -> ClassTable:
    """Read ``FILE.csv`` with the columns of `COLUMNS` and ``value``, or ``a,b,c``.

    Only ``name`` must be there. Codes are 0, 1, ... if not stated, values in masks are the codes,
    colours are ``#rrggbb`` or three numbers.

    Raises:
        LegendError: If the file cannot be read, or its rows contradict each other.
    """
    if not text.lower().endswith(".csv"):
        return ClassTable.of(named_legend([name.strip() for name in text.split(",")]))
    table = read_csv(Path(text), "a table of classes", LegendError)
    if "name" not in table.columns:
        raise LegendError(f"{text} has no column 'name'", expected=", ".join(COLUMNS))
    classes, values, colours = [], {}, {}
    for number, (line, row) in enumerate(table.rows):
        where = f"{text}, line {line}"
        code = _whole(row.get("code", ""), number, where)
        value = _whole(row.get("value", ""), code, where)
        colour = _colour(row["colour"], where) if row.get("colour") else None
        classes.append(LandClass(code, row["name"], colour or distinct(number)))
        if value in values or colour in colours:
            what = f"value {value}" if value in values else f"colour {colour}"
            raise LegendError(f"{where}: another class has the {what}")
        values[value] = code
        if colour is not None:
            colours[colour] = code
    return ClassTable(Legend(tuple(classes)), values, colours)


def write_classes(path: Path, legend: Legend) -> None:
    """Write what `read_classes` reads.

    Raises:
        OutputError: If the file cannot be written.
    """
    try:
        with (
            replacing(path) as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows((c.code, c.name, c.hex) for c in legend)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def named_legend(names: list[str]) -> Legend:
    """Names in order, with codes 0, 1, ... and colours that differ."""
    return Legend(tuple(LandClass(i, name, distinct(i)) for i, name in enumerate(names)))


def distinct(number: int) -> Colour:
    """A colour for a class that has none: hues a golden section apart."""
    rgb = colorsys.hsv_to_rgb((0.1 + number * 0.618034) % 1, 0.55 + 0.3 * (number % 2), 0.85)
    red, green, blue = (round(255 * channel) for channel in rgb)
    return red, green, blue


def parse_colour(text: str) -> Colour | None:
    """The colour ``#rrggbb`` or three numbers; None if it is neither."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    numbers = re.fullmatch(r"\(?(\d{1,3})[ ,;]+(\d{1,3})[ ,;]+(\d{1,3})\)?", text)
    if numbers is None or max(int(n) for n in numbers.groups()) > 255:
        return None
    return int(numbers[1]), int(numbers[2]), int(numbers[3])


def _colour(text: str, where: str) -> Colour:
    colour = parse_colour(text)
    if colour is None:
        raise LegendError(f"{where}: no colour", expected="#rrggbb or 'r g b'", got=repr(text))
    return colour


def _whole(text: str, default: int, where: str) -> int:
    if text and not re.fullmatch(r"\d+", text):
        raise LegendError(f"{where}: no code", expected="a whole number", got=repr(text))
    return int(text) if text else default
