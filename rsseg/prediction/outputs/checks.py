"""Whether the outputs of a prediction can be written, asked before anything heavy begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsseg.errors import OutputError
from rsseg.geo.gis_sidecars import is_plain_style, sidecars
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.parts.folder import Parts
from rsseg.writable import require_writable

_SUFFIXES = (".tif", ".tiff")


def require_all_writable(out: Path, scene: str | Path, options: PredictOptions) -> None:
    """Check that the outputs of a prediction can be written.

    Raises:
        OptionError: If one is no GeoTIFF's name, or is the scene.
        OutputError: If one is there already or its folder takes no file.
    """
    beside = [Path(p) for p in (options.confidence, options.probabilities) if p is not None]
    require_outputs(out, beside, [scene], overwrite=options.overwrite)


def require_outputs(
    out: Path, beside: Sequence[Path], inputs: Sequence[str | Path], *, overwrite: bool
) -> None:
    """Check that a map and the files beside it can be written.

    Args:
        out: The map.
        beside: Other rasters, written before it.
        inputs: Files that must stay.
        overwrite: Whether they may be there already.

    Raises:
        OptionError: If one is no GeoTIFF's name, or is an input.
        OutputError: If one is there already or its folder takes no file.
    """
    require_writable(out, _SUFFIXES, inputs=inputs, overwrite=overwrite)
    names = [path.resolve() for path in (out, *beside)]
    if len(set(names)) < len(names):
        raise OutputError(f"two outputs are called {out}", remedy="give each a name of its own")
    own = overwrite or Parts(out).finishing()  # written by a run that was cut short
    for path in beside:
        require_writable(path, _SUFFIXES, inputs=inputs, overwrite=own)
    style = sidecars(out)[1]
    if not own and style.exists() and not is_plain_style(style):
        raise OutputError(
            f"{style} is a style that was saved for {out.name}",
            remedy="add --overwrite to replace it, or choose another name",
        )
