"""Tables that people write: CSV with a heading, in UTF-8."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rsseg.errors import RssegError


@dataclass(frozen=True)
class CsvTable:
    """A table as text.

    Args:
        columns: Names of the columns.
        rows: Of each row its line and its values by column, without spaces around; what a short
            row lacks is empty.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def read_csv(path: Path, what: str, error: type[RssegError]) -> CsvTable:
    """Read a table.

    Args:
        path: The file.
        what: What it should be, for messages.
        error: Raised if it is not.

    Raises:
        RssegError: Of the given kind, if the file cannot be read, is no CSV in UTF-8, has other
            marks than commas, a quote without end or two columns of one name, or a row is longer
            than the heading.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = tuple(name.strip() for name in next(reader, ()))
            lines = [(reader.line_num, values) for values in reader if values]
    except OSError as failure:
        raise error(f"{path} cannot be read as {what}: {failure.strerror}") from failure
    except UnicodeDecodeError as failure:
        raise error(f"{path} cannot be read as {what}", expected="a CSV in UTF-8") from failure
    except csv.Error as failure:
        raise error(
            f"{path} cannot be read as {what}, line {reader.line_num}: {failure}",
            expected="a CSV; a quote inside of quotes is written twice",
        ) from failure
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t"):
        raise error(
            f"{path} has no commas between its columns",
            got=repr(columns[0]),
            remedy="save it with commas",
        )
    # spreadsheets may write empty columns at the end
    twice = [name for name, times in Counter(columns).items() if name and times > 1]
    if twice:
        raise error(f"{path} has two columns '{twice[0]}'")
    for line, values in lines:
        if len(values) > len(columns):
            raise error(
                f"{path}, line {line} has {len(values)} values",
                expected=f"{len(columns)}; those that hold a comma stand in quotes",
            )
    filled = ((line, values + [""] * (len(columns) - len(values))) for line, values in lines)
    return CsvTable(
        columns,
        tuple(
            (line, dict(zip(columns, map(str.strip, values), strict=True)))
            for line, values in filled
        ),
    )
