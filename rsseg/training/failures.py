"""Files of a run that cannot be written, told in one sentence."""

from __future__ import annotations

import errno
from pathlib import Path

from rsseg.errors import OutputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def unwritable(path: Path, error: OSError) -> OutputError:
    """The error of a file that cannot be written; of a full disk with what to do.

    Args:
        path: The file.
        error: Why.
    """
    return OutputError(f"{path} cannot be written: {error.strerror}", remedy=remedy(error))


def remedy(error: OSError) -> str | None:
    """What to do where a run cannot write, if that is known."""
    return "free some space and go on with --resume" if error.errno in _FULL else None
