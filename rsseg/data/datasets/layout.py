"""Finding the files of a dataset in a folder that was unpacked in one way or another."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rsseg.errors import CatalogueError

DEPTH = 4
"""Levels of folders looked through below the source."""


def folders(source: Path, name: str) -> list[Path]:
    """Folders of this name, in any case: the source itself or up to `DEPTH` levels below it."""
    return [folder for folder in _walk(source) if folder.name.casefold() == name.casefold()]


def named_files(where: Sequence[Path], pattern: str) -> dict[str, Path]:
    """Files right in these folders by what ``pattern`` captures of their names, in any case.

    Hidden files are passed over.

    Raises:
        CatalogueError: If two files have the same.
    """
    found: dict[str, tuple[str, Path]] = {}
    for folder in where:
        for path in sorted(folder.iterdir()):
            match = re.fullmatch(pattern, path.name, re.IGNORECASE)
            if match is None or path.name.startswith(".") or not path.is_file():
                continue
            name = match.group(1)
            _, other = found.setdefault(name.casefold(), (name, path))
            if other != path:
                raise CatalogueError(
                    f"{other} and {path} are both '{name}'", remedy="remove one of them"
                )
    return dict(found.values())


def first_files(source: Path, names: Sequence[str], pattern: str) -> dict[str, Path]:
    """`named_files` of the first of the folder names under which there are any.

    Raises:
        CatalogueError: If two files are the same.
    """
    for name in names:
        found = named_files(folders(source, name), pattern)
        if found:
            return found
    return {}


def require_own_files(
    files: Iterable[tuple[Path, Sequence[Path]]], sources: Iterable[Path]
) -> None:
    """Check that no two pictures write one file, whatever the case of names, nor over a source.

    Args:
        files: Each picture and the files it will be written to.
        sources: Files that are read.

    Raises:
        CatalogueError: If they would.
    """
    read = {path.resolve() for path in sources}
    owners: dict[str, Path] = {}
    for image, written in files:
        for path in written:
            if path.resolve() in read:
                raise CatalogueError(f"{path} would be overwritten", remedy="choose another target")
            other = owners.setdefault(path.name.casefold(), image)
            if other != image:
                raise CatalogueError(
                    f"{other} and {image} would both become {path.name}",
                    remedy="rename or remove one of them",
                )


def _walk(source: Path) -> list[Path]:
    """The source and the folders below it, the nearest first, but for hidden ones and macOS's."""
    found = level = [source.resolve()] if source.is_dir() else []
    for _ in range(DEPTH):
        level = [path for folder in level for path in _subfolders(folder)]
        found = found + level
    return found


def _subfolders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    return [folder / name for name in sorted(names) if not name.startswith((".", "__MACOSX"))]
