"""What goes between the client of a cluster and its workers, in small plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsseg.geo.shards import Shard
from rsseg.prediction.manifest import Manifest
from rsseg.prediction.options import PredictOptions


@dataclass(frozen=True)
class Job:
    """A prediction, as every worker can plan it for itself.

    Args:
        scene: What is read; every worker sees it by this name.
        out: The map to come, an absolute path; every worker sees its folder.
        model: A model file, an absolute path; None for the embedded model.
        options: The user's choices.
        forward: Windows of a forward pass, where an unfinished run tells.
        plan: What all have agreed on, see `Plan.journal`; None before.
    """

    scene: str
    out: Path
    model: Path | None
    options: PredictOptions
    forward: int | None = None
    plan: dict[str, Any] | None = None


@dataclass(frozen=True)
class Report:
    """What a worker makes of a job.

    Args:
        worker: Its address.
        host: Its machine.
        engine: ``openvino`` or ``torch``.
        device: Where it computes.
        precision: What in.
        plan: Its own plan's journal.
        options: The choices, less what had to be measured.
        shards: All shards of the map.
        block: Columns of the scene that are decoded at once.
        windows: Windows that touch the area mapped.
        manifest: What the shards become.
        notes: What the user should know.
    """

    worker: str
    host: str
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
class Failed:
    """A task, or a plan, that failed for a reason that trying again does not mend.

    Args:
        worker: Address of the worker.
        host: Its machine.
        reason: One sentence.
    """

    worker: str
    host: str
    reason: str
