"""What goes between the client of a cluster and its workers, in small plain values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from rsseg.geo.scene_list import Named
from rsseg.geo.shards import Shard
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.planning.manifest import Manifest

if TYPE_CHECKING:
    from rsseg.vectorise_cluster.whole import WholeMap

Work: TypeAlias = "tuple[int, ...] | Literal['report', 'join'] | WholeMap"
"""What is to be done of a scene: some shards by their indices, a report, a map of all shards, or
the polygons of a map."""


@dataclass(frozen=True)
class Job:
    """A prediction, as every worker can plan it for itself.

    Args:
        scene: What is read; every worker sees it by this name. An item of STAC is looked up there.
        out: The map to come, an absolute path; every worker sees its folder, unless shards lie in
            a store.
        model: A model file, an absolute path; None for the embedded model.
        options: The user's choices.
        assets: Assets of an item that the user asks for.
        forward: Windows of a forward pass, where an unfinished run tells.
        plan: What all have agreed on, see `Plan.journal`; None before.
        store: Where shards lie in an object store, such as ``s3://bucket/map.tif.parts``; None for
            the folder beside ``out``.
    """

    scene: Named
    out: Path
    model: Path | None
    options: PredictOptions
    assets: tuple[str, ...] = ()
    forward: int | None = None
    plan: dict[str, Any] | None = None
    store: str | None = None

    def agreed(self, first: Report) -> Job:
        """The same as all do it, when one worker has measured what had to be measured."""
        options = replace(first.options, overwrite=False, restart=False)
        # an item is looked up anew by each worker, which so finds the bands and files itself
        options = replace(options, bands=self.options.bands)
        return replace(self, options=options, plan=first.plan)


@dataclass(frozen=True)
class Terms:
    """What workers have to have in common, whatever the scene.

    Args:
        worker: Address of the worker.
        host: Its machine.
        common: By name, what has to be equal: engine, precision and so on.
    """

    worker: str
    host: str
    common: dict[str, str]


@dataclass(frozen=True)
class Report:
    """What a worker makes of a job.

    Args:
        worker: Its address.
        host: Its machine.
        scene: What it opens.
        engine: ``openvino`` or ``torch``.
        device: Where it computes.
        precision: What in.
        plan: Its own plan's journal, and ``forward``.
        options: The choices, less what had to be measured.
        shards: All shards of the map.
        block: Columns of the scene that are decoded at once.
        windows: Windows that touch the area mapped.
        manifest: What the shards become.
        notes: What the user should know.
    """

    worker: str
    host: str
    scene: str
    engine: str
    device: str
    precision: str
    plan: dict[str, Any]
    options: PredictOptions
    shards: tuple[Shard, ...]
    block: int
    windows: int
    manifest: Manifest
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """A task that is done: its shards lie in the parts folder.

    Args:
        worker: Address of the worker.
        host: Its machine.
        shards: Shards that were computed.
        pixels: Their pixels.
        windows: Windows that went through the pipeline.
        seconds: Wall time.
        forward_seconds: The engine busy within that.
    """

    worker: str
    host: str
    shards: int
    pixels: int
    windows: int
    seconds: float
    forward_seconds: float


@dataclass(frozen=True)
class Joined:
    """A map that was made of its shards.

    Args:
        pixels: By file code.
    """

    pixels: dict[int, int]


@dataclass(frozen=True)
class Outlined:
    """Polygons that were made of a map.

    Args:
        polygons: How many there are.
        size: Bytes of the file.
    """

    polygons: int
    size: int


def job_of(
    scene: Named,
    out: Path,
    model: str | Path | None,
    options: PredictOptions,
    assets: tuple[str, ...] = (),
    store: str | None = None,
) -> Job:
    """The job of a scene, whose files are named so that workers find them as well."""
    if isinstance(scene, str) and Path(scene).exists():
        scene = str(Path(scene).absolute())
    return Job(
        scene=scene,
        out=out.absolute(),
        model=_absolute(model),
        options=replace(
            options,
            overwrite=False,
            restart=False,
            aoi=_absolute(options.aoi),
            confidence=_absolute(options.confidence),
            probabilities=_absolute(options.probabilities),
        ),
        assets=assets,
        forward=None if options.restart else Parts(out).recorded("forward"),
        store=store,
    )


def _absolute(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path).absolute()
