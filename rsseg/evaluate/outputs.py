"""Whether outputs can be written, asked before any work."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rsseg.errors import OptionError, OutputError
from rsseg.evaluate.plots import PICTURES, require_plots
from rsseg.evaluate.reports import REPORTS
from rsseg.geo.gis_sidecars import sidecars

RASTERS = (".tif", ".tiff")
"""Names of GeoTIFFs end so."""

_Path = str | Path


def require_outputs(
    report: _Path | None = None,
    picture: _Path | None = None,
    errors: _Path | None = None,
    *,
    inputs: Sequence[_Path],
    overwrite: bool = False,
) -> None:
    """Check that a report, a picture and a raster of errors can be written, where wanted.

    A file made in each folder and gone at once shows that the folder takes one.

    Raises:
        OptionError: If a suffix is of no format, or a file is an input or goes with one.
        OutputError: If a folder is not there or takes no file, or a file is there already.
        MissingExtra: If a picture is wanted and matplotlib is not installed.
    """
    if picture is not None:
        require_plots()
    for out, suffixes in ((report, REPORTS), (picture, PICTURES), (errors, RASTERS)):
        if out is not None:
            beside = sidecars(out) if out is errors else ()
            _require(Path(out), suffixes, beside, inputs, overwrite)


def _require(
    out: Path,
    suffixes: Sequence[str],
    beside: Sequence[Path],
    inputs: Sequence[_Path],
    overwrite: bool,
) -> None:
    if out.suffix.lower() not in suffixes:
        raise OptionError(
            f"{out} cannot be written", expected=f"a name ending in {' or '.join(suffixes)}"
        )
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}", remedy="make it first")
    files = [Path(source) for source in inputs if Path(source).is_file()]
    theirs = [file for source in files for file in (source, *sidecars(source))]
    for file in (out, *beside):
        if file.is_dir():
            raise OutputError(f"{file} is a folder", expected="the name of a file")
        if not file.exists():
            continue
        if any(other.exists() and file.samefile(other) for other in theirs):
            what = "its own input" if file == out else f"{file}, which goes with an input"
            raise OptionError(f"{out} would replace {what}", remedy="choose another name")
        if not overwrite:
            raise OutputError(f"{file} is already there", remedy="add --overwrite to replace it")
    try:
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
