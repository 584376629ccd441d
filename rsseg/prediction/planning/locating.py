"""What GDAL opens for a scene as it was named: a raster, or the assets of an item of STAC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rsseg.errors import RssegError
from rsseg.geo.assets import choose_assets
from rsseg.geo.scene_list import Named, told_name
from rsseg.geo.stac import Item
from rsseg.geo.together import as_one_stack
from rsseg.prediction.options import PredictOptions


@contextmanager
def located(
    scene: Named, options: PredictOptions, bands: Sequence[str], assets: Sequence[str] = ()
) -> Iterator[tuple[str, PredictOptions]]:
    """What GDAL opens for a scene while the context lasts, and the options for it.

    Args:
        scene: A raster, or an item of STAC, whose assets are chosen.
        options: Those of the run.
        bands: Names of the model's bands.
        assets: Keys or roles of assets that the user asks for.

    Raises:
        SceneError: If an item does not tell what to read.
        GridMismatch: If files of a band each do not lie on one grid.
    """
    if not isinstance(scene, Item):
        yield scene, options
        return
    named = [band for band in options.bands or () if isinstance(band, str)]
    choice = choose_assets(scene, named or bands, assets)
    if choice.bands is not None and (named or options.bands is None):
        options = replace(options, bands=choice.bands)
    if len(choice.files) == 1:
        yield choice.files[0], options
        return
    with as_one_stack(choice.files, choice.names, Path(scene.id).name) as path:
        try:
            yield path, options
        except RssegError as error:  # the user never sees that file
            error.args = (str(error).replace(path, told_name(scene)),)
            raise
