"""Whether outputs can be written, asked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsseg.evaluate.plots import PICTURES, require_plots
from rsseg.evaluate.reports import REPORTS
from rsseg.geo.gis_sidecars import sidecars
from rsseg.writable import require_writable

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

    Raises:
        OptionError: If a suffix is of no format, or a file is an input or goes with one.
        OutputError: If a folder is not there or takes no file, or a file is there already.
        MissingExtra: If a picture is wanted and matplotlib is not installed.
    """
    if picture is not None:
        require_plots()
    files = [source for source in inputs if Path(source).is_file()]
    theirs = [file for source in files for file in (source, *sidecars(source))]
    for out, suffixes in ((report, REPORTS), (picture, PICTURES), (errors, RASTERS)):
        if out is not None:
            beside = sidecars(out) if out is errors else ()
            require_writable(out, suffixes, beside=beside, inputs=theirs, overwrite=overwrite)
