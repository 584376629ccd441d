"""rasterio without the warnings that rsseg answers by itself."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning

_LOCK = threading.RLock()
"""Python's warning filters belong to the process: two threads must not swap them at once."""


@contextmanager
def quietly() -> Iterator[None]:
    """No warning of a raster without a place on the ground, or of nodata beside an alpha band."""
    with _LOCK, warnings.catch_warnings():
        for category in (NodataShadowWarning, NotGeoreferencedWarning):
            warnings.simplefilter("ignore", category)
        yield
