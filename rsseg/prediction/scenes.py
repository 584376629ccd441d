"""Many scenes one after the other, each resumable by itself, sharing an engine where they can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rsseg.bundle import Bundle, read_bundle
from rsseg.errors import BundleError, MissingExtra, OptionError, OutputError, RssegError
from rsseg.geo.objects import is_object, joined, require_store
from rsseg.geo.remote import gdal_name, is_remote
from rsseg.geo.scene_list import Named, output_names, told_name
from rsseg.geo.stac import Item
from rsseg.prediction.engine import place
from rsseg.prediction.onnx_graph import EMBEDDED_MODEL
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.predict import plan
from rsseg.prediction.scene_run import LastEngine, Progress, SceneRun, located
from rsseg.prediction.staging import MAP, Place, Stage

if TYPE_CHECKING:
    from torch import nn

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
        item: What STAC tells of the map.
    """

    scene: str
    state: Literal["done", "skipped", "failed"]
    out: str
    result: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    item: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """State, scene and result in one flat object, without the item."""
        told = {key: value for key, value in asdict(self).items() if value is not None}
        told.pop("item", None)
        return {**told.pop("result"), **told}


def predict_scenes(
    scenes: Sequence[Path | Named],
    out: Place,
    *,
    bundle: Bundle | str | Path | None = None,
    network: nn.Module | None = None,
    options: PredictOptions | None = None,
    polygons: Place | None = None,
    assets: Sequence[str] = (),
    scratch: str | Path | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Iterator[SceneOutcome]:
    """Write the class maps of scenes into a folder, and tell of each when it is ready.

    A scene whose map is there and of the same plan is skipped, also with ``overwrite``, so that a
    killed run goes on; ``restart`` does it again. A map of another plan is only replaced with
    ``overwrite``. A scene that fails does not stop the others. `index_results` tells other software
    what the folder holds.

    Args:
        scenes: Rasters and items of STAC, see `find_scenes`.
        out: Folder of the maps, each called as its scene; made if missing. It may be one of an
            object store (``s3://bucket/maps``): each file is put there when it is whole.
        bundle: As in `predict`.
        network: As in `predict`.
        options: As in `predict`, of each scene; ``confidence`` and ``probabilities`` are folders.
        polygons: Folder of GeoPackages with the polygons of the maps; it may be that of the maps.
        assets: Which assets of items are the scene, by key or role; those that have the model's
            bands if none.
        scratch: Where outputs for object stores are made, a folder kept between runs; one in the
            cache if None.
        on_progress: Called with steps done and steps in all.

    Raises:
        OptionError: If folders or choices contradict each other.
        BundleError: If the model cannot be used.
        MissingExtra: If a library is missing.
        OutputError: If a folder cannot be made, or an object store takes no file.
    """
    options = options or PredictOptions()
    named = [scene if isinstance(scene, Item) else str(scene) for scene in scenes]
    names = output_names(named)
    folders = _folders(out, options, polygons, [s for s in named if isinstance(s, str)])
    bands = bands_of(bundle)
    place(options, own_network=network is not None)
    engines, stage = LastEngine(network), Stage(scratch)
    for number, (scene, name) in enumerate(names.items()):
        places = {
            kind: joined(folder, f"{name}{'.gpkg' if kind == 'polygons' else '.tif'}")
            for kind, folder in folders.items()
        }
        outcome = partial(SceneOutcome, scene=told_name(scene), out=str(places[MAP]))

        def advance(done: int, total: int, number: int = number) -> None:
            on_progress(_STEPS * number + _STEPS * done // max(total, 1), _STEPS * len(names))

        near = {kind: stage.near(each) for kind, each in places.items()}
        own = replace(
            options,
            confidence=near.get("confidence"),
            probabilities=near.get("probabilities"),
        )
        try:
            with located(scene, own, bands, assets) as (path, chosen):
                work = plan(path, bundle=bundle, network=network, options=chosen)
                run = SceneRun(name, scene, work, places, stage)
                state, result = run.carry_out(engines, advance)
            item = result.get("item")
            told = {key: value for key, value in result.items() if key != "item"}
            yield outcome(state=state, result=told, item=item)
        except (BundleError, MissingExtra):
            raise  # of all scenes alike
        except RssegError as error:
            reason = "; ".join([str(error), *getattr(error, "__notes__", [])])
            yield outcome(state="failed", error=reason)
        except Exception as error:  # one odd file must not end the night's run
            yield outcome(state="failed", error=f"{type(error).__name__}: {error}")
        advance(1, 1)


def bands_of(bundle: Bundle | str | Path | None) -> tuple[str, ...]:
    """Names of the bands that a model wants."""
    described = bundle if isinstance(bundle, Bundle) else read_bundle(bundle or EMBEDDED_MODEL)
    return described.bands


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


def _folders(
    out: Place, options: PredictOptions, polygons: Place | None, scenes: Sequence[str]
) -> dict[str, Place]:
    """Folders by kind of output, made; one of an object store is tried."""
    asked = {
        MAP: out,
        "confidence": options.confidence,
        "probabilities": options.probabilities,
        "polygons": polygons,
    }
    folders = {kind: folder for kind, folder in asked.items() if folder is not None}
    for kind, folder in folders.items():
        path = Path(folder)
        if path.is_file() or (path.suffix and not path.is_dir()):
            raise OptionError(
                f"several scenes need a folder for --{'out' if kind == MAP else kind}",
                got=folder,
            )
    stored = {is_object(folder) for folder in folders.values()}
    if len(stored) > 1:
        raise OptionError(
            "the outputs of several scenes go to folders or to object stores",
            got="some to these and some to those",
            remedy="choose one",
        )
    rasters = [_known(folder) for kind, folder in folders.items() if kind != "polygons"]
    if len(set(rasters)) < len(rasters):
        raise OptionError("map, confidence and probabilities need a folder each", got=out)
    sources = {_known(_folder_of(scene)) for scene in scenes}
    if set(rasters) & sources:
        raise OptionError(f"{out} is a folder of the scenes", remedy="choose another one")
    for folder in folders.values():
        if is_object(folder):
            require_store(str(joined(folder, ".rsseg/trial")), overwrite=True)
            continue
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from error
    return folders


def _folder_of(scene: str) -> str:
    return scene.rpartition("/")[0] if is_remote(scene) else str(Path(scene).parent)


def _known(folder: Place) -> str:
    """A folder by a name that another name of it has as well."""
    return gdal_name(str(folder).rstrip("/")) if is_remote(folder) else str(Path(folder).resolve())
