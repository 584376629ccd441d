"""Several files as one scene, side by side or band by band, by way of a VRT."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rsseg.errors import SceneError
from rsseg.geo.pieces import Piece, laid_out
from rsseg.geo.remote import public_name
from rsseg.geo.virtual_mosaic import virtual_mosaic, virtual_stack


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
    with _file(f"{stem}_and_{len(files) - 1}_more.vrt", text) as path:
        yield path


@contextmanager
def as_one_stack(files: Sequence[str], names: Sequence[str], stem: str) -> Iterator[str]:
    """The name of a raster whose bands are those of these files, while the context lasts.

    Args:
        files: Files of one grid and type.
        names: What the band of each shows.
        stem: What the raster is called.

    Raises:
        SceneError: If a file cannot be read, or differs from the first in its type.
        GridMismatch: If it does not lie on the first one's grid.
    """
    pieces = [Piece.of(path) for path in files]
    first = pieces[0]
    for piece in pieces[1:]:
        first.grid.require_same(piece.grid, first.name, piece.name)
        if piece.dtype != first.dtype:
            raise SceneError(
                f"{piece.name} cannot be a band beside {first.name}: its type differs",
                expected=first.dtype,
                got=piece.dtype,
            )
    with _file(f"{stem}.vrt", virtual_stack(pieces, names)) as path:
        yield path


@contextmanager
def _file(name: str, text: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="rsseg-") as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        yield str(path)
