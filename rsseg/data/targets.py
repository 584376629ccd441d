"""The folder that a prepared dataset is written to."""

from __future__ import annotations

from pathlib import Path

from rsseg.errors import OutputError

CATALOGUE = "catalogue.csv"
"""Name of the table of a prepared dataset, which is written last."""


def begin_target(target: Path) -> Path:
    """Make the folder, without the catalogue of an earlier run, and tell where its own will be.

    Raises:
        OutputError: If it cannot be made, or takes no files.
    """
    table = target / CATALOGUE
    make_folder(target)
    try:
        table.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{table} cannot be replaced: {error.strerror}") from error
    return table


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        OutputError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from error
