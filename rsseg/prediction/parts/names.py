"""What the files of finished shards are called, in a folder as in an object store."""

from __future__ import annotations

import re
from collections.abc import Iterable

PART_FILES = "part_*.tif"
"""Pattern of the names of all of them."""


def part_name(index: int) -> str:
    """The name of a shard's file."""
    return f"part_{index:06d}.tif"


def part_indices(names: Iterable[str]) -> set[int]:
    """Indices of the shards whose files are among these names."""
    found = (re.fullmatch(r"part_(\d+)\.tif", name) for name in names)
    return {int(match[1]) for match in found if match}
