"""What a prediction will do, worked out before anything heavy is loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsseg import __version__
from rsseg.bundle import Bundle
from rsseg.errors import OptionError
from rsseg.geo.grid import Grid
from rsseg.geo.scene import Scene
from rsseg.geo.tiling import Shard, Tiling, shards
from rsseg.prediction.engine import Placement, place
from rsseg.prediction.fit import (
    choose_bands,
    magnification,
    note_bands,
    note_place,
    note_radiometry,
    note_resolution,
    stretched,
)
from rsseg.prediction.identity import fingerprint, identity_of
from rsseg.prediction.layers import Layers
from rsseg.prediction.options import PredictOptions

if TYPE_CHECKING:
    from torch import nn

READERS = 2
_SHARD_PIXELS = 4_000_000
_ENGINE_BYTES = {"openvino": 250 * 2**20, "torch": 1000 * 2**20}
"""Resident memory of the process with the engine's library loaded, before any weights."""
_COPIES = 4
"""Bytes of memory per byte of a model file: weights widened, folded and packed for the CPU."""
_LEAST_CACHE = 32 * 2**20


@dataclass(frozen=True)
class Plan:
    """A prediction worked out: everything that follows is mechanical.

    Args:
        scene: What is read.
        grid: Its grid, which the output shares.
        bands: Band numbers from 1 in the model's order.
        dtype: Type of the raw pixels.
        bundle: The model described.
        model: The model file, None for a network of the caller's.
        identity: Hash of the weights.
        side: Side of the windows as the network sees them, pixels.
        tiling: The windows in pixels of the scene; of the same side unless rescaled.
        shards: Strips of the output, in order.
        placement: Engine, device and precision.
        options: The user's choices.
        block_height: Rows of the scene decoded at once.
        notes: What the user should know, one sentence each.
    """

    scene: str
    grid: Grid
    bands: tuple[int, ...]
    dtype: np.dtype[Any]
    bundle: Bundle
    model: Path | None
    identity: str
    side: int
    tiling: Tiling
    shards: tuple[Shard, ...]
    placement: Placement
    options: PredictOptions
    block_height: int
    notes: tuple[str, ...]

    @property
    def layers(self) -> Layers:
        """What is written of each pixel."""
        return Layers.of(self.options, self.bundle.legend)

    @property
    def batch(self) -> int:
        """Windows handed to the engine at a time."""
        return self.options.batch_size or self.placement.batch

    @property
    def ahead(self) -> int:
        """Windows that are read before the engine asks for them."""
        return READERS + 2 * self.batch

    @property
    def memory(self) -> int:
        """Resident memory the run will need, in bytes: strips, windows, caches and engine."""
        return self._fixed_memory + self.gdal_cache

    @property
    def _fixed_memory(self) -> int:
        """All but GDAL's cache, which takes what the bound leaves."""
        window = self.tiling.size**2
        width, rows = self.tiling.width, min(self.tiling.size, self.tiling.height)
        classes = len(self.bundle.legend)
        sums = 4 * width * (classes * (rows + self.tiling.stride) + rows)
        strip = max(shard.stop - shard.start for shard in self.shards) * width
        raw = len(self.bands) * self.dtype.itemsize
        waiting = (self.ahead + READERS + 1) * (self.side**2 * 2 * raw + window * 2)
        scores = (self.batch + 2) * 4 * classes * window
        weights = 0 if self.model is None else _COPIES * self.model.stat().st_size
        engine = _ENGINE_BYTES[self.placement.engine] + weights + 300 * self.side**2
        if self.options.tta != "none":
            scores += 2 * self.batch * 4 * classes * window
        planes = 2 * len(self.layers) + 1
        return sums + planes * strip + waiting + scores + engine

    @property
    def gdal_cache(self) -> int:
        """Bytes of GDAL's block cache: a row of windows, so that no block is decoded twice."""
        raw = len(self.bands) * self.dtype.itemsize
        row = (self.tiling.size + self.block_height) * self.grid.width * (raw + 1)
        limit = self.options.memory_limit
        return max(_LEAST_CACHE, min(row, limit // 4, limit - self._fixed_memory))

    def require_memory(self) -> None:
        """Check the bound on memory.

        Raises:
            OptionError: If the run needs more, with the least that works.
        """
        if self.memory > self.options.memory_limit:
            raise OptionError(
                f"this scene needs {-(-self.memory // 10**6)} MB",
                got=f"a bound of {self.options.memory_limit // 10**6} MB",
                remedy="raise --memory, or choose a smaller --tile-size",
            )

    def journal(self) -> dict[str, Any]:
        """All that decides the bytes of the output, in plain types."""
        return {
            "rsseg": __version__,
            "scene": fingerprint(self.scene),
            "grid": str(self.grid),
            "transform": list(self.grid.transform)[:6],
            "model": self.identity,
            "bands": list(self.bands),
            "window": self.side,
            "footprint": self.tiling.size,
            "stride": self.tiling.stride,
            "blend": self.options.blend,
            "shards": len(self.shards),
            "engine": self.placement.engine,
            "device": self.placement.device.split(":")[0],
            "precision": self.placement.precision,
            "tta": self.options.tta,
            "layers": [len(self.layers), self.options.confidence_kind, self.layers.least],
            "stretch": self.options.stretch and self.bundle.normalisation.to_json(),
        }

    def tags(self) -> dict[str, str]:
        """Provenance for the output: no times, places or machine-bound numbers."""
        journal = self.journal()
        kept = (
            "model",
            "bands",
            "window",
            "footprint",
            "stride",
            "blend",
            "engine",
            "precision",
            "tta",
            "stretch",
        )
        told = [key for key in kept if journal[key] is not None]
        tags = {f"RSSEG_{key.upper()}": _text(journal[key]) for key in told}
        return tags | {
            "RSSEG_ARCHITECTURE": self.bundle.architecture,
            "RSSEG_SCENE": Path(self.scene.split("?")[0]).name,
        }


def make_plan(
    scene: str | Path,
    bundle: Bundle,
    model: Path | None,
    network: nn.Module | None,
    options: PredictOptions,
) -> Plan:
    """Open the scene and decide on bands, windows, strips, engine and memory.

    Raises:
        SceneError: If the scene cannot be opened.
        BandError: If its bands do not fit the model.
        OptionError: If choices exclude each other or the memory does not suffice.
    """
    placement = place(options, own_network=network is not None)
    with Scene(scene, options.bands) as opened:
        bands = choose_bands(opened, bundle, chosen=options.bands is not None)
        notes = [*note_bands(opened, bundle, bands)]
    with Scene(scene, bands) as opened:
        grid, dtype, block_height = opened.grid, opened.dtype, opened.block_height
        gsd = options.gsd or grid.gsd
        notes += note_place(opened)
        notes += note_resolution(str(scene), None if options.rescale else gsd, bundle)
        if options.stretch is not None:
            bundle, note = stretched(opened, bundle, options.stretch)
            notes.append(note)
        else:
            notes += note_radiometry(opened, bundle)
    side = options.tile_size or bundle.window
    size = side
    if options.rescale:
        size = max(1, round(side * magnification(str(scene), gsd, bundle)))
    tiling = Tiling(grid.height, grid.width, size, options.stride(size))
    plan = Plan(
        scene=str(scene),
        grid=grid,
        bands=bands,
        dtype=dtype,
        bundle=bundle,
        model=model,
        identity=identity_of(model, network, bundle),
        side=side,
        tiling=tiling,
        shards=tuple(shards(tiling, _SHARD_PIXELS)),
        placement=placement,
        options=options,
        block_height=block_height,
        notes=tuple(notes),
    )
    plan.require_memory()
    return plan


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
