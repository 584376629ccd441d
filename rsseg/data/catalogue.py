"""The table of labelled scenes: which image goes with which label, split and group."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rsseg.errors import CatalogueError
from rsseg.geo.grid import Grid
from rsseg.geo.scene import open_raster

COLUMNS = ("image", "label", "split", "group")


@dataclass(frozen=True)
class LabelledScene:
    """One row: a scene, the class raster on its grid, its split and its group.

    Pixels of one ``group`` (a tile, a flight, a town) belong in one split.
    """

    image: Path
    label: Path
    split: str
    group: str

    def grid(self) -> Grid:
        """The grid that image and label share.

        Raises:
            GridMismatch: If they do not.
            SceneError: If one of them cannot be opened.
        """
        with open_raster(self.image) as image, open_raster(self.label) as label:
            grid = Grid.of(image)
            grid.require_same(Grid.of(label), str(self.image), str(self.label))
        return grid


@dataclass(frozen=True)
class Catalogue:
    """Labelled scenes in a fixed order.

    Raises:
        CatalogueError: If there are none, or an image is listed twice.
    """

    scenes: tuple[LabelledScene, ...]

    def __post_init__(self) -> None:
        if not self.scenes:
            raise CatalogueError("the catalogue lists no scene")
        images = [scene.image for scene in self.scenes]
        twice = sorted({str(image) for image in images if images.count(image) > 1})
        if twice:
            raise CatalogueError(f"the catalogue lists {twice[0]} more than once")

    def __len__(self) -> int:
        return len(self.scenes)

    def __iter__(self) -> Iterator[LabelledScene]:
        return iter(self.scenes)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, sorted."""
        return tuple(sorted({scene.split for scene in self.scenes}))

    def split(self, name: str) -> Catalogue:
        """The scenes of one split.

        Raises:
            CatalogueError: If no scene is in it.
        """
        chosen = tuple(scene for scene in self.scenes if scene.split == name)
        if not chosen:
            raise CatalogueError(
                f"no scene is in the split '{name}'", expected=", ".join(self.splits)
            )
        return Catalogue(chosen)


def read_catalogue(path: str | Path) -> Catalogue:
    """Read a CSV with the columns ``image, label, split, group``.

    Relative paths are relative to the CSV's own folder.

    Raises:
        CatalogueError: If the file, a column or a listed file is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise CatalogueError(f"there is no catalogue {path}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CatalogueError(f"{path} is not a text in UTF-8", expected="a CSV") from error
    reader = csv.DictReader(lines)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    if missing:
        raise CatalogueError(
            f"{path} lacks the columns {', '.join(missing)}", expected=", ".join(COLUMNS)
        )
    return Catalogue(tuple(_row(path, number, row) for number, row in enumerate(reader, 2)))


def write_catalogue(path: str | Path, catalogue: Catalogue) -> None:
    """Write what `read_catalogue` reads; paths below the CSV's folder become relative."""
    path = Path(path)
    folder = path.parent.resolve()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for scene in catalogue:
            files = [
                file.relative_to(folder) if file.is_relative_to(folder) else file
                for file in (scene.image.resolve(), scene.label.resolve())
            ]
            writer.writerow([*(file.as_posix() for file in files), scene.split, scene.group])


def _row(table: Path, line: int, row: dict[str, str | None]) -> LabelledScene:
    values = {name: (row[name] or "").strip() for name in COLUMNS}
    for name in ("image", "label"):
        file = table.parent / values[name]
        if not values[name] or not file.is_file():
            raise CatalogueError(f"{table}, line {line}: there is no {name} {file}")
    return LabelledScene(
        table.parent / values["image"],
        table.parent / values["label"],
        values["split"],
        values["group"],
    )
