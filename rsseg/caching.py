"""Where results that can be made again are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

from rsseg.errors import OutputError


def cache_folder() -> Path:
    """``$RSSEG_CACHE``, else ``rsseg`` in the user's XDG cache."""
    own = os.environ.get("RSSEG_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rsseg"


def cache_place(kind: str, name: str) -> Path:
    """The path of a cached file, whose folder is made.

    Raises:
        OutputError: If the folder cannot be made.
    """
    path = cache_folder() / kind / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the cache {path.parent} cannot be made: {error.strerror}",
            remedy="set RSSEG_CACHE to a folder of yours",
        ) from error
    return path
