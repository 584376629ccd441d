"""What windows of a map are drawn from, and the pictures of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rasterio.windows import Window

from rsseg.geo.code_raster import CodeRaster
from rsseg.legend import LandClass
from rsseg.report.ground import spot
from rsseg.report.pictures import Picture, class_picture, fitted, reduced
from rsseg.report.scenes import SceneBelow

LONGEST = 1600
"""Pixels of the longer side of the pictures of the whole, at most."""

SIDE = 256
"""Pixels of a side of the pictures of windows, at most."""

_LIMIT = 500_000


@dataclass(frozen=True)
class Sight:
    """A window that is shown: what is said of it, where it lies, and its pictures with captions."""

    said: str
    lines: tuple[str, ...]
    pictures: tuple[tuple[str, Picture], ...]


@dataclass(frozen=True)
class Views:
    """What windows of a map are drawn from."""

    raster: CodeRaster
    classes: Sequence[LandClass]
    scene: SceneBelow | None = None

    def whole(self) -> tuple[Picture, Picture | None]:
        """The map and the scene, small enough for a page."""
        grid = self.raster.grid
        window = Window(0, 0, grid.width, grid.height)

        def of_map(shape: tuple[int, int]) -> Picture:
            codes = self.raster.read_window(window, shape)
            return class_picture(codes, self.classes, "the map in the colours of its classes")

        size = grid.height, grid.width, LONGEST, _LIMIT
        scene = self.scene
        if scene is None:
            return fitted(of_map, *size), None
        return fitted(of_map, *size), fitted(
            lambda shape: scene.picture(window, "the scene below the map", shape, _LIMIT), *size
        )

    def sight(self, window: Window, said: str, more: Iterable[tuple[str, Picture]] = ()) -> Sight:
        """A window of scene and map, with further pictures after them."""
        place = spot(self.raster.grid, window)
        shape = reduced(int(window.height), int(window.width), SIDE)
        pictures = []
        if self.scene is not None:
            seen = self.scene.picture(window, f"the scene at {place.pixels}", shape)
            pictures.append(("scene", seen))
        codes = self.raster.read_window(window, shape)
        drawn = class_picture(codes, self.classes, f"the map at {place.pixels}")
        lines = tuple(line for line in (place.degrees, place.ground, place.pixels) if line)
        return Sight(said, lines, (*pictures, ("map", drawn), *more))
