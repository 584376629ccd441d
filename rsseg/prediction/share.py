"""One of several processes that compute a map together, without a cluster's software."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rsseg.errors import OptionError
from rsseg.geo.opening import gdal_cache
from rsseg.geo.shards import Shard
from rsseg.prediction.computing import pipeline
from rsseg.prediction.computing.dealing import Share, deal, note_shares
from rsseg.prediction.engines.engine import Engine
from rsseg.prediction.memory import peak_memory
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs.checks import require_all_writable
from rsseg.prediction.parts.claims import Claims
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.planning.manifest import manifest_of
from rsseg.prediction.planning.plan import Plan
from rsseg.prediction.predict import load_engine, plan
from rsseg.prediction.workers import Workers

_LOOK = 2.0
"""Seconds between two looks at the shards of other processes."""


@dataclass(frozen=True)
class ShareResult:
    """What one process has done of a map.

    Args:
        out: The map to come.
        share: Which share of how many.
        shards: Shards of that share.
        computed: Those that this process has computed; the others were there before.
        elsewhere: Those that other processes were at work on, and have finished meanwhile.
        missing: Shards of the whole map that are not there yet.
        windows: Windows that were computed.
        seconds: Wall time of all.
        forward_seconds: The engine busy within that.
        peak_rss_mb: Highest resident memory of the process so far.
        engine: ``openvino`` or ``torch``.
        device: Where it ran.
        precision: What it computed in.
        notes: What the user should know, one sentence each.
    """

    out: str
    share: str
    shards: int
    computed: int
    elsewhere: int
    missing: int
    windows: int
    seconds: float
    forward_seconds: float
    peak_rss_mb: float
    engine: str
    device: str
    precision: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields in plain types."""
        return asdict(self)


def predict_share(
    scene: str | Path,
    out: str | Path,
    share: Share,
    *,
    bundle: str | Path | None = None,
    options: PredictOptions | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ShareResult:
    """Compute one share of a map's shards, while other processes compute others.

    Shards lie in ``OUT.tif.parts``, which all processes see; `assemble_parts` makes the map of
    them. The first process fixes the plan, others must come to the same. A process takes no shard
    that another one is at work on, whatever the shares; it waits for these, and takes over those of
    dead ones, so that a share that has ended is whole.

    Args:
        scene: A raster of any size.
        out: GeoTIFF to come.
        share: Which share of how many.
        bundle: A model file; None for the embedded model.
        options: Window, overlap, blending, engine and so on.
        on_progress: Called with windows done and windows of the share.

    Raises:
        SceneError: If the scene cannot be read or its bands do not fit.
        BundleError: If the model cannot be used.
        OptionError: If choices exclude each other.
        OutputError: If a shard cannot be written, or the folder is of another plan.
    """
    began = time.perf_counter()
    options = options or PredictOptions()
    out = Path(out)
    if options.restart:
        raise OptionError(
            "--restart would forget what other shares have done",
            remedy=f"remove {out.name}.parts before the first share begins",
        )
    require_all_writable(out, scene, options)
    work = plan(scene, bundle=bundle, options=options)
    parts = Parts(out)
    with Workers(1, "rsseg-score") as scoring:
        engine = scoring.submit(load_engine, work, None, parts.recorded("forward")).result()
        manifest = manifest_of(work, out)
        parts.join(work.journal | {"forward": engine.batch}, manifest)
        try:
            dealt = deal(work.shards, share.of, work.block[1])
            own = dealt[share.number - 1]
            todo = sum(not parts.has(shard) for shard in own)
            with Claims(parts.folder) as claims:
                note_shares(parts.folder, dealt)
                done = _compute(work, own, engine, scoring, parts, claims, on_progress)
            # while the folder is held: once it is left, another process may assemble and remove it
            missing = len(parts.missing(manifest))
        except BaseException as error:
            if parts.keep_if_useful():
                error.add_note(
                    f"finished shards are kept in {parts.folder}: the same command goes on"
                )
            raise
        finally:
            parts.leave()
    return ShareResult(
        out=str(out),
        share=f"{share.number}/{share.of}",
        shards=len(own),
        computed=done.shards,
        elsewhere=todo - done.shards,
        missing=missing,
        windows=done.windows,
        seconds=time.perf_counter() - began,
        forward_seconds=done.forward,
        peak_rss_mb=peak_memory() / 1e6,
        engine=engine.name,
        device=engine.device,
        precision=engine.precision,
        notes=(*work.notes, *done.notes),
    )


@dataclass
class _Computed:
    """What this process has computed so far."""

    shards: int = 0
    windows: int = 0
    forward: float = 0.0
    notes: tuple[str, ...] = ()


def _compute(
    work: Plan,
    own: Sequence[Shard],
    engine: Engine,
    scoring: Workers,
    parts: Parts,
    claims: Claims,
    on_progress: Callable[[int, int], None],
) -> _Computed:
    """Compute the shards of a share that nobody else has; when it returns, all are there."""
    done = _Computed()
    with gdal_cache(work.gdal_cache):
        while not all(map(parts.has, own)):
            mine = _claimed(parts, claims, own)
            if not mine:
                time.sleep(_LOOK)  # others finish theirs, or die and leave them
                continue
            counting = _Counting(on_progress)  # each run of the pipeline counts anew
            some = replace(work, shards=tuple(mine))
            timing = pipeline.run(some, engine, scoring, parts, counting)
            done.shards, done.windows = done.shards + len(mine), done.windows + counting.count
            done.forward, done.notes = done.forward + timing.forward, (*done.notes, *timing.notes)
    return done


def _claimed(parts: Parts, claims: Claims, shards: Sequence[Shard]) -> list[Shard]:
    """Those shards that are not there, and that no other process has."""
    todo = [shard for shard in shards if not parts.has(shard)]
    mine = [shard for shard in todo if claims.take(f"{shard.index:06d}")]
    # again, for whoever had one may have finished it before it was claimed
    return [shard for shard in mine if not parts.has(shard)]


class _Counting:
    """Progress from zero, where the pipeline counts windows that need not be computed as done."""

    def __init__(self, on_progress: Callable[[int, int], None]) -> None:
        self._on_progress = on_progress
        self._first: int | None = None
        self.count = 0

    def __call__(self, done: int, total: int) -> None:
        if self._first is None:
            self._first = done - 1
        self.count = done - self._first
        self._on_progress(self.count, total - self._first)
