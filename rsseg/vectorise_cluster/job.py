"""What goes between the client of a cluster and its workers."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsseg.errors import ClusterError, OptionError, SceneError
from rsseg.geo.state import State, fingerprint
from rsseg.late_files import in_time
from rsseg.vectorise.strips import Work, libraries


@dataclass(frozen=True)
class Terms:
    """What decides about polygons beside the choices.

    Args:
        libraries: Versions by name.
        files: What is known of the rasters, by what they are.
    """

    libraries: dict[str, str]
    files: dict[str, list[State]]


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


def terms_of(work: Work) -> Terms:
    """What the one who asks works with.

    Raises:
        SceneError: If a file cannot be seen.
    """
    files = {"raster": fingerprint(work.raster)}
    if work.options.confidence is not None:
        files["confidence"] = fingerprint(str(work.options.confidence))
    return Terms(libraries(), files)


def require_same(terms: Terms, work: Work, patience: float | None = None) -> None:
    """Check that a worker makes what the command would make.

    Args:
        terms: Those of the command.
        work: What is to be made.
        patience: Seconds until files have to be seen here as they are there; None for the time that
            network folders may take.

    Raises:
        ClusterError: If it has other libraries.
        OptionError: If it sees other files.
        SceneError: If it sees none.
    """
    for name, version in libraries().items():
        if terms.libraries.get(name) != version:
            raise ClusterError(
                f"it differs from the command in {name}",
                expected=terms.libraries.get(name),
                got=version,
                remedy="use the same versions of libraries everywhere",
            )

    def same() -> bool:
        with suppress(OptionError, SceneError):
            _require_files(terms.files, work)
            return True
        return False

    above = Path(work.raster).parent
    if not in_time(same, hopeless=lambda: not above.is_dir(), within=patience):
        _require_files(terms.files, work)


def _require_files(files: dict[str, list[State]], work: Work) -> None:
    own = terms_of(work).files
    for name, expected in files.items():
        if own[name] != expected:
            raise OptionError(
                f"it differs from the command in {name}",
                expected=expected,
                got=own[name],
                remedy="have all see the same file by the same name",
            )
