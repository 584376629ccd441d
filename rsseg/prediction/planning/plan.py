"""What a prediction will do, worked out before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsseg.bundle import Bundle, is_graph
from rsseg.geo.area import Area, area_of_box, area_of_polygons, whole_area
from rsseg.geo.grid import Grid
from rsseg.geo.remote import is_remote
from rsseg.geo.scene import Scene
from rsseg.geo.shards import Shard, Swath, shards
from rsseg.geo.tiling import Tiling
from rsseg.prediction.blending.layers import Layers
from rsseg.prediction.engines.engine import Placement, place
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.planning.budget import Budget, budget_of, memory_notes, widest
from rsseg.prediction.planning.fit import (
    choose_bands,
    magnification,
    note_bands,
    note_place,
    note_radiometry,
    note_resolution,
    stretched,
)
from rsseg.prediction.planning.identity import identity_of
from rsseg.prediction.planning.journal import journal_of
from rsseg.prediction.planning.measuring import Subject

if TYPE_CHECKING:
    from torch import nn

_READERS = 2
_SHARD_PIXELS = 2_000_000
_SHARD_COLUMNS = 4096
"""Least size of a shard. A swath has one column of them at least, so narrower shards need less
memory; wider ones are fewer and leave fewer windows to be computed twice."""


@dataclass(frozen=True)
class Plan:
    """A prediction worked out: everything that follows is mechanical.

    Args:
        scene: What is read.
        area: The part of its grid that is mapped.
        bands: Band numbers from 1 in the model's order.
        dtype: Type of the raw pixels.
        bundle: The model described.
        model: The model file, None for a network of the caller's.
        identity: Hash of the weights.
        side: Side of the windows as the network sees them, pixels.
        tiling: The windows in pixels of the whole scene; of the same side unless rescaled.
        shards: Blocks of the output, in order.
        placement: Engine, device and precision.
        options: The user's choices.
        block: Rows and columns of the scene decoded at once.
        decoded_bytes: What a decoded pixel takes.
        notes: What the user should know, one sentence each.
        calibrated: Hash of the 8-bit graph, None in other precisions.
        pixel_is_point: Whether the scene's values belong to the centres of its pixels.
    """

    scene: str
    area: Area
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
    block: tuple[int, int]
    decoded_bytes: int
    notes: tuple[str, ...]
    calibrated: str | None = None
    pixel_is_point: bool = False

    @property
    def grid(self) -> Grid:
        """The grid of the output: the scene's, or a part of it."""
        return self.area.grid

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
        return self.readers + 2 * self.batch

    @property
    def readers(self) -> int:
        """Threads that read, each with a cache of its own.

        A second one decodes nearly every block again. It is for GPUs, and for answers of a network
        to be waited for; not where a block spans several windows.
        """
        waiting = self.placement.device != "cpu" or is_remote(self.scene)
        return _READERS if waiting and self.block[1] <= 2 * self.tiling.size else 1

    @cached_property
    def budget(self) -> Budget:
        """What the run takes of memory by the width of its swaths."""
        return budget_of(self)

    @cached_property
    def swaths(self) -> tuple[Swath, ...]:
        """Columns of shards that are gone down together: as many as memory allows."""
        return self.budget.choose(self.tiling, self.shards)

    @property
    def shards_across(self) -> int:
        """Shards that stand beside each other in a swath, at most."""
        left = {shard.left for shard in self.shards}
        return max(sum(s.left <= edge < s.right for edge in left) for s in self.swaths)

    @property
    def memory(self) -> int:
        """Resident memory the run will need, in bytes: swaths, windows, caches and engine."""
        return self.budget.memory(widest(self.swaths))

    @property
    def blending_bytes(self) -> int:
        """What blending takes of a GPU's memory, at most.

        32 bits for the rows of a window across a swath: of each class what is collected, what the
        next row of windows shares, and what becomes bytes; and some planes to find the best class.
        """
        rows = min(self.tiling.size, self.tiling.height)
        return 4 * (3 * len(self.bundle.legend) + 4) * rows * widest(self.swaths)

    @property
    def gdal_cache(self) -> int:
        """Bytes of GDAL's block cache."""
        return self.budget.cache(widest(self.swaths))

    @cached_property
    def windows(self) -> int:
        """Windows that touch the area."""
        rows = {row for shard in self.shards for row in shard.rows}
        columns = {column for shard in self.shards for column in shard.columns}
        return len(rows) * len(columns)

    @property
    def passes(self) -> int:
        """Windows that are computed: those across the boundary of two swaths for each of them."""
        rows = {row for shard in self.shards for row in shard.rows}
        return len(rows) * sum(len(swath.columns) for swath in self.swaths)

    @cached_property
    def journal(self) -> dict[str, Any]:
        """All that decides the bytes of the output, in plain types."""
        return journal_of(self)


def make_plan(
    scene: str | Path,
    bundle: Bundle,
    model: Path | None,
    network: nn.Module | None,
    options: PredictOptions,
) -> Plan:
    """Open the scene and decide on bands, area, windows, shards, engine and memory.

    Raises:
        SceneError: If the scene cannot be opened.
        BandError: If its bands do not fit the model.
        OptionError: If choices exclude each other or the memory does not suffice.
    """
    graph = model is not None and is_graph(model)
    placement = place(options, own_network=network is not None, graph=graph)
    with Scene(scene, options.bands) as opened:
        bands = choose_bands(opened, bundle, chosen=options.bands is not None)
        notes = [*note_bands(opened, bundle, bands)]
    with Scene(scene, bands) as opened:
        grid, dtype = opened.grid, opened.dtype
        block, decoded_bytes = (opened.block_height, opened.block_width), opened.decoded_bytes
        gsd, pixel_is_point = options.gsd or grid.gsd, opened.pixel_is_point
        notes += note_place(opened)
        notes += note_resolution(str(scene), gsd, bundle, rescaled=options.rescale)
        if options.stretch is not None:
            bundle, note = stretched(opened, bundle, options.stretch)
            notes.append(note)
        else:
            notes += note_radiometry(opened, bundle)
    side = options.tile_size or bundle.window
    size = side
    if options.rescale:
        size = max(1, round(side * magnification(str(scene), gsd, bundle)))
    identity, calibrated = identity_of(model, network, bundle), None
    if options.overlap == "auto" or placement.precision == "int8":
        with Scene(scene, bands) as opened:
            subject = Subject(opened, bundle, model, network, identity, placement, side, size)
            if placement.precision == "int8":
                calibrated = subject.calibrated()
            if options.overlap == "auto":
                options, told = subject.with_overlap(options)
                notes += told
    tiling = Tiling(grid.height, grid.width, size, options.stride(size))
    area = _area(grid, options)
    plan = Plan(
        scene=str(scene),
        area=area,
        bands=bands,
        dtype=dtype,
        bundle=bundle,
        model=model,
        identity=identity,
        side=side,
        tiling=tiling,
        shards=tuple(shards(tiling, area.window, _SHARD_PIXELS, _SHARD_COLUMNS)),
        placement=placement,
        options=options,
        block=block,
        decoded_bytes=decoded_bytes,
        notes=(*notes, *area.notes),
        calibrated=calibrated,
        pixel_is_point=pixel_is_point,
    )
    plan.budget.require(widest(plan.swaths))
    return replace(plan, notes=(*plan.notes, *memory_notes(plan)))


def _area(grid: Grid, options: PredictOptions) -> Area:
    if options.bbox is not None:
        return area_of_box(grid, options.bbox)
    return whole_area(grid) if options.aoi is None else area_of_polygons(grid, options.aoi)
