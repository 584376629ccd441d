"""Which scenes are meant by files, folders and lists, and what their outputs are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rsseg.errors import OptionError, SceneError
from rsseg.geo.remote import is_remote, public_name

RASTERS = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg", ".jpeg")
"""What counts as a scene in a folder; a list may name anything that GDAL opens."""


def is_many(source: str | Path) -> bool:
    """Whether a source stands for several scenes: a folder, or a text list (``.txt``)."""
    return Path(source).is_dir() or (_is_list(source) and not is_remote(source))


def find_scenes(sources: Sequence[str | Path]) -> list[str]:
    """The scenes that sources name, in their order.

    A folder stands for the rasters right in it, sorted by name; a list for the paths and addresses
    on its lines, relative to the list; blank lines and those that begin with ``#`` do not count.

    Raises:
        SceneError: If a folder holds no raster, or a list names no scene or cannot be read.
    """
    found: list[str] = []
    for source in sources:
        if Path(source).is_dir():
            found += _in_folder(Path(source))
        elif is_many(source):
            found += _in_list(Path(source))
        else:
            found.append(str(source))
    return found


def output_names(scenes: Sequence[str]) -> Mapping[str, str]:
    """A file name without suffix by scene: the scene's own, with folders before it where needed.

    ``a/scene.tif`` and ``b/scene.tif`` become ``a_scene`` and ``b_scene``.

    Raises:
        OptionError: If a scene is named twice, or two differ in their suffix alone.
    """
    tails = {scene: _tail(scene) for scene in scenes}
    if len(tails) < len(scenes):
        twice = next(scene for scene in scenes if scenes.count(scene) > 1)
        raise OptionError(f"{public_name(twice)} is named twice")
    names = {scene: tail[-1] for scene, tail in tails.items()}
    for depth in range(2, 2 + max(map(len, tails.values()), default=0)):
        clashing = _clashing(names)
        if not clashing:
            return names
        names |= {scene: "_".join(tails[scene][-depth:]) for scene in clashing}
    one, other = (public_name(scene) for scene in _clashing(names)[:2])
    raise OptionError(f"{one} and {other} would have the same output", remedy="rename one of them")


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


def _tail(scene: str) -> tuple[str, ...]:
    """Folders and stem."""
    path = Path(public_name(scene))
    return (*(part.strip("/:") for part in path.parts[:-1] if part.strip("/:")), path.stem)


def _clashing(names: Mapping[str, str]) -> list[str]:
    """Scenes whose name another one has, also on a disk that takes A and a for the same."""
    by_name: dict[str, list[str]] = {}
    for scene, name in names.items():
        by_name.setdefault(name.lower(), []).append(scene)
    return [scene for scenes in by_name.values() if len(scenes) > 1 for scene in scenes]
