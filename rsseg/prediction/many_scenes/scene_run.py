"""One scene of several: mapped or skipped, vectorised, recorded, delivered."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from rsseg.errors import OutputError
from rsseg.geo.objects import is_object
from rsseg.geo.scene_list import Named, told_name
from rsseg.geo.stac import Item
from rsseg.prediction.outputs.checks import require_all_writable
from rsseg.prediction.outputs.map_items import map_item
from rsseg.prediction.outputs.records import (
    BEGUN,
    Record,
    rasters_of,
    read_record,
    record_path,
    sizes,
    without_polygons,
)
from rsseg.prediction.outputs.staging import MAP, Place, Stage, sizes_of
from rsseg.prediction.planning.differences import differences
from rsseg.prediction.planning.prospect import Prospect
from rsseg.prediction.result import MapResult

State = Literal["done", "skipped"]
Finished = tuple[State, dict[str, Any]]
"""Whether there was something to do, and the result in plain types."""


@dataclass(frozen=True)
class Mapped:
    """A map that is there and recorded, and that lacks the polygons that are asked for.

    Args:
        run: Its scene.
        result: What came of it so far.
        raster: The map.
        confidence: How sure its pixels are, if that was asked for.
        polygons: Where polygons are to be made; what is there may be replaced.
    """

    run: SceneRun
    result: dict[str, Any]
    raster: Path
    confidence: Path | None
    polygons: Path

    def vectorised(self) -> Finished:
        """Make the polygons, and finish the scene.

        Raises:
            OutputError: If an output cannot be written.
        """
        from rsseg.vectorise import VectoriseOptions, vectorise

        wanted = VectoriseOptions(overwrite=True, confidence=self.confidence)
        try:
            made = vectorise(self.raster, self.polygons, options=wanted)
        except BaseException:
            self.run.given_up()
            raise
        return self.finished(made.polygons)

    def finished(self, polygons: int) -> Finished:
        """Record so many polygons, which are there now, and deliver all.

        Raises:
            OutputError: If an output cannot be written.
        """
        return self.run.completed(
            self.result | {"polygon_count": polygons, "polygons": str(self.run.places["polygons"])}
        )


@dataclass(frozen=True)
class SceneRun:
    """A scene and where its outputs go; whoever makes the map asks before, and hands it over after.

    Args:
        name: Of its outputs.
        scene: As it was named.
        work: What its map is made by.
        places: Its outputs by kind.
        stage: Where those for object stores are made.
    """

    name: str
    scene: Named
    work: Prospect
    places: Mapping[str, Place]
    stage: Stage

    @property
    def out(self) -> Path:
        """Where the map is to be made."""
        return self.stage.near(self.places[MAP])

    def before(self) -> Finished | Mapped | None:
        """What was made before, less polygons that are missing; None if there is no map.

        Raises:
            OutputError: If what is missing cannot be written.
        """
        there, record, ours = self._there
        if record is None or not ours or self.work.options.restart:
            return None
        if record.fits(there):
            return "skipped", record.result
        near = sizes(self._near)
        if self._stored and record.fits(near):  # made before, and did not get there
            self.stage.send(self.places)
            return "done", record.result
        if "polygons" not in there:
            return None
        waits = self._stored and record.fits(rasters_of(near))  # it is sent with its polygons
        if not (waits or record.fits(rasters_of(there))):
            return None
        self._require_own_polygons()
        if self._stored and not waits:
            for place in rasters_of(self.places).values():
                self.stage.fetch(place)
        return self._mapped(dict(record.result))

    def allowed(self) -> SceneRun:
        """The same run, when nothing stands in its way; it may replace what is its own.

        Raises:
            OutputError: If an output is there that is of another plan, or cannot be written.
        """
        there, record, ours = self._there
        options = self.work.options
        if record is not None and not ours and there[MAP] >= 0 and not options.overwrite:
            changed = differences(record.changes(self.work.journal))
            raise OutputError(
                f"{self.places[MAP]} is of another plan, which differs in {changed}",
                remedy="add --overwrite to replace it",
            )
        self._require_own_polygons()
        again = ours and record is not None and record.sizes.get(MAP, there[MAP]) == there[MAP]
        if self._stored and not (again or options.overwrite):
            for kind, size in there.items():
                if size >= 0:
                    raise OutputError(
                        f"{self.places[kind]} is already there",
                        remedy="add --overwrite to replace it",
                    )
        if again or self._stored:
            options = replace(options, overwrite=True)
        require_all_writable(self.out, self.work.scene, options)
        if "polygons" in self.places:
            self._require_polygons(options.overwrite)
        return replace(self, work=replace(self.work, options=options))

    def begun(self) -> None:
        """Note that a map which is there from now on is our own, also if we are killed.

        Raises:
            OutputError: If that cannot be noted.
        """
        if self._stored:  # what is made for a store may be replaced anyway
            return
        record = read_record(self.out)
        if record is None or not record.of_plan(self.work.journal):
            Record(self.work.journal, {}, {}).write(self.out)

    def recorded(self) -> bool:
        """Whether the map that was made now is on record, and not sent yet."""
        record = read_record(self.out)
        if record is None or not record.of_plan(self.work.journal):
            return False
        return record.fits(sizes(rasters_of(self._near)))

    def given_up(self) -> None:
        """Take back what was noted of outputs that do not come, if the disk lets it be."""
        record = read_record(self.out)
        if record is None:
            return
        sizes = {kind: size for kind, size in record.sizes.items() if size != BEGUN}
        with suppress(OSError, OutputError):  # the reason why they do not come is to be told
            if not sizes:
                record_path(self.out).unlink()
            elif sizes != record.sizes:
                replace(record, sizes=sizes).write(self.out)

    def finished(self, made: MapResult) -> Finished | Mapped:
        """Keep a record of a map that was made, and deliver all unless polygons are missing.

        Raises:
            OutputError: If an output cannot be written.
        """
        shown = [note.replace(self.work.scene, told_name(self.scene)) for note in made.notes]
        result = made.to_json() | {"out": str(self.places[MAP]), "notes": shown}
        return self._mapped(result)

    def completed(self, result: dict[str, Any]) -> Finished:
        """Keep a record of outputs that are all there, and deliver them.

        Raises:
            OutputError: If an output cannot be written.
        """
        Record(self.work.journal, sizes(self._near), result).write(self.out)
        self.stage.send(self.places)
        return "done", result

    @property
    def _stored(self) -> bool:
        return is_object(self.places[MAP])

    @cached_property
    def _near(self) -> dict[str, Path]:
        return self.stage.prepare(self.places)

    @cached_property
    def _there(self) -> tuple[dict[str, int], Record | None, bool]:
        """Sizes of the outputs, the record of the map, and whether that is of our plan."""
        near = self._near
        if self._stored:
            self.stage.fetch_record(self.places[MAP])
        record = read_record(near[MAP])
        ours = record is not None and record.of_plan(self.work.journal)
        return sizes_of(self.places), record, ours

    def _mapped(self, result: dict[str, Any]) -> Finished | Mapped:
        """Whether a map is all that is asked for, or polygons are to come."""
        near = self._near
        result["item"] = map_item(
            self.name, self.work, self.places, result["classes"], self._source
        )
        if "polygons" not in near:
            return self.completed(result)
        # so that polygons are all that is to do if they fail, or this process is killed
        rasters = sizes(rasters_of(near))
        record = Record(self.work.journal, rasters, without_polygons(result))
        known = read_record(self.out)
        ours = known is not None and known.sizes.get("polygons") == BEGUN
        try:
            self._require_polygons(self.work.options.overwrite or self._stored or ours)
        except BaseException:
            record.write(self.out)
            raise
        replace(record, sizes=rasters | {"polygons": BEGUN}).write(self.out)
        return Mapped(self, result, near[MAP], near.get("confidence"), near["polygons"])

    @property
    def _source(self) -> Item | None:
        return self.scene if isinstance(self.scene, Item) else None

    def _require_own_polygons(self) -> None:
        """Refuse polygons of someone else, also where the map is our own and may be replaced."""
        there, record, ours = self._there
        size = there.get("polygons", -2)
        known = record.sizes.get("polygons") if record is not None and ours else None
        if size >= 0 and known not in (BEGUN, size) and not self.work.options.overwrite:
            raise OutputError(
                f"{self.places['polygons']} is already there",
                remedy="add --overwrite to replace it",
            )

    def _require_polygons(self, overwrite: bool) -> None:
        """Refuse before the map is made what could not be vectorised after."""
        from rsseg.vectorise import require_writable

        require_writable(self._near["polygons"], overwrite=overwrite)
        if not self.work.grid.georeferenced:
            name = told_name(self.scene)
            raise OutputError(f"{name} has no place on the ground for polygons")
