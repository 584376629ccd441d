"""Files that other machines have made: network folders show them late."""

from __future__ import annotations

import time
from collections.abc import Callable

LATE = 60.0
"""Seconds for which a network folder may show what was there before."""

_MOMENT = 0.5
"""Seconds between two looks."""


def in_time(
    look: Callable[[], bool],
    *,
    hopeless: Callable[[], bool] = lambda: False,
    within: float | None = None,
) -> bool:
    """Look again and again whether something is there, for a while; whether it was.

    Args:
        look: Whether it is there.
        hopeless: Whether there is no use in waiting.
        within: Seconds; None for `LATE`.
    """
    until = time.monotonic() + (LATE if within is None else within)
    while not look():
        if time.monotonic() >= until or hopeless():
            return False
        time.sleep(_MOMENT)
    return True
