"""Catalogues as files: CSV, or a layer of a GeoPackage with the scenes' footprints."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.windows import Window

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.csv_tables import read_csv
from rsseg.errors import CatalogueError, OutputError
from rsseg.replacing import replacing
from rsseg.writable import require_writable

COLUMNS = ("image", "label", "split", "group")
OPTIONAL = ("field", "areas", "background", "window")
"""Columns that may be missing, see `LabelledScene`; a window is ``COLUMN ROW WIDTH HEIGHT``."""

_LAYER = "catalogue"


def read_catalogue(path: str | Path) -> Catalogue:
    """Read a table with the columns ``image, label, split, group`` and maybe `OPTIONAL` ones.

    Relative paths are relative to the table's own folder.

    Args:
        path: A CSV, or a GeoPackage whose layer ``catalogue`` (or only layer) is the table.

    Raises:
        CatalogueError: If the file, a column or a listed file is missing, or a value is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise CatalogueError(f"there is no catalogue {path}")
    rows = _geopackage(path) if path.suffix.lower() == ".gpkg" else _csv(path)
    scenes = tuple(_scene(path, where, row) for where, row in rows)
    try:
        return Catalogue(scenes)
    except CatalogueError as error:
        raise CatalogueError(f"{path}: {error}") from error


def write_catalogue(path: str | Path, catalogue: Catalogue) -> None:
    """Write what `read_catalogue` reads; paths below the table's folder become relative.

    In a GeoPackage (``.gpkg``) the rows have the footprints of their scenes, in longitude and
    latitude, where these have a place on the ground.

    Raises:
        OutputError: If the file cannot be written.
    """
    path = Path(path)
    rows = [row_of(scene, path.parent) for scene in catalogue]
    used = [name for name in OPTIONAL if any(row[name] for row in rows)]
    names = [*COLUMNS, *used]
    try:
        with replacing(path) as unfinished:
            if path.suffix.lower() == ".gpkg":
                _write_geopackage(unfinished, names, rows, catalogue)
            else:
                with unfinished.open("w", newline="", encoding="utf-8") as file:
                    writer = csv.writer(file)
                    writer.writerow(names)
                    writer.writerows([row[name] for name in names] for row in rows)
    except (OSError, DataSourceError) as error:
        raise OutputError(f"{path} cannot be written: {error}") from error


def row_of(scene: LabelledScene, folder: Path) -> dict[str, str]:
    """A row of a table in this folder, with all columns; paths below it are relative."""
    window = "" if scene.window is None else " ".join(str(int(v)) for v in scene.window.flatten())
    return {
        "image": _relative(scene.image, folder),
        "label": _relative(scene.label, folder),
        "split": scene.split,
        "group": scene.group,
        "field": scene.field or "",
        "areas": _relative(scene.areas, folder) if scene.areas else "",
        "background": scene.background or "",
        "window": window,
    }


def require_output(out: str | Path, source: str | Path, *, overwrite: bool = False) -> None:
    """Check before any work that a new catalogue can be written.

    Raises:
        OptionError: If it would replace the catalogue it is made from, or is no CSV or GeoPackage.
        OutputError: If it is there already, or its folder is not there or takes no file.
    """
    require_writable(out, (".csv", ".gpkg"), inputs=(source,), overwrite=overwrite)


def _csv(path: Path) -> Iterable[tuple[str, dict[str, str]]]:
    table = read_csv(path, "a catalogue", CatalogueError)
    _require_columns(path, table.columns)
    return ((f"line {line}", row) for line, row in table.rows)


def _geopackage(path: Path) -> Iterable[tuple[str, dict[str, str]]]:
    try:
        layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
        layer = _LAYER if _LAYER in layers or not layers else layers[0]
        meta, _, _, columns = pyogrio.raw.read(path, layer=layer, read_geometry=False)
    except (DataSourceError, DataLayerError) as error:
        raise CatalogueError(f"{path} cannot be read", expected="a GeoPackage") from error
    names = [str(name) for name in meta["fields"]]
    _require_columns(path, names)
    for number, values in enumerate(zip(*columns, strict=True), 1):
        row = zip(names, values, strict=True)
        yield f"row {number}", {k: _text(v) for k, v in row}


def _require_columns(path: Path, names: Collection[str]) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise CatalogueError(
            f"{path} lacks the columns {', '.join(missing)}",
            expected=", ".join(COLUMNS),
            got=", ".join(names) or "nothing",
        )


def _text(value: Any) -> str:
    """A value of a GeoPackage; whole numbers come as floating-point ones where some are NULL."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _scene(table: Path, where: str, row: Mapping[str, str]) -> LabelledScene:
    values = {name: row.get(name, "").strip() for name in (*COLUMNS, *OPTIONAL)}
    files = {}
    for name in ("image", "label", "areas"):
        file = table.parent / values[name]
        if name != "areas" and not values[name]:
            raise CatalogueError(f"{table}, {where}: there is no {name}")
        if values[name] and not file.is_file():
            raise CatalogueError(f"{table}, {where}: there is no {name} {file}")
        files[name] = file if values[name] else None
    image, label = files["image"], files["label"]
    assert image is not None
    assert label is not None
    try:
        return LabelledScene(
            image,
            label,
            values["split"],
            values["group"],
            values["field"] or None,
            files["areas"],
            values["background"] or None,
            _window(values["window"]),
        )
    except CatalogueError as error:
        raise CatalogueError(f"{table}, {where}: {error}") from error


def _window(text: str) -> Window | None:
    if not text:
        return None
    numbers = text.split()
    if len(numbers) != 4 or not all(n.isdecimal() for n in numbers) or "0" in numbers[2:]:
        raise CatalogueError(
            "a window is wrong", expected="COLUMN ROW WIDTH HEIGHT in pixels", got=f"'{text}'"
        )
    return Window(*map(int, numbers))


def _relative(file: Path, folder: Path) -> str:
    """A path below the folder as it stands there, links too; that of the file itself elsewhere."""
    for place in (os.path.abspath, os.path.realpath):
        if (found := Path(place(file))).is_relative_to(place(folder)):
            return found.relative_to(place(folder)).as_posix()
    return found.as_posix()


def _write_geopackage(
    path: Path, names: list[str], rows: list[dict[str, str]], catalogue: Catalogue
) -> None:
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array([_footprint(scene) for scene in catalogue], dtype=object)),
        [np.array([row[name] for row in rows], dtype=object) for name in names],
        names,
        layer=_LAYER,
        driver="GPKG",
        geometry_type="Polygon",
        crs="EPSG:4326",
    )


def _footprint(scene: LabelledScene) -> shapely.Polygon | None:
    """The outline of a scene in longitude and latitude; None if it has no place."""
    grid = scene.footprint()
    return grid.outline(crs="EPSG:4326") if grid.georeferenced else None
