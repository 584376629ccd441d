"""What goes between the client of a cluster and its workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rsseg.errors import OptionError
from rsseg.prediction.identity import fingerprint
from rsseg.vectorise.strips import Work, libraries

Terms = dict[str, Any]
"""What all must agree on, by name."""


@dataclass(frozen=True)
class Done:
    """A task that is done.

    Args:
        worker: Address of the worker.
        host: Its machine.
        pixels: Of the strip.
        seconds: Wall time.
        found: What has come of it.
    """

    worker: str
    host: str
    pixels: int
    seconds: float
    found: Any


@dataclass(frozen=True)
class Failed:
    """A task that failed for a reason that trying again does not mend.

    Args:
        worker: Address of the worker.
        host: Its machine.
        reason: One sentence.
    """

    worker: str
    host: str
    reason: str


def terms_of(work: Work) -> Terms:
    """What decides about polygons beside the choices: libraries, and the state of the files.

    Raises:
        SceneError: If a file cannot be seen.
    """
    options = work.options
    terms: Terms = libraries() | {"raster": fingerprint(work.raster)}
    if options.confidence is not None:
        terms["confidence"] = fingerprint(str(options.confidence))
    return terms


def require_same(terms: Terms, own: Terms) -> None:
    """Check that a worker would make what the others make.

    Raises:
        OptionError: If it would not.
    """
    for name, expected in terms.items():
        if own.get(name) != expected:
            raise OptionError(
                f"it differs from the command in {name}",
                expected=expected,
                got=own.get(name),
                remedy="use the same file, and the same versions of libraries, everywhere",
            )
