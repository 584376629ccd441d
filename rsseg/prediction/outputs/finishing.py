"""From finished shards to the map: joined, with overviews and sidecars."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rsseg.errors import OutputError
from rsseg.geo.strips import assemble, assemble_shares
from rsseg.legend import NODATA
from rsseg.prediction.computing.dealing import shares_dealt
from rsseg.prediction.outputs.checks import require_outputs
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.planning.manifest import Manifest
from rsseg.prediction.workers import Workers


@dataclass(frozen=True)
class Assembled:
    """A map made of the shards that other processes have computed.

    Args:
        out: The class raster.
        width: Its columns.
        height: Its rows.
        classes: Pixels by class name.
        nodata_pixels: Pixels without a class.
        beside: Files with confidence or probabilities.
        shards: Of which they were made.
        seconds: Wall time.
    """

    out: str
    width: int
    height: int
    classes: dict[str, int]
    nodata_pixels: int
    beside: tuple[str, ...]
    shards: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """All fields in plain types."""
        return asdict(self)


def assemble_parts(out: str | Path, *, overwrite: bool = False) -> Assembled:
    """Make a map of the finished shards in ``OUT.tif.parts``, which is removed then.

    Args:
        out: GeoTIFF to write.
        overwrite: Replace outputs that are there.

    Raises:
        OutputError: If there are no shards, some are missing, a process still computes some, or
            the output is there already or cannot be written.
    """
    began = time.perf_counter()
    out = Path(out)
    parts = Parts(out)
    manifest = parts.manifest()
    require_outputs(out, [path for path, _ in manifest.beside], (), overwrite=overwrite)
    missing = parts.missing(manifest)
    if missing:
        raise OutputError(
            f"{len(missing)} of {len(manifest.shards)} shards are missing in {parts.folder} "
            f"({_ranges(missing)})",
            remedy=_remedy(parts, manifest, missing),
        )
    parts.take()
    try:
        with Workers(1, "rsseg-finish") as finishing:
            pixels = finishing.submit(
                finish, parts, manifest, out, lambda: finishing.given_up
            ).result()
    finally:
        parts.leave()
    return Assembled(
        out=str(out),
        width=manifest.grid.width,
        height=manifest.grid.height,
        classes={known.name: pixels[known.code] for known in manifest.legend},
        nodata_pixels=pixels[NODATA],
        beside=tuple(str(path) for path, _ in manifest.beside),
        shards=len(manifest.shards),
        seconds=time.perf_counter() - began,
    )


def finish(
    parts: Parts, manifest: Manifest, out: Path, given_up: Callable[[], bool]
) -> dict[int, int]:
    """Make the outputs of the finished shards, and remove them; pixels by file code."""
    pixels = outputs_of(parts, manifest, out, given_up)
    parts.remove()
    return pixels


def outputs_of(
    parts: Parts, manifest: Manifest, out: Path, given_up: Callable[[], bool]
) -> dict[int, int]:
    """Make the outputs of the finished shards, which stay there; pixels by file code."""
    parts.gather(manifest, given_up)
    parts.begin_finishing()
    indices = range(len(manifest.shards))
    counts = sum((parts.count(index) for index in indices), start=np.zeros(256, np.int64))
    pixels = {code: int(count) for code, count in enumerate(counts)}
    strips, tags = parts.strips(manifest), manifest.tags
    for path, bands in manifest.beside:
        assemble_shares(strips, path, manifest.grid, bands, tags, given_up)
    assemble(strips, out, manifest.grid, manifest.legend, pixels, tags, given_up)
    return pixels


def _remedy(parts: Parts, manifest: Manifest, missing: Sequence[int]) -> str:
    """By which command missing shards come."""
    command, dealt = shlex.join(manifest.command), shares_dealt(parts.folder)
    if not dealt:
        return f"they come by {command}"
    of = max(dealt)
    wanted = [
        f"{number}/{of}" for number, share in enumerate(dealt[of], 1) if set(share) & set(missing)
    ]
    more = f" and the same with {', '.join(wanted[1:])}" if wanted[1:] else ""
    return f"they come by {command} --shard {wanted[0]}{more}"


def _ranges(indices: Sequence[int]) -> str:
    """``0-3, 7`` for ascending numbers."""
    ends = [0, *(i for i, (a, b) in enumerate(pairwise(indices), 1) if b != a + 1), len(indices)]
    runs = [(indices[first], indices[last - 1]) for first, last in pairwise(ends)]
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)
