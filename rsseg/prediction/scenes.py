"""Many scenes one after the other, each resumable by itself, sharing an engine where they can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rsseg.bundle import Bundle
from rsseg.errors import BundleError, MissingExtra, OptionError, OutputError, RssegError
from rsseg.geo.remote import public_name
from rsseg.geo.scene_list import output_names
from rsseg.prediction.engine import Engine, place
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs import require_all_writable
from rsseg.prediction.plan import Plan
from rsseg.prediction.predict import carry_out, load_engine, plan
from rsseg.prediction.records import Record, read_record, sizes

if TYPE_CHECKING:
    from torch import nn

Progress = Callable[[int, int], None]
_STEPS = 1000
"""Progress counts so many steps for each scene."""


@dataclass(frozen=True)
class SceneOutcome:
    """What became of one scene.

    Args:
        scene: Its name, without what may give access.
        state: ``done`` now, ``skipped`` as it was done before, or ``failed``.
        out: Its map.
        result: As `PredictResult.to_json` gives it; of a skipped one, as it was then. With
            ``polygons`` and ``polygon_count`` where polygons were asked for.
        error: Why it failed.
    """

    scene: str
    state: Literal["done", "skipped", "failed"]
    out: str
    result: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """State, scene and result in one flat object."""
        told = {key: value for key, value in asdict(self).items() if value is not None}
        return {**told.pop("result"), **told}


def predict_scenes(
    scenes: Sequence[str | Path],
    out: str | Path,
    *,
    bundle: Bundle | str | Path | None = None,
    network: nn.Module | None = None,
    options: PredictOptions | None = None,
    polygons: str | Path | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Iterator[SceneOutcome]:
    """Write the class maps of scenes into a folder, and tell of each when it is ready.

    A scene whose map is there and of the same plan is skipped, also with ``overwrite``, so that a
    killed run goes on; ``restart`` does it again. A map of another plan is only replaced with
    ``overwrite``. A scene that fails does not stop the others.

    Args:
        scenes: Rasters, see `find_scenes`.
        out: Folder of the maps, each called as its scene; made if missing.
        bundle: As in `predict`.
        network: As in `predict`.
        options: As in `predict`, of each scene; ``confidence`` and ``probabilities`` are folders.
        polygons: Folder of GeoPackages with the polygons of the maps; it may be that of the maps.
        on_progress: Called with steps done and steps in all.

    Raises:
        OptionError: If folders or choices contradict each other.
        BundleError: If the model cannot be used.
        MissingExtra: If a library is missing.
        OutputError: If a folder cannot be made.
    """
    options = options or PredictOptions()
    names = output_names([str(scene) for scene in scenes])
    folders = _folders(Path(out), options, polygons, [Path(scene).parent for scene in scenes])
    place(options, own_network=network is not None)
    engines = LastEngine(network)
    for number, (scene, name) in enumerate(names.items()):
        outputs = {
            kind: folder / f"{name}{'.gpkg' if kind == 'polygons' else '.tif'}"
            for kind, folder in folders.items()
        }
        outcome = partial(SceneOutcome, scene=public_name(scene), out=str(outputs["map"]))

        def advance(done: int, total: int, number: int = number) -> None:
            on_progress(_STEPS * number + _STEPS * done // max(total, 1), _STEPS * len(names))

        own = replace(
            options,
            confidence=outputs.get("confidence"),
            probabilities=outputs.get("probabilities"),
        )
        try:
            work = plan(scene, bundle=bundle, network=network, options=own)
            state, result = _one(work, outputs, engines, advance)
            yield outcome(state=state, result=result)
        except (BundleError, MissingExtra):
            raise  # of all scenes alike
        except RssegError as error:
            reason = "; ".join([str(error), *getattr(error, "__notes__", [])])
            yield outcome(state="failed", error=reason)
        except Exception as error:  # one odd file must not end the night's run
            yield outcome(state="failed", error=f"{type(error).__name__}: {error}")
        advance(1, 1)


def totals(outcomes: Sequence[SceneOutcome], seconds: float) -> dict[str, Any]:
    """The sums of all scenes: states, pixels by class and in all, and the speed of this run."""
    classes: dict[str, int] = {}
    for outcome in outcomes:
        for name, pixels in outcome.result.get("classes", {}).items():
            classes[name] = classes.get(name, 0) + pixels
    states = {
        state: sum(outcome.state == state for outcome in outcomes)
        for state in ("done", "skipped", "failed")
    }
    now = [outcome.result for outcome in outcomes if outcome.state == "done"]
    mapped = sum(result["width"] * result["height"] for result in now) / 1e6
    return {
        "scenes": len(outcomes),
        **states,
        "classes": classes,
        "nodata_pixels": sum(each.result.get("nodata_pixels", 0) for each in outcomes),
        "seconds": seconds,
        "forward_seconds": sum(result["forward_seconds"] for result in now),
        "mpx_per_s": mapped / seconds,
    }


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


def _one(
    work: Plan, outputs: dict[str, Path], engines: LastEngine, on_progress: Progress
) -> tuple[Literal["done", "skipped"], dict[str, Any]]:
    """Do what is still to do of a scene; its state and result."""
    rasters = {kind: path for kind, path in outputs.items() if kind != "polygons"}
    journal, record = work.journal, read_record(outputs["map"])
    ours = record is not None and record.of_plan(journal)
    if record is not None and ours and not work.options.restart and record.holds(rasters):
        result = record.result
        if "polygons" not in outputs or record.holds(outputs):
            return "skipped", result
        _require_polygons(work, outputs["polygons"])
    else:
        out = rasters["map"]
        if record is not None and not ours and out.exists() and not work.options.overwrite:
            raise OutputError(
                f"{out} is of another plan, which differs in {', '.join(record.changes(journal))}",
                remedy="add --overwrite to replace it",
            )
        if ours and record is not None and record.holds({"map": out}):
            work = replace(work, options=replace(work.options, overwrite=True))
        require_all_writable(out, work.scene, work.options)
        if "polygons" in outputs:
            _require_polygons(work, outputs["polygons"])
        made = carry_out(work, out, load=engines, on_progress=on_progress)
        shown = (note.replace(work.scene, public_name(work.scene)) for note in made.notes)
        result = made.to_json() | {"notes": list(shown)}
        Record(journal, sizes(rasters), result).write(out)
    if "polygons" in outputs:
        result = result | _vectorised(work, outputs)
        Record(journal, sizes(outputs), result).write(outputs["map"])
    return "done", result


def _require_polygons(work: Plan, path: Path) -> None:
    """Refuse before the map is made what could not be vectorised after."""
    from rsseg.vectorise import require_writable

    require_writable(path, overwrite=work.options.overwrite)
    if not work.grid.georeferenced:
        raise OutputError(f"{public_name(work.scene)} has no place on the ground for polygons")


def _vectorised(work: Plan, outputs: dict[str, Path]) -> dict[str, Any]:
    from rsseg.vectorise import VectoriseOptions, vectorise

    wanted = VectoriseOptions(overwrite=work.options.overwrite, confidence=work.options.confidence)
    made = vectorise(outputs["map"], outputs["polygons"], options=wanted)
    return {"polygons": str(outputs["polygons"]), "polygon_count": made.polygons}


def _folders(
    out: Path, options: PredictOptions, polygons: str | Path | None, sources: Sequence[Path]
) -> dict[str, Path]:
    """Folders by kind of output, made."""
    asked = {
        "map": out,
        "confidence": options.confidence,
        "probabilities": options.probabilities,
        "polygons": polygons,
    }
    folders = {kind: Path(path) for kind, path in asked.items() if path is not None}
    for kind, folder in folders.items():
        if folder.is_file() or (folder.suffix and not folder.is_dir()):
            raise OptionError(
                f"several scenes need a folder for --{'out' if kind == 'map' else kind}",
                got=folder,
            )
    rasters = [path.resolve() for kind, path in folders.items() if kind != "polygons"]
    if len(set(rasters)) < len(rasters):
        raise OptionError("map, confidence and probabilities need a folder each", got=out)
    if set(rasters) & {source.resolve() for source in sources}:
        raise OptionError(f"{out} is a folder of the scenes", remedy="choose another one")
    for folder in folders.values():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from error
    return folders
