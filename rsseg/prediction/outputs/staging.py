"""Where outputs are made that belong into object stores, and how they get there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from rsseg.caching import cache_folder
from rsseg.errors import OptionError, OutputError
from rsseg.geo.gis_sidecars import sidecars
from rsseg.geo.objects import is_object, joined, object_size, put_object, read_object
from rsseg.prediction.outputs.records import FOLDER, record_path
from rsseg.replacing import replacing

Place = str | Path
"""A file on a disk, or an object (``s3://bucket/maps/a.tif``)."""

MAP = "map"
"""The kind of the output that the others go with."""


class Stage:
    """Outputs on their way: those for a disk are made in their place, others in a scratch folder.

    What is made there stays until it has been put into its store, so that the same command goes on
    with it.

    Args:
        scratch: The scratch folder, kept between runs; one in the cache if None.

    Raises:
        OptionError: If that is no folder, but a place in an object store.
    """

    def __init__(self, scratch: str | Path | None = None) -> None:
        if scratch is not None and is_object(scratch):
            raise OptionError("what goes to an object store is made in a folder", got=scratch)
        self._scratch = cache_folder() / "scratch" if scratch is None else Path(scratch)

    def near(self, place: Place) -> Path:
        """Where an output is made."""
        if not is_object(place):
            return Path(place)
        folder, _, name = str(place).rpartition("/")
        return self._scratch / folder_key(folder) / name

    def prepare(self, places: Mapping[str, Place]) -> dict[str, Path]:
        """Where outputs are made, by kind, in folders that are there.

        Raises:
            OutputError: If a folder cannot be made.
        """
        made = {kind: self.near(place) for kind, place in places.items()}
        for kind, place in places.items():
            if is_object(place):
                self._make(made[kind].parent)
        return made

    def send(self, places: Mapping[str, Place], *, record: bool = True) -> None:
        """Put outputs into their stores, the map last, and delete them here.

        Args:
            places: Where they go, by kind.
            record: Whether the map's record follows it, and stays here too; else it is deleted.

        Raises:
            OutputError: If one cannot be written; all stay here then.
        """
        sent: list[Path] = []
        for kind in sorted(places, key=lambda kind: kind == MAP):
            place, near = places[kind], self.near(places[kind])
            if not is_object(place) or not near.is_file():
                continue
            beside = sidecars(near) if kind == MAP else ()
            for file in (*filter(Path.is_file, beside), near):
                put_object(file, str(joined(_folder(place), file.name)))
                sent.append(file)
        told = self._record(places[MAP])
        if is_object(places[MAP]) and told.is_file():
            if record:
                put_object(told, f"{_folder(places[MAP])}/{FOLDER}/{told.name}")
            else:
                sent.append(told)
        for file in sent:
            file.unlink()

    def fetch_record(self, place: Place) -> bool:
        """Get the record of a map that is in a store; whether there is one."""
        record = self._record(place)
        name = f"{_folder(place)}/{FOLDER}/{record.name}"
        if object_size(name) is None:
            return False
        self._keep(record, read_object(name))
        return True

    def fetch(self, place: Place) -> None:
        """Get an output that is in a store, to work on it here."""
        if is_object(place):
            self._keep(self.near(place), read_object(str(place)))

    def _record(self, place: Place) -> Path:
        return record_path(self.near(place))

    def _keep(self, path: Path, data: bytes) -> None:
        self._make(path.parent)
        try:
            with replacing(path) as unfinished:
                unfinished.write_bytes(data)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the folder {folder} cannot be made: {error.strerror}",
                remedy="choose another one by --scratch",
            ) from error


def scratch_folder(scratch: str | Path | None) -> str | Path | None:
    """The scratch folder, where that is not a place for shards in an object store; else None."""
    return None if scratch is None or is_object(scratch) else scratch


def folder_key(folder: str) -> str:
    """A short name for a folder, by which scratch folders of several do not get mixed."""
    return hashlib.sha256(folder.encode()).hexdigest()[:16]


def sizes_of(places: Mapping[str, Place]) -> dict[str, int]:
    """Bytes of outputs by kind, wherever they are; -2 for one that is not there.

    Raises:
        OutputError: If a store does not answer.
    """
    found = {}
    for kind, place in places.items():
        if is_object(place):
            size = object_size(str(place))
        else:
            size = os.path.getsize(place) if os.path.isfile(place) else None
        found[kind] = -2 if size is None else size
    return found


def _folder(place: Place) -> str:
    return str(place).rpartition("/")[0]
