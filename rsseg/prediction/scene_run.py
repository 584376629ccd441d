"""One scene of several: mapped or skipped, vectorised, recorded, delivered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rsseg.errors import OutputError
from rsseg.geo.objects import is_object
from rsseg.geo.scene_list import Named, told_name
from rsseg.geo.stac import Item
from rsseg.prediction.differences import differences
from rsseg.prediction.engine import Engine
from rsseg.prediction.map_items import map_item
from rsseg.prediction.outputs import require_all_writable
from rsseg.prediction.plan import Plan
from rsseg.prediction.predict import carry_out, load_engine
from rsseg.prediction.prospect import Prospect
from rsseg.prediction.records import Record, read_record, record_path, sizes
from rsseg.prediction.result import MapResult
from rsseg.prediction.staging import MAP, Place, Stage, sizes_of

if TYPE_CHECKING:
    from torch import nn

Progress = Callable[[int, int], None]
State = Literal["done", "skipped"]
Finished = tuple[State, dict[str, Any]]
"""Whether there was something to do, and the result in plain types."""


class LastEngine:
    """Loads engines, and keeps the last for the next plan that asks for the same.

    Args:
        network: A network of the caller's; None for those of model files.
    """

    def __init__(self, network: nn.Module | None = None) -> None:
        self._network = network
        self._key: object = None
        self._reserve = 0
        self._engine: Engine | None = None

    def __call__(self, work: Plan, forward: int | None = None) -> Engine:
        """The engine of a plan; with so many windows in a forward pass if given."""
        key = (
            *(work.placement, work.identity, work.calibrated, work.bundle.normalisation),
            *(work.side, work.dtype, work.options.tta),
            *(work.options.batch_size, forward),
        )
        # on a GPU the windows of a forward pass leave room for blending: more for a wider scene
        reserve = 0 if work.placement.device == "cpu" else work.blending_bytes
        if self._engine is None or key != self._key or reserve > self._reserve:
            self._engine = None  # before the next one takes memory
            self._engine = load_engine(work, self._network, forward)
            self._key, self._reserve = key, reserve
        return self._engine


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

    def before(self) -> Finished | None:
        """What was made before, completed where only a part is missing; None if there is no map.

        Raises:
            OutputError: If what is missing cannot be written.
        """
        there, record, ours = self._there
        if record is None or not ours or self.work.options.restart:
            return None
        if _are(there, record):
            return "skipped", record.result
        near = self._near
        if self._stored and _are(sizes(near), record):  # made before, and did not get there
            self.stage.send(self.places)
            return "done", record.result
        rasters = {kind: size for kind, size in there.items() if kind != "polygons"}
        if rasters == there or not _are(rasters, record):
            return None
        for place in self.places.values():
            if self._stored and place != self.places.get("polygons"):
                self.stage.fetch(place)
        return "done", self._with_polygons(dict(record.result))

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
        record = read_record(self.out)
        if record is None or not record.of_plan(self.work.journal):
            Record(self.work.journal, {}, {}).write(self.out)

    def given_up(self) -> None:
        """Take back what `begun` has noted."""
        record = read_record(self.out)
        if record is not None and not record.sizes:
            record_path(self.out).unlink()

    def finished(self, made: MapResult) -> Finished:
        """Add what goes with a map that was made, keep a record, and deliver all.

        Raises:
            OutputError: If an output cannot be written.
        """
        shown = [note.replace(self.work.scene, told_name(self.scene)) for note in made.notes]
        result = made.to_json() | {"out": str(self.places[MAP]), "notes": shown}
        return "done", self._with_polygons(result)

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

    def _with_polygons(self, result: dict[str, Any]) -> dict[str, Any]:
        """Add polygons where they are asked for, keep a record, and deliver; the result."""
        near = self._near
        result["item"] = map_item(
            self.name, self.work, self.places, result["classes"], self._source
        )
        if "polygons" in near:
            rasters = {kind: path for kind, path in near.items() if kind != "polygons"}
            self._record(rasters, result)  # so that they are all that is to do if they fail
            overwrite = self.work.options.overwrite or self._stored
            self._require_polygons(overwrite)
            result |= _vectorised(near, overwrite)
            result["polygons"] = str(self.places["polygons"])
        self._record(near, result)
        self.stage.send(self.places)
        return result

    def _record(self, made: Mapping[str, Path], result: dict[str, Any]) -> None:
        Record(self.work.journal, sizes(made), result).write(self.out)

    @property
    def _source(self) -> Item | None:
        return self.scene if isinstance(self.scene, Item) else None

    def _require_polygons(self, overwrite: bool) -> None:
        """Refuse before the map is made what could not be vectorised after."""
        from rsseg.vectorise import require_writable

        require_writable(self._near["polygons"], overwrite=overwrite)
        if not self.work.grid.georeferenced:
            name = told_name(self.scene)
            raise OutputError(f"{name} has no place on the ground for polygons")


def map_scene(
    run: SceneRun,
    work: Plan,
    engines: LastEngine,
    on_progress: Progress,
    others: Sequence[str] = (),
) -> Finished:
    """Do in this process what is still to do of a scene.

    Args:
        run: The scene.
        work: Its plan.
        engines: Gives engines.
        on_progress: Called with steps done and steps in all.
        others: Devices that share the map with that of the plan.

    Raises:
        OutputError: If an output is of another plan, or cannot be written.
        SceneError: If the scene cannot be read.
    """
    before = run.before()
    if before is not None:
        return before
    run = run.allowed()
    made = carry_out(work, run.out, load=engines, others=others, on_progress=on_progress)
    return run.finished(made)


def _are(found: Mapping[str, int], record: Record) -> bool:
    """Whether outputs are there as they were recorded, by their sizes."""
    return all(record.sizes.get(kind) == size for kind, size in found.items())


def _vectorised(near: Mapping[str, Path], overwrite: bool) -> dict[str, Any]:
    from rsseg.vectorise import VectoriseOptions, vectorise

    wanted = VectoriseOptions(overwrite=overwrite, confidence=near.get("confidence"))
    return {"polygon_count": vectorise(near[MAP], near["polygons"], options=wanted).polygons}
