"""Files that appear whole or not at all."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; on success it takes the place of ``path``.

    On failure nothing is left of it, and what stood at ``path`` is untouched; what a killed process
    left goes when the same file is next written.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.stem}.unfinished{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        for left in unfinished.parent.glob(f"{glob.escape(unfinished.name)}*"):
            left.unlink()
