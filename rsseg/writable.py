"""Whether an output can be written, asked before any work."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from rsseg.errors import OptionError, OutputError


def require_writable(
    out: str | Path,
    suffixes: Sequence[str] = (),
    *,
    beside: Iterable[Path] = (),
    inputs: Iterable[str | Path] = (),
    overwrite: bool = False,
) -> None:
    """Check that a file can be written.

    A file made in its folder and gone at once shows that the folder takes one.

    Args:
        out: The file to come.
        suffixes: What its name may end in, in lower case; anything if there are none.
        beside: Files that are written with it.
        inputs: Files that must stay; what is no file does not matter.
        overwrite: Whether it may be there already.

    Raises:
        OptionError: If its name is of no format, or an input would be replaced.
        OutputError: If it is there already, or its folder is not there or takes no file.
    """
    out = Path(out)
    if suffixes and out.suffix.lower() not in suffixes:
        raise OptionError(
            f"{out} cannot be written", expected=f"a name ending in {' or '.join(suffixes)}"
        )
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}", remedy="make it first")
    kept = [Path(path) for path in inputs if Path(path).is_file()]
    for file in (out, *beside):
        if file.is_dir():
            raise OutputError(f"{file} is a folder", expected="the name of a file")
        if not file.exists():
            continue
        if any(file.samefile(other) for other in kept):
            what = "its own input" if file == out else f"{file}, which goes with an input"
            raise OptionError(f"{out} would replace {what}", remedy="choose another name")
        if not overwrite:
            raise OutputError(f"{file} is already there", remedy="add --overwrite to replace it")
    try:
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
