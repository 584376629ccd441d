"""The scene that a map was made of, as pictures on the map's grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from rsseg.errors import GridMismatch
from rsseg.geo.display import display_bands, display_limits
from rsseg.geo.grid import Grid
from rsseg.geo.scene import Scene
from rsseg.report.pictures import Picture, colour_picture


class SceneBelow(Scene):
    """An open scene of which a map shows all or, as after ``--bbox``, a part.

    8-bit values are shown as they are, others from their 2nd to their 98th percentile.

    Args:
        path: The scene.
        grid: Of the map.
        map_name: Of the map, for messages.
        bands: Numbers or names of three bands, or of one shown in grey; if None, red, green and
            blue, else the first three, else the first.

    Raises:
        SceneError: If it cannot be read.
        BandError: If a band is not there.
        OptionError: If neither one band nor three are asked for.
        GridMismatch: If the map's pixels are not pixels of the scene.
    """

    def __init__(
        self,
        path: str | Path,
        grid: Grid,
        map_name: str,
        bands: Sequence[int | str] | None = None,
    ) -> None:
        with Scene(path) as scene:
            part = _part(scene, grid, map_name)
        chosen = display_bands(path, bands)
        limits = np.array(display_limits(path, chosen))
        self._low, self._high = limits.T[:, :, None, None]
        super().__init__(path, chosen, part)

    def picture(
        self,
        window: Window,
        alt: str,
        shape: tuple[int, int] | None = None,
        limit: int | None = None,
    ) -> Picture:
        """A window of the map as the scene shows it, invalid pixels clear; see `colour_picture`.

        Raises:
            SceneError: If the file is damaged.
        """
        pixels, valid = self.read(window, shape)
        part = (pixels - self._low) / (self._high - self._low)
        colours = (np.nan_to_num(part).clip(0, 1) * 255).round().astype(np.uint8)
        layers = np.broadcast_to(colours, (3, *colours.shape[1:]))
        return colour_picture(layers, valid, alt, limit)


def _part(scene: Scene, grid: Grid, map_name: str) -> Window:
    """The pixels of a scene that a grid has."""
    whole = scene.grid
    column, row = 0, 0
    if whole.georeferenced and grid.georeferenced and not whole.transform.is_degenerate:
        column, row = (round(place) for place in ~whole.transform @ (grid.transform @ (0, 0)))
    inside = (
        0 <= column <= column + grid.width <= whole.width
        and 0 <= row <= row + grid.height <= whole.height
    )
    part = Window(column, row, grid.width, grid.height)
    try:
        if inside and whole.georeferenced:
            grid.require_same(whole.crop(part), map_name, scene.name)
        else:
            grid.require_same(whole, map_name, scene.name)
    except GridMismatch as error:
        raise GridMismatch(
            f"the pixels of {map_name} are not pixels of {scene.name}: "
            f"the scene is {whole}, the map is {grid}",
            remedy="name the scene that the map was made of, or put it on the map's grid, "
            f"e.g. rio warp {scene.name} OUT.tif --like {map_name}",
        ) from error
    return part
