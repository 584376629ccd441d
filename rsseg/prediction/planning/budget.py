"""Memory: what a prediction takes, and how wide its swaths may be to keep to a bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rsseg.errors import OptionError
from rsseg.geo.remote import public_name
from rsseg.geo.shards import Shard, Swath, swaths
from rsseg.geo.tiling import Tiling
from rsseg.prediction.blending.mosaic import AT_ONCE, shared

if TYPE_CHECKING:
    from rsseg.prediction.planning.plan import Plan

LEAST_CACHE = 32 * 2**20
_ENGINE_BYTES = {"openvino": 250 * 2**20, "torch": 1000 * 2**20}
"""Resident memory of the process with the engine's library loaded, before any weights."""
_COPIES = 4
"""Bytes of memory per byte of a model file: weights widened, folded and packed for the CPU."""


@dataclass(frozen=True)
class Budget:
    """Bytes that a prediction takes by the width of its swaths.

    Args:
        limit: Bound on the resident memory of the process.
        fixed: What it takes whatever the width: engine, windows, scores.
        column: What each column of a swath takes: sums, finished blocks.
        cached: What each column of the scene takes in GDAL's cache while a row of windows is read.
        scene_width: Columns of the scene.
        margin: Columns beyond a swath whose blocks are decoded for it.
        window: Columns whose blocks two neighbouring windows take.
    """

    limit: int
    fixed: int
    column: int
    cached: int
    scene_width: int
    margin: int
    window: int

    def memory(self, width: int) -> int:
        """All of it, for swaths of this width."""
        return self.fixed + self.column * width + self.cache(width)

    def cache(self, width: int) -> int:
        """Bytes of GDAL's cache: a row of windows where it fits, so that no block is decoded twice.

        Of what it holds up to a quarter of the bound is spent on that; more only for the blocks
        that neighbouring windows share, which else are decoded again for each of them. These are
        many where a file's blocks are as wide as the scene.
        """
        row = self.cached * min(self.scene_width, width + self.margin)
        wanted = max(self._shared, min(row, self.limit // 4))
        return max(LEAST_CACHE, min(wanted, self.limit - self.fixed - self.column * width))

    def choose(self, tiling: Tiling, blocks: Sequence[Shard]) -> tuple[Swath, ...]:
        """The fewest swaths that keep to the bound, the most if none does.

        Narrower ones are taken where they leave room for the blocks that windows share.
        """
        most = len({shard.left for shard in blocks})
        for cache in (max(LEAST_CACHE, self._shared), LEAST_CACHE):
            for count in range(1, most + 1):
                choice = swaths(tiling, blocks, count)
                if self.fixed + self.column * widest(choice) + cache <= self.limit:
                    return choice
        return choice

    def require(self, width: int) -> None:
        """Check the bound.

        Raises:
            OptionError: If swaths of this width need more, with the least that works.
        """
        memory = self.memory(width)
        if memory > self.limit:
            raise OptionError(
                f"this scene needs {-(-memory // 10**6)} MB",
                got=f"a bound of {self.limit // 10**6} MB",
                remedy="raise --memory, or choose a smaller --tile-size",
            )

    def thrashes(self, width: int) -> bool:
        """Whether blocks are decoded again for each window, for want of memory."""
        return self.cache(width) < self._shared

    @property
    def _shared(self) -> int:
        return self.cached * min(self.scene_width, self.window)


def budget_of(work: Plan) -> Budget:
    """The budget of a plan, whose swaths are not chosen yet."""
    tiling, layers = work.tiling, len(work.layers)
    side, classes = work.side, len(work.bundle.legend)
    streams = work.placement.streams
    rows = min(tiling.size, tiling.height)
    window = rows * min(tiling.size, tiling.width)
    raw = len(work.bands) * work.dtype.itemsize
    waiting = (work.ahead + (streams + 1) * work.batch + work.readers + 1) * (
        2 * raw * side**2 + 2 * window
    )
    # results of the calls that wait, and those that each of the engine's threads uses in turn
    results = (streams + 1) * work.batch + streams * (streams + 1)
    if work.options.tta != "none":
        results += (streams + 1) * work.batch
    scores = results * 4 * classes * side**2
    # what is being weighed, and interpolated before
    scores += (1 if side == tiling.size else 4) * 4 * min(AT_ONCE, classes * window)
    weights = 0 if work.model is None else _COPIES * work.model.stat().st_size
    engine = _ENGINE_BYTES[work.placement.engine] + weights + streams * 300 * side**2
    # sums of what two windows of a row share, and of what two rows of windows share of a column
    scores += 4 * classes * rows * shared(tiling.columns, tiling.size)
    sums = 4 * classes * shared(tiling.rows, tiling.size)
    if work.placement.device != "cpu":  # a row of windows is collected, and ranked at once
        sums += 4 * classes * rows
        widest_shard = max(shard.right - shard.left for shard in work.shards)
        scores += widest_shard * min(tiling.stride, rows) * (16 + 5 * layers)
    # blocks that are filled and as many that wait to be written
    blocks = 2 * layers * max(shard.bottom - shard.top for shard in work.shards)
    return Budget(
        limit=work.options.memory_limit,
        fixed=waiting + scores + engine,
        column=sums + (layers + 1) * rows + blocks,
        cached=work.readers * (tiling.size + work.block[0]) * work.decoded_bytes,
        scene_width=tiling.width,
        margin=2 * (tiling.size + work.block[1]),
        window=tiling.size + tiling.stride + work.block[1],
    )


def memory_notes(work: Plan) -> Iterator[str]:
    """What to know of the way that memory is kept to."""
    if len(work.swaths) > 1:
        repeated = 100 * (work.passes / work.windows - 1)
        yield (
            f"to keep to --memory the scene is gone down in {len(work.swaths)} swaths, "
            f"for which {repeated:.1f} % of the windows are computed twice"
        )
    if work.budget.thrashes(widest(work.swaths)):
        yield (
            f"{public_name(work.scene)} is stored in blocks of {work.block[1]} x {work.block[0]} "
            "pixels, which --memory leaves no room for: reading is slow; more memory or a tiled "
            "copy helps"
        )


def widest(chosen: Sequence[Swath]) -> int:
    """Columns of the widest swath."""
    return max(swath.width for swath in chosen)
