"""Several files of one pixel grid as one scene, by way of a VRT."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rsseg.errors import SceneError
from rsseg.geo.pieces import Piece, laid_out
from rsseg.geo.remote import public_name
from rsseg.geo.virtual_mosaic import virtual_mosaic


@contextmanager
def as_one_scene(files: Sequence[str | Path]) -> Iterator[str]:
    """The name of a raster that is these files laid side by side, while the context lasts.

    Where files overlap, a pixel is that of the first in the list that is valid there. What no
    file covers is invalid; so is what is invalid in all that cover it.

    Args:
        files: Files of one CRS, pixel size and alignment, with the same bands and type.

    Raises:
        SceneError: If a file cannot be read, or differs from the first in its bands or type.
        GridMismatch: If it does not lie on the first one's pixels.
    """
    if not files:
        raise SceneError("no file was named")
    if len(files) == 1:
        yield str(files[0])
        return
    text = virtual_mosaic(laid_out([Piece.of(path) for path in files]))
    stem = Path(public_name(files[0])).stem
    with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
        path = Path(folder) / f"{stem}_and_{len(files) - 1}_more.vrt"
        path.write_text(text, encoding="utf-8")
        yield str(path)
