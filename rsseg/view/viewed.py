"""A map and what belongs to it, open to be looked at."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rasterio.crs import CRS
from rasterio.io import DatasetReader

from rsseg.errors import GridMismatch, OptionError, OutputError
from rsseg.geo.bands import band_names
from rsseg.geo.class_colours import coloured_legend, doubts
from rsseg.geo.code_raster import CodeRaster
from rsseg.geo.confidence import confidence_ends, confidence_scaling
from rsseg.geo.display import display_bands, display_limits
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.geo.remote import is_remote, public_name
from rsseg.legend import LandClass, Legend
from rsseg.view.overviews import make_overviews, needs_overviews
from rsseg.view.plane import DEGREES, Plane, along, border
from rsseg.view.polygons import Polygons
from rsseg.view.rasters import ClassTiles, PictureTiles, Raster

CONFIDENCE = "confidence"
SCENE = "scene"


class ViewedMap:
    """A class raster, and the scene, confidence and polygons that belong to it.

    Args:
        raster: The class raster.
        scene: The scene it is a map of.
        polygons: Its polygons.
        confidence: Its confidence, one band.
        bands: Of the scene, see `rsseg.geo.display.display_bands`.
        on_wait: Called with a sentence before something that takes a while.

    Raises:
        SceneError: If a file cannot be read or is of another kind.
        BandError: If a band is not there.
        GridMismatch: If a file lies somewhere else than the map.
        LegendError: If the map's legend contradicts itself, or a value is no code.
        OptionError: If bands are given without a scene, or neither one nor three.
        OutputError: If there is no room for temporary files.
    """

    def __init__(
        self,
        raster: str | Path,
        *,
        scene: str | Path | None = None,
        polygons: str | Path | None = None,
        confidence: str | Path | None = None,
        bands: Sequence[int | str] | None = None,
        on_wait: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        if bands is not None and scene is None:
            raise OptionError("bands are chosen of a scene", remedy="name the scene too")
        self.name = public_name(raster)
        self.notes: list[str] = []
        self._on_wait = on_wait
        with ExitStack() as opened:
            self._folder = opened.enter_context(_temporary_folder())
            self.plane, self.legend, self.classes = self._class_tiles(str(raster), opened)
            self.pictures: dict[str, PictureTiles] = {}
            self.band_names: tuple[str, ...] = ()
            if scene is not None:
                self.pictures[SCENE] = self._scene(str(scene), bands, opened)
            if confidence is not None:
                self.pictures[CONFIDENCE] = self._confidence(str(confidence), opened)
            self.polygons = None
            if polygons is not None:
                self.polygons = Polygons(polygons, self.plane, self.legend, self._folder)
            self._opened = opened.pop_all()

    def __enter__(self) -> ViewedMap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all files, and remove what was made for them."""
        self._opened.close()

    def describe(self) -> dict[str, Any]:
        """What a page needs to show it, as plain lists and dicts."""
        crs = self.plane.grid.crs
        return {
            "name": Path(self.name).name,
            "mercator": self.plane.mercator,
            "zoom": self.plane.zoom,
            "deepest": self.plane.deepest,
            "extent": list(self.plane.extent),
            "crs": None if crs is None else crs.to_string(),
            "classes": [{"code": c.code, "name": c.name, "colour": c.hex} for c in self.legend],
            "scene": SCENE in self.pictures,
            "confidence": CONFIDENCE in self.pictures,
            "polygons": self.polygons is not None,
            "notes": self.notes,
        }

    def at(self, u: float, v: float) -> dict[str, Any]:
        """All that is known of a point of the plane.

        Returns:
            ``inside``, whether the map has a pixel there; its ``row`` and ``column``, ``code`` and
            ``class`` (None where it is nodata), ``x`` and ``y`` in the map's CRS, ``lon`` and
            ``lat`` (None where there is no way to them), ``confidence`` (0-1), ``scene`` (pairs of
            a band's name and value), ``polygons``.

        Raises:
            SceneError: If a file is damaged or no longer there.
        """
        crs = self.plane.grid.crs
        x, y = self._on_ground(crs, u, v)
        placed = crs is not None and self.plane.grid.georeferenced
        lon, lat = self._on_ground(DEGREES, u, v) if placed else (None, None)
        found: dict[str, Any] = {"inside": False, "x": x, "y": y, "lon": lon, "lat": lat}
        if x is None:
            return found
        pixel = self.classes.raster.at(u, v)
        if pixel is not None:
            (row, column), (code,) = pixel
            known = self._class(code)
            found |= {
                "inside": True,
                "row": row,
                "column": column,
                "code": None if code is None else int(code),
                "class": None if known is None else known.name,
            }
        for name, tiles in self.pictures.items():
            values = tiles.raster.at(u, v)
            if name == SCENE:
                told = [] if values is None else zip(self.band_names, values[1], strict=True)
                found[SCENE] = [list(pair) for pair in told]
            elif values is not None:
                found[CONFIDENCE] = values[1][0]
        if self.polygons is not None:
            found["polygons"] = self.polygons.at(u, v)
        return found

    def _class(self, code: float | None) -> LandClass | None:
        return None if code is None else self.legend.by_code(int(code))

    def _on_ground(self, crs: CRS | None, u: float, v: float) -> tuple[float | None, float | None]:
        """Coordinates of a point of the plane; None where there is no way to them."""
        if not self.plane.holds(u, v):
            return None, None
        try:
            (x,), (y,) = self.plane.to_ground(crs, [u], [v])
        except GridMismatch:
            return None, None
        return (float(x), float(y)) if math.isfinite(x) and math.isfinite(y) else (None, None)

    def _class_tiles(self, path: str, opened: ExitStack) -> tuple[Plane, Legend, ClassTiles]:
        with CodeRaster(path) as codes:
            if not codes.coloured:
                self._on_wait(f"{self.name} tells no colours, looking for the classes it holds")
            legend, grid = coloured_legend(codes), codes.grid
            self.notes.extend(doubts(codes, legend.classes))
        with open_raster(path) as dataset:
            smaller = self._smaller(dataset, path, "mode")
        plane = Plane.of(grid)
        if not plane.mercator:
            why = "has no place in Web Mercator" if grid.georeferenced else "has no place on earth"
            self.notes.append(f"{self.name} {why}: it is shown by its pixels")
        raster = Raster(path, plane, (1,), smaller)
        opened.callback(raster.close)
        return plane, legend, ClassTiles(raster)

    def _scene(
        self, path: str, bands: Sequence[int | str] | None, opened: ExitStack
    ) -> PictureTiles:
        numbers = display_bands(path, bands)
        with open_raster(path) as dataset:
            self._require_here(dataset, path)
            smaller = self._smaller(dataset, path, "average")
            names = band_names(dataset)
        drawn = [names[number - 1] for number in numbers]
        self.band_names = tuple(f"band {name}" if name.isdecimal() else name for name in drawn)
        raster = Raster(path, self.plane, numbers, smaller)
        opened.callback(raster.close)
        return PictureTiles(raster, display_limits(smaller or path, numbers))

    def _confidence(self, path: str, opened: ExitStack) -> PictureTiles:
        with open_raster(path) as dataset:
            scale, offset = confidence_scaling(dataset, public_name(path))
            ends = confidence_ends(dataset, public_name(path))
            self._require_here(dataset, path)
            smaller = self._smaller(dataset, path, "average")
        raster = Raster(path, self.plane, (1,), smaller, scale=scale, offset=offset)
        opened.callback(raster.close)
        return PictureTiles(raster, (ends,))

    def _smaller(self, dataset: DatasetReader, path: str, method: str) -> Path | None:
        """A copy with overviews of a raster that needs some."""
        if not needs_overviews(dataset):
            return None
        name, size = public_name(path), f"{dataset.width} x {dataset.height}"
        remedy = f"gdaladdo -r {method} {name} would add them for good"
        if is_remote(path):
            self.notes.append(f"{name} has no overviews: it is slow to look at as a whole")
            return None
        self._on_wait(f"{name} ({size}) has no overviews, making temporary ones; {remedy}")
        smaller = make_overviews(dataset, self._folder, method)
        if smaller is None:
            self.notes.append(
                f"temporary overviews of {name} cannot be made, is {self._folder.parent} full? "
                f"It is slow to look at as a whole; {remedy}"
            )
        return smaller

    def _require_here(self, dataset: DatasetReader, path: str) -> None:
        """Check that a raster lies, at least in part, where the map does."""
        name, grid, home = public_name(path), Grid.of(dataset), self.plane.grid
        if not self.plane.mercator:
            if (grid.height, grid.width) != (home.height, home.width):
                raise GridMismatch(
                    f"{name} is {grid}, {self.name} is {home}",
                    expected="as many rows and columns, as they are shown by their pixels",
                )
            return
        if not grid.georeferenced:
            raise GridMismatch(f"{name} has no place on earth, {self.name} has one")
        columns, rows = border((0, 0, grid.width, grid.height))
        try:
            placed = self.plane.from_ground(grid.crs, *along(grid.transform, columns, rows))
            left, top = along(~home.transform, *self.plane.to_ground(home.crs, *placed))
        except GridMismatch as error:
            raise GridMismatch(f"{name} cannot be brought to {home.crs}") from error
        away = (
            left.max() <= 0
            or top.max() <= 0
            or left.min() >= home.width
            or top.min() >= home.height
        )
        if away:
            raise GridMismatch(f"{name} and {self.name} lie in different places")


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="rsseg-", ignore_cleanup_errors=True)
    except OSError as error:
        raise OutputError(f"no temporary folder can be made: {error.strerror}") from error
    with folder as name:
        yield Path(name)
