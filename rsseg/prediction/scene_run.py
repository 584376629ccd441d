"""One scene of several: found, mapped or skipped, vectorised, recorded, delivered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rsseg.errors import OutputError, RssegError
from rsseg.geo.assets import choose_assets
from rsseg.geo.objects import is_object
from rsseg.geo.scene_list import Named, told_name
from rsseg.geo.stac import Item
from rsseg.geo.together import as_one_stack
from rsseg.prediction.engine import Engine
from rsseg.prediction.map_items import map_item
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs import require_all_writable
from rsseg.prediction.plan import Plan
from rsseg.prediction.predict import carry_out, load_engine
from rsseg.prediction.records import Record, read_record, sizes
from rsseg.prediction.staging import MAP, Place, Stage, sizes_of

if TYPE_CHECKING:
    from torch import nn

Progress = Callable[[int, int], None]
State = Literal["done", "skipped"]


class LastEngine:
    """Loads engines, and keeps the last for the next plan that asks for the same.

    Args:
        network: A network of the caller's; None for those of model files.
    """

    def __init__(self, network: nn.Module | None = None) -> None:
        self._network = network
        self._key: object = None
        self._engine: Engine | None = None

    def __call__(self, work: Plan, forward: int | None = None) -> Engine:
        """The engine of a plan; with so many windows in a forward pass if given."""
        key = (
            *(work.placement, work.identity, work.calibrated, work.bundle.normalisation),
            *(work.side, work.dtype, work.options.tta),
            *(work.options.batch_size, forward),
        )
        if self._engine is None or key != self._key:
            self._engine = None  # before the next one takes memory
            self._engine, self._key = load_engine(work, self._network, forward), key
        return self._engine


@contextmanager
def located(
    scene: Named, options: PredictOptions, bands: Sequence[str], assets: Sequence[str] = ()
) -> Iterator[tuple[str, PredictOptions]]:
    """What GDAL opens for a scene while the context lasts, and the options for it.

    Args:
        scene: A raster, or an item of STAC, whose assets are chosen.
        options: Those of the run.
        bands: Names of the model's bands.
        assets: Keys or roles of assets that the user asks for.

    Raises:
        SceneError: If an item does not tell what to read.
        GridMismatch: If files of a band each do not lie on one grid.
    """
    if not isinstance(scene, Item):
        yield scene, options
        return
    named = [band for band in options.bands or () if isinstance(band, str)]
    choice = choose_assets(scene, named or bands, assets)
    if choice.bands is not None and (named or options.bands is None):
        options = replace(options, bands=choice.bands)
    if len(choice.files) == 1:
        yield choice.files[0], options
        return
    with as_one_stack(choice.files, choice.names, Path(scene.id).name) as path:
        try:
            yield path, options
        except RssegError as error:  # the user never sees that file
            error.args = (str(error).replace(path, told_name(scene)),)
            raise


@dataclass(frozen=True)
class SceneRun:
    """A scene with its plan, and where its outputs go.

    Args:
        name: Of its outputs.
        scene: As it was named.
        work: Its plan.
        places: Its outputs by kind.
        stage: Where those for object stores are made.
    """

    name: str
    scene: Named
    work: Plan
    places: Mapping[str, Place]
    stage: Stage

    def carry_out(self, engines: LastEngine, on_progress: Progress) -> tuple[State, dict[str, Any]]:
        """Do what is still to do.

        Args:
            engines: Gives engines.
            on_progress: Called with steps done and steps in all.

        Returns:
            Whether there was something to do, and the result in plain types.

        Raises:
            OutputError: If an output is of another plan, or cannot be written.
            SceneError: If the scene cannot be read.
        """
        near = self.stage.prepare(self.places)
        if self._stored:
            self.stage.fetch_record(self.places[MAP])
        there, record = sizes_of(self.places), read_record(near[MAP])
        ours = record is not None and record.of_plan(self.work.journal)
        if record is not None and ours and not self.work.options.restart:
            if _are(there, record):
                return "skipped", record.result
            if self._stored and _are(sizes(near), record):  # made before, and did not get there
                self.stage.send(self.places)
                return "done", record.result
            rasters = {kind: size for kind, size in there.items() if kind != "polygons"}
            if rasters != there and _are(rasters, record):
                for place in self.places.values():
                    if self._stored and place != self.places.get("polygons"):
                        self.stage.fetch(place)
                return "done", self._with_polygons(near, dict(record.result))
        replacing = record is not None and not ours and there[MAP] >= 0
        if record is not None and replacing and not self.work.options.overwrite:
            changed = ", ".join(record.changes(self.work.journal))
            raise OutputError(
                f"{self.places[MAP]} is of another plan, which differs in {changed}",
                remedy="add --overwrite to replace it",
            )
        again = ours and record is not None and record.sizes.get(MAP) == there[MAP]
        return "done", self._made(near, self._may_replace(there, again), engines, on_progress)

    @property
    def _stored(self) -> bool:
        return is_object(self.places[MAP])

    def _may_replace(self, there: Mapping[str, int], again: bool) -> Plan:
        """The plan, which may replace the map if it is its own, and what it made in the scratch."""
        options = self.work.options
        if self._stored and not (again or options.overwrite):
            for kind, size in there.items():
                if size >= 0:
                    raise OutputError(
                        f"{self.places[kind]} is already there",
                        remedy="add --overwrite to replace it",
                    )
        if again or self._stored:
            options = replace(options, overwrite=True)
        return replace(self.work, options=options)

    def _made(
        self, near: dict[str, Path], work: Plan, engines: LastEngine, on_progress: Progress
    ) -> dict[str, Any]:
        """Map the scene; the result."""
        require_all_writable(near[MAP], work.scene, work.options)
        if "polygons" in near:
            self._require_polygons(near["polygons"], work.options.overwrite)
        made = carry_out(work, near[MAP], load=engines, on_progress=on_progress)
        shown = [note.replace(work.scene, told_name(self.scene)) for note in made.notes]
        result = made.to_json() | {"out": str(self.places[MAP]), "notes": shown}
        return self._with_polygons(near, result)

    def _with_polygons(self, near: dict[str, Path], result: dict[str, Any]) -> dict[str, Any]:
        """Add polygons where they are asked for, keep a record, and deliver; the result."""
        result["item"] = map_item(
            self.name, self.work, self.places, result["classes"], self._source
        )
        if "polygons" in near:
            rasters = {kind: path for kind, path in near.items() if kind != "polygons"}
            self._record(rasters, result)  # so that they are all that is to do if they fail
            self._require_polygons(near["polygons"], self.work.options.overwrite or self._stored)
            result |= _vectorised(near, self.work.options.overwrite or self._stored)
            result["polygons"] = str(self.places["polygons"])
        self._record(near, result)
        self.stage.send(self.places)
        return result

    def _record(self, made: Mapping[str, Path], result: dict[str, Any]) -> None:
        Record(self.work.journal, sizes(made), result).write(self.stage.near(self.places[MAP]))

    @property
    def _source(self) -> Item | None:
        return self.scene if isinstance(self.scene, Item) else None

    def _require_polygons(self, path: Path, overwrite: bool) -> None:
        """Refuse before the map is made what could not be vectorised after."""
        from rsseg.vectorise import require_writable

        require_writable(path, overwrite=overwrite)
        if not self.work.grid.georeferenced:
            name = told_name(self.scene)
            raise OutputError(f"{name} has no place on the ground for polygons")


def _are(found: Mapping[str, int], record: Record) -> bool:
    """Whether outputs are there as they were recorded, by their sizes."""
    return all(record.sizes.get(kind) == size for kind, size in found.items())


def _vectorised(near: Mapping[str, Path], overwrite: bool) -> dict[str, Any]:
    from rsseg.vectorise import VectoriseOptions, vectorise

    wanted = VectoriseOptions(overwrite=overwrite, confidence=near.get("confidence"))
    return {"polygon_count": vectorise(near[MAP], near["polygons"], options=wanted).polygons}
