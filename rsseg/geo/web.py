"""Requests to web servers, in several attempts."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from rsseg.errors import SceneError
from rsseg.geo.remote import ATTEMPTS, may_pass, pause

_SECONDS = 30
"""To wait for a server."""

Taken = TypeVar("Taken")


def ask_web(request: Request, take: Callable[[Any], Taken], *, failure: str) -> Taken:
    """What is taken of a web server's answer.

    Args:
        request: What is asked.
        take: Gives it, called with the answer while that is open.
        failure: What to tell if no answer comes, such as "x cannot be read".

    Raises:
        HTTPError: If the server refuses, and would refuse again.
        SceneError: If it cannot be reached, or fails each time.
    """
    reason = ""
    for attempt in range(ATTEMPTS):
        time.sleep(pause(attempt))
        try:
            with urlopen(request, timeout=_SECONDS) as answer:
                return take(answer)
        except HTTPError as error:
            error.close()
            if not may_pass(error.code):
                raise
            reason = f" (HTTP {error.code})"
        except (URLError, HTTPException, OSError, ValueError):
            reason = ""
    raise SceneError(
        f"{failure}{reason}, tried {ATTEMPTS} times",
        remedy="its server or the connection fails, try again later",
    )
