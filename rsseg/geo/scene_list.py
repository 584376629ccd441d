"""Which scenes are meant by files, folders and lists, and what their outputs are called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rsseg.errors import OptionError, SceneError
from rsseg.geo.footprints import is_table, read_footprints
from rsseg.geo.remote import is_remote, public_name
from rsseg.geo.stac import Item, is_stac_name, read_items

Named = str | Item
"""A scene by its name, or as STAC describes it."""

RASTERS = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg", ".jpeg")
"""What counts as a scene in a folder; a list may name anything that GDAL opens."""


def is_many(source: str | Path) -> bool:
    """Whether a source stands for several scenes.

    So do a folder, a text list (``.txt``), a STAC file (``.json``, also at an address) and a table
    of footprints (GeoParquet, or a vector file).
    """
    if is_remote(source):
        return is_stac_name(source)
    return Path(source).is_dir() or _is_list(source) or is_stac_name(source) or is_table(source)


def is_table_or_stac(source: str | Path) -> bool:
    """Whether a source is a STAC file, or a table of footprints."""
    return is_stac_name(source) or (not is_remote(source) and is_table(source))


def find_scenes(sources: Sequence[str | Path], column: str | None = None) -> list[Named]:
    """The scenes that sources name, in their order.

    A folder stands for the rasters right in it, sorted by name; a list for the paths and addresses
    on its lines, relative to the list; blank lines and those that begin with ``#`` do not count. A
    STAC file stands for all items in and below it, a table of footprints for the files it names.

    Args:
        sources: Files, folders, lists, STAC files and tables.
        column: The column of tables that names files; one that is known to do so if None.

    Raises:
        SceneError: If a folder holds no raster, or a list, a STAC file or a table names no scene
            or cannot be read.
        OptionError: If a table has no such column.
        MissingExtra: If a library for STAC or GeoParquet is missing.
    """
    found: list[Named] = []
    for source in sources:
        if not is_many(source):
            found.append(str(source))
        elif is_stac_name(source):
            items = read_items(source)
            found += read_footprints(source, column) if items is None else items
        elif Path(source).is_dir():
            found += _in_folder(Path(source))
        elif _is_list(source):
            found += _in_list(Path(source))
        else:
            found += read_footprints(source, column)
    return found


def output_names(scenes: Sequence[Named]) -> Mapping[Named, str]:
    """A file name without suffix by scene: the scene's own, with folders before it where needed.

    ``a/scene.tif`` and ``b/scene.tif`` become ``a_scene`` and ``b_scene``; an item is called by its
    id, with its collection before it where needed.

    Raises:
        OptionError: If a scene is named twice, or two differ in their suffix alone.
    """
    tails = {scene: _tail(scene) for scene in scenes}
    if len(tails) < len(scenes):
        twice = next(scene for scene in scenes if scenes.count(scene) > 1)
        raise OptionError(f"{told_name(twice)} is named twice")
    names = {scene: tail[-1] for scene, tail in tails.items()}
    for depth in range(2, 2 + max(map(len, tails.values()), default=0)):
        clashing = _clashing(names)
        if not clashing:
            return names
        names |= {scene: "_".join(tails[scene][-depth:]) for scene in clashing}
    one, other = (told_name(scene) for scene in _clashing(names)[:2])
    raise OptionError(f"{one} and {other} would have the same output", remedy="rename one of them")


def told_name(scene: Named) -> str:
    """What a scene is called in messages: without what may give access."""
    if isinstance(scene, Item):
        return public_name(scene.href) if scene.href else str(scene)
    return public_name(scene)


def _in_folder(folder: Path) -> list[str]:
    inside = sorted(folder.iterdir())
    scenes = [
        str(path)
        for path in inside
        if path.suffix.lower() in RASTERS and not path.name.startswith(".") and path.is_file()
    ]
    if not scenes:
        raise SceneError(
            f"the folder {folder} holds no scene", expected=f"files such as {', '.join(RASTERS)}"
        )
    return scenes


def _in_list(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise SceneError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SceneError(f"the list {path} cannot be read: {error}") from error
    named = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not named:
        raise SceneError(f"the list {path} names no scene", expected="one path a line")
    there = [name if is_remote(name) or name.startswith("/vsi") else None for name in named]
    return [
        known or str(path.parent / name) for known, name in zip(there, named, strict=True)
    ]  # an absolute path stays as it is


def _is_list(source: str | Path) -> bool:
    return str(source).lower().endswith(".txt")


def _tail(scene: Named) -> tuple[str, ...]:
    """Folders and stem."""
    if isinstance(scene, Item):
        parts = (scene.collection, scene.id) if scene.collection else (scene.id,)
        return tuple(re.sub(r"[^\w.-]+", "_", part) for part in parts)
    path = Path(public_name(scene))
    return (*(part.strip("/:") for part in path.parts[:-1] if part.strip("/:")), path.stem)


def _clashing(names: Mapping[Named, str]) -> list[Named]:
    """Scenes whose name another one has, also on a disk that takes A and a for the same."""
    by_name: dict[str, list[Named]] = {}
    for scene, name in names.items():
        by_name.setdefault(name.lower(), []).append(scene)
    return [scene for scenes in by_name.values() if len(scenes) > 1 for scene in scenes]
