"""Whether the outputs of a prediction can be written, asked before anything heavy begins."""

from __future__ import annotations

from pathlib import Path

from rsseg.errors import OutputError
from rsseg.geo.gis_sidecars import is_plain_style, sidecars
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.parts import Parts
from rsseg.writable import require_writable

_SUFFIXES = (".tif", ".tiff")


def require_all_writable(out: Path, scene: str | Path, options: PredictOptions) -> None:
    """Check that the outputs can be written.

    Raises:
        OptionError: If one is no GeoTIFF's name, or is the scene.
        OutputError: If one is there already or its folder takes no file.
    """
    require_writable(out, _SUFFIXES, inputs=[scene], overwrite=options.overwrite)
    beside = [Path(p) for p in (options.confidence, options.probabilities) if p is not None]
    names = [path.resolve() for path in (out, *beside)]
    if len(set(names)) < len(names):
        raise OutputError(f"two outputs are called {out}", remedy="give each a name of its own")
    own = options.overwrite or Parts(out).finishing()  # written by a run that was cut short
    for path in beside:
        require_writable(path, _SUFFIXES, inputs=[scene], overwrite=own)
    style = sidecars(out)[1]
    if not own and style.exists() and not is_plain_style(style):
        raise OutputError(
            f"{style} is a style that was saved for {out.name}",
            remedy="add --overwrite to replace it, or choose another name",
        )
