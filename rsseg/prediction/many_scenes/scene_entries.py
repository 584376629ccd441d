"""Several scenes and the folders that their outputs go to, checked before the first is opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rsseg.errors import OptionError, OutputError, RssegError
from rsseg.geo.objects import is_object, joined, require_store
from rsseg.geo.remote import gdal_name, is_remote, public_text
from rsseg.geo.scene_list import Named, output_names, told_name
from rsseg.geo.stac import Item
from rsseg.prediction.many_scenes.outcomes import SceneOutcome
from rsseg.prediction.many_scenes.scene_run import Finished, SceneRun
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs.staging import MAP, Place, Stage
from rsseg.prediction.planning.prospect import Prospect


@dataclass(frozen=True)
class SceneEntry:
    """One of several scenes.

    Args:
        name: Of its outputs.
        scene: As it was named.
        places: Where its outputs go, by kind.
        options: The choices for it, with files beside the map where they are made.
        stage: Where outputs for object stores are made.
    """

    name: str
    scene: Named
    places: dict[str, Place]
    options: PredictOptions
    stage: Stage

    @property
    def out(self) -> Path:
        """Where its map is to be made."""
        return self.stage.near(self.places[MAP])

    def run(self, work: Prospect) -> SceneRun:
        """What is to be done of it by a plan."""
        return SceneRun(self.name, self.scene, work, self.places, self.stage)

    def outcome(self, finished: Finished) -> SceneOutcome:
        """That it is there."""
        state, result = finished
        told = {key: value for key, value in result.items() if key != "item"}
        scene, out = self._names
        return SceneOutcome(scene, state, out, result=told, item=result.get("item"))

    def failure(self, error: BaseException | str) -> SceneOutcome:
        """That it has failed, and why, without what may give access."""
        reason = str(error)
        if isinstance(error, BaseException):
            told = reason if isinstance(error, RssegError) else f"{type(error).__name__}: {reason}"
            reason = "; ".join([told, *getattr(error, "__notes__", [])])
        scene, out = self._names
        return SceneOutcome(scene, "failed", out, error=public_text(reason))

    @property
    def _names(self) -> tuple[str, str]:
        return told_name(self.scene), str(self.places[MAP])


class SceneEntries:
    """Several scenes by the names of their outputs.

    Args:
        scenes: Rasters and items of STAC, see `find_scenes`.
        out: Folder of the maps, or one of an object store.
        options: Of each scene; ``confidence`` and ``probabilities`` are folders.
        polygons: Folder of the polygons; None for none.
        stage: Where outputs for object stores are made.

    Raises:
        OptionError: If folders contradict each other, or two outputs would have one name.
        OutputError: If a folder cannot be made, or an object store takes no file.
    """

    def __init__(
        self,
        scenes: Sequence[Path | Named],
        out: Place,
        options: PredictOptions,
        polygons: Place | None,
        stage: Stage,
    ) -> None:
        named = [scene if isinstance(scene, Item) else str(scene) for scene in scenes]
        self._names = output_names(named)
        self._options, self._stage = options, stage
        self._folders = _folders(out, options, polygons, [s for s in named if isinstance(s, str)])

    @property
    def folders(self) -> list[Path]:
        """Where outputs are made, that of the maps first; all are there."""
        files = {kind: joined(folder, "any.tif") for kind, folder in self._folders.items()}
        return list(dict.fromkeys(path.parent for path in self._stage.prepare(files).values()))

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[SceneEntry]:
        for scene, name in self._names.items():
            places = {
                kind: joined(folder, f"{name}{'.gpkg' if kind == 'polygons' else '.tif'}")
                for kind, folder in self._folders.items()
            }
            near = {kind: self._stage.near(place) for kind, place in places.items()}
            own = replace(
                self._options,
                confidence=near.get("confidence"),
                probabilities=near.get("probabilities"),
            )
            yield SceneEntry(name, scene, places, own, self._stage)


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
