"""Where a map is wrong, as a class raster."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from rsseg.errors import OutputError
from rsseg.evaluate.counting import RIGHT, WRONG
from rsseg.geo.code_raster import Codes
from rsseg.geo.grid import Grid
from rsseg.geo.strips import Strip, assemble, write_strip
from rsseg.legend import LandClass, Legend

VERDICTS = Legend(
    (LandClass(RIGHT, "right", (76, 153, 62)), LandClass(WRONG, "wrong", (214, 69, 65)))
)
"""Its classes; 255 where a pixel is not scored."""


@contextmanager
def writing_errors(out: str | Path, grid: Grid) -> Iterator[Callable[[int, Codes], None]]:
    """A function that takes verdicts strip by strip from the top; they become one GeoTIFF.

    It takes the first row of a strip and its verdict ``(h, W)``. The file appears under its name
    when all of the grid was given; strips wait for that in a hidden folder beside it.

    Raises:
        OutputError: If the file cannot be written.
    """
    out = Path(out)
    strips: list[Strip] = []
    counts = np.zeros(256, np.int64)
    try:
        folder = tempfile.TemporaryDirectory(prefix=f".{out.stem}.", dir=out.parent)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
    with folder as name:

        def take(start: int, verdict: Codes) -> None:
            path = Path(name) / f"{start}.tif"
            write_strip(path, verdict[None])
            strips.append(Strip(path, start, start + len(verdict)))
            for code in (RIGHT, WRONG):
                counts[code] += np.count_nonzero(verdict == code)

        yield take
        assemble(strips, out, grid, VERDICTS, {c.code: int(counts[c.code]) for c in VERDICTS}, {})
