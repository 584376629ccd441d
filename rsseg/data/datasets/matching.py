"""Pictures of a folder and what goes with each, by patterns of their names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rsseg.errors import CatalogueError

RASTERS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".bmp", ".vrt", ".img")
"""Files that a pattern with an open end takes as pictures."""
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Split by the name of a folder that tells it."""

Key = tuple[str, ...]
"""What the wildcards of a pattern stand for in a file's path, folder by folder."""

_WILDCARDS = {r"**/": r"(?:(.*)/)?", "**": r"(.*)", "*": r"([^/]*)", "?": r"([^/])"}
_SUFFIXES = re.compile(r"[_-](masks?|labels?|gt|seg|segmentation|annotations?)$", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """A file that a pattern matches.

    Args:
        path: The file.
        key: What it goes by.
    """

    path: Path
    key: Key


def find(
    source: Path, patterns: Sequence[str], suffixes: Collection[str], without: Path
) -> list[Found]:
    """Files below a folder whose path matches one of the patterns, sorted.

    In a pattern ``*`` is any name or part of one, ``**`` any folders, ``?`` any character. One
    that ends in ``*`` takes files of the given suffixes. Hidden files and folders are passed over,
    and folders with a ``catalogue.csv``, which are results.

    Args:
        source: The folder.
        patterns: Paths below it.
        suffixes: Lower-case endings that an open pattern takes.
        without: A folder to pass over too.

    Raises:
        CatalogueError: If two files go by the same name.
    """
    expressions = [(pattern.endswith("*"), _expression(pattern)) for pattern in patterns]
    found: dict[Key, Found] = {}
    for path in _files(source, without):
        key = _key(path, path.relative_to(source).as_posix(), expressions, suffixes)
        if key is None:
            continue
        if key in found:
            raise CatalogueError(
                f"{found[key].path} and {path} go by the same name '{title(key)}'",
                remedy="give patterns with a wildcard where they differ, or remove one of them",
            )
        found[key] = Found(path, key)
    return sorted(found.values(), key=lambda file: file.path)


def match(
    images: Sequence[Found], others: Sequence[Found], what: str, remedy: str = ""
) -> tuple[dict[Key, Path], list[Path]]:
    """What goes with each image, and what goes with none.

    Names agree where the patterns have wildcards; the other one may end in ``_mask``, ``_label``
    and the like.

    Args:
        images: The images.
        others: Masks or vector files.
        what: What they are, for messages.
        remedy: What else than other patterns can help an image that has none, for messages.

    Raises:
        CatalogueError: If an image has none, or two.
    """
    keys = {image.key for image in images}
    matched: dict[Key, Path] = {}
    unused = []
    for other in others:
        key = other.key if other.key in keys else _bare(other.key)
        if key not in keys:
            unused.append(other.path)
        elif key in matched:
            raise CatalogueError(
                f"two {what}s go with the image '{title(key)}'", got=f"{matched[key]}, {other.path}"
            )
        else:
            matched[key] = other.path
    lonely = [image for image in images if image.key not in matched]
    if lonely:
        more = f" and {len(lonely) - 1:,} more of {len(images):,} images" if lonely[1:] else ""
        raise CatalogueError(
            f"no {what} goes with {lonely[0].path}{more}",
            expected=f"one that goes by '{title(lonely[0].key)}'",
            remedy=f"give patterns whose wildcards stand for the same in image and {what}{remedy}",
        )
    return matched, unused


def names(images: Sequence[Found], source: Path) -> dict[Key, str]:
    """A file name without ending for each image, unique: its own, or with its folders."""
    stems = {image.key: image.path.stem for image in images}
    titles = {image.key: title(image.key) for image in images}
    paths = {
        image.key: "_".join(image.path.relative_to(source).with_suffix("").parts)
        for image in images
    }
    for choice in (stems, titles):
        if len({name.casefold() for name in choice.values()}) == len(images) and all(
            choice.values()
        ):
            return choice
    twice = [name for name, count in Counter(paths.values()).items() if count > 1]
    if twice:
        raise CatalogueError(f"two images would both be written as '{twice[0]}'")
    return paths


def folder_splits(images: Sequence[Found], source: Path) -> Mapping[Key, str] | None:
    """Split by image from folders named ``train``, ``val``, ``test``; None if there are none.

    Raises:
        CatalogueError: If only some images lie in such folders.
    """
    splits = {}
    for image in images:
        told = [
            SPLIT_FOLDERS[part.lower()]
            for part in image.path.relative_to(source).parts[:-1]
            if part.lower() in SPLIT_FOLDERS
        ]
        if told:
            splits[image.key] = told[0]
    outside = [image.path for image in images if image.key not in splits]
    if splits and outside:
        raise CatalogueError(
            f"{outside[0]} lies in no folder of a split, others do",
            expected=", ".join(dict.fromkeys(SPLIT_FOLDERS.values())),
        )
    return splits or None


def title(key: Key) -> str:
    """What a file goes by, in one word."""
    return "_".join(key)


def _expression(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(_WILDCARDS.get(piece, re.escape(piece)) for piece in pieces))


def _files(source: Path, without: Path) -> list[Path]:
    found = []
    for folder, folders, files in os.walk(source, followlinks=True):
        here = Path(folder)
        if here != source and ("catalogue.csv" in files or here.resolve() == without.resolve()):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [here / name for name in files if not name.startswith(".")]
    return sorted(found)


def _key(
    path: Path,
    name: str,
    expressions: Sequence[tuple[bool, re.Pattern[str]]],
    suffixes: Collection[str],
) -> Key | None:
    """What a file goes by under the first pattern that it matches."""
    for is_open, expression in expressions:
        fits = expression.fullmatch(name)
        if fits is None or (is_open and path.suffix.lower() not in suffixes):
            continue
        parts = [part or "" for part in fits.groups()]
        if is_open:
            parts[-1] = parts[-1].removesuffix(path.suffix)
        return tuple(piece for part in parts for piece in part.split("/") if piece)
    return None


def _bare(key: Key) -> Key:
    """The key without the suffix that tells a mask."""
    return (*key[:-1], _SUFFIXES.sub("", key[-1])) if key else key
