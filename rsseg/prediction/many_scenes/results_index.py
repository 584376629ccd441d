"""What lies in a folder of maps, for other software: a STAC ItemCollection, a table, a VRT."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rsseg.errors import GridMismatch, MissingExtra, OptionError, OutputError
from rsseg.geo.footprints import write_footprints
from rsseg.geo.grid import Grid
from rsseg.geo.lon_lat import outline_of
from rsseg.geo.objects import is_object, joined, object_size, put_object, read_object
from rsseg.geo.projection import grid_of_projection
from rsseg.geo.remote import is_remote
from rsseg.geo.virtual_maps import virtual_maps
from rsseg.legend import Legend
from rsseg.prediction.outputs.map_items import CLASSES, KINDS, legend_of_item
from rsseg.prediction.outputs.records import FOLDER, read_record
from rsseg.prediction.outputs.staging import MAP, Place, Stage
from rsseg.replacing import replacing

ITEMS, TABLE, PLAIN_TABLE, VRT = "items.json", "index.parquet", "index.gpkg", "index.vrt"
_FILES = (ITEMS, TABLE, PLAIN_TABLE, VRT)
_OURS = f"{FOLDER}/index.txt"
"""Names those of the files that were written here, so that no one else's are replaced."""


@dataclass(frozen=True)
class ResultsIndex:
    """What was written of a folder of maps.

    Args:
        maps: Maps in it.
        files: The files.
        notes: What the user should know, one sentence each.
    """

    maps: int
    files: tuple[str, ...]
    notes: tuple[str, ...]


def require_index(
    out: Place, *, inputs: Sequence[str | Path] = (), overwrite: bool = False
) -> None:
    """Check that the files of `index_results` would replace no one else's.

    Args:
        out: The folder, which need not be there.
        inputs: Files that must stay.
        overwrite: Whether others may be replaced.

    Raises:
        OptionError: If one of these names is that of an input.
        OutputError: If it is that of another file, or a store does not answer.
    """
    there = {name for name in _FILES if _is_there(joined(out, name))}
    kept = {_known(path) for path in inputs}
    for name in sorted(there):
        if _known(joined(out, name)) in kept:
            raise OptionError(
                f"{joined(out, name)} is an input, and the list of the maps would replace it",
                remedy="choose another folder",
            )
    if overwrite or not there:
        return
    ours = joined(out, _OURS)
    known: set[str] = set()
    if _is_there(ours):
        data = read_object(str(ours)) if is_object(ours) else Path(ours).read_bytes()
        known = set(data.decode().split())
    for name in sorted(there - known):
        raise OutputError(
            f"{joined(out, name)} is already there, where the list of the maps is to be",
            remedy="choose another folder, or add --overwrite to replace it",
        )


def index_results(
    out: Place,
    *,
    names: Iterable[str] | None = None,
    vrt: bool = False,
    scratch: str | Path | None = None,
) -> ResultsIndex:
    """Write what lies in a folder of maps, anew and each file whole.

    ``items.json`` is a STAC ItemCollection, ``index.parquet`` a GeoParquet table of footprints (a
    GeoPackage ``index.gpkg`` where pyarrow is missing), ``index.vrt`` all maps as one. Names in
    them are relative, so that the folder can be moved.

    Args:
        out: The folder, as `rsseg.prediction.many_scenes.scenes.predict_scenes` has written it.
        names: The maps to tell of, without suffix; all whose records are there if None. In an
            object store, which is not listed, those have to be named.
        vrt: Whether to write the VRT.
        scratch: As in `predict_scenes`.

    Raises:
        OutputError: If a file cannot be written.
    """
    stage = Stage(scratch)
    near = {name: stage.near(joined(out, name)) for name in (*_FILES, _OURS)}
    with _whole(near[_OURS]) as file:  # before them, for who is killed in between
        file.write("\n".join(_FILES))
    rows, notes = _Rows(), list[str]()
    items = _items(near[ITEMS].parent, names, here=not is_object(out))
    made = [ITEMS]
    _write_items(near[ITEMS], map(rows.add, items))
    if len(rows):
        try:
            rows.write_table(near[TABLE])
            made.append(TABLE)
        except MissingExtra as error:
            rows.write_table(near[PLAIN_TABLE])
            made.append(PLAIN_TABLE)
            notes.append(f"{PLAIN_TABLE} was written in place of {TABLE}: {error}")
    if len(rows) and vrt:
        try:
            rows.write_vrt(near[VRT])
            made.append(VRT)
        except GridMismatch as error:
            notes.append(f"there is no {VRT}: {error}")
    if is_object(out):
        for name in (_OURS, *made):
            put_object(near[name], str(joined(out, name)))
    return ResultsIndex(len(rows), tuple(str(joined(out, name)) for name in made), tuple(notes))


class _Rows:
    """What tables and VRTs need of items, which are a hundred thousand for a country."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {}
        self._outlines: list[Any] = []
        self._maps: dict[str, Grid] = {}
        self._legends: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._outlines)

    def add(self, item: dict[str, Any]) -> dict[str, Any]:
        """Take a row from an item, and give the item back."""
        told = item["properties"]
        hrefs = {kind: asset["href"] for kind, asset in item["assets"].items()}
        classes = [known for known in item["assets"][MAP][CLASSES] if "count" in known]
        row = {
            "name": item["id"],
            **{kind: hrefs.get(kind, "") for kind in KINDS},
            "crs": told["proj:code"] or "",
            "gsd": told.get("gsd", float("nan")),
            "height": told["proj:shape"][0],
            "width": told["proj:shape"][1],
            "datetime": told["datetime"] or told.get("start_datetime") or "",
            "pixels": json.dumps({known["title"]: known["count"] for known in classes}),
            "source": next((x["href"] for x in item["links"] if x["rel"] == "derived_from"), ""),
        }
        for key, value in row.items():
            self._columns.setdefault(key, []).append(value)
        self._outlines.append(outline_of(item["geometry"]))
        self._maps[hrefs[MAP]] = grid_of_projection(told)
        self._legends[json.dumps(legend_of_item(item).to_json())] = None
        return item

    def write_table(self, path: Path) -> None:
        """Write footprints with the columns that are not empty."""
        columns = {key: values for key, values in self._columns.items() if any(values)}
        write_footprints(path, self._outlines, columns)

    def write_vrt(self, path: Path) -> None:
        """Write the VRT.

        Raises:
            GridMismatch: If the maps differ in classes, CRS or pixel size.
        """
        first, *others = self._legends
        if others:
            raise GridMismatch("the maps have several sets of classes")
        text = virtual_maps(self._maps, Legend.from_json(json.loads(first)))
        with _whole(path) as file:
            file.write(text)


def _known(place: Place) -> str:
    """A file by a name that another name of it has as well."""
    return str(place) if is_remote(place) else str(Path(place).resolve())


def _is_there(place: Place) -> bool:
    return object_size(str(place)) is not None if is_object(place) else Path(place).exists()


def _items(folder: Path, names: Iterable[str] | None, *, here: bool) -> Iterator[dict[str, Any]]:
    """The items in the records of a folder; of maps on a disk only if they are there."""
    if names is None:
        names = sorted(path.stem for path in (folder / FOLDER).glob("*.json"))
    for name in names:
        out = folder / f"{name}.tif"
        record = read_record(out)
        if record is not None and "item" in record.result and (not here or out.is_file()):
            yield record.result["item"]


def _write_items(path: Path, items: Iterable[dict[str, Any]]) -> None:
    with _whole(path) as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number, item in enumerate(items):
            file.write(",\n" if number else "\n")
            json.dump(item, file)
        file.write("\n]}\n")


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    """A text file that is there whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
            yield file
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
