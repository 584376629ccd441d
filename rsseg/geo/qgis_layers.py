"""Files as layers of a QGIS project: where each lies, and how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np
import pyogrio
import pyogrio.raw
from pyogrio.errors import DataSourceError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from rsseg.errors import LegendError, OptionError, SceneError
from rsseg.geo.class_raster import is_class_raster, read_legend
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.geo.qgis_styles import (
    Limits,
    class_renderer,
    colour_renderer,
    grey_renderer,
    polygon_renderer,
)
from rsseg.geo.remote import public_name
from rsseg.geo.scene import Scene
from rsseg.legend import Legend

Bounds = tuple[float, float, float, float]
"""West, south, east, north."""

_CLASS = "class"
_OVERVIEW = 1024
_PERCENTILES = (2, 98)
_OPACITY = 0.7


@dataclass(frozen=True)
class MapLayer:
    """A layer of a QGIS project.

    Args:
        key: Its identity in the project.
        name: What the list of layers calls it.
        source: A file, or a name that GDAL opens.
        layer: The layer of a vector file; None for a raster.
        crs: Its coordinate reference system.
        bounds: Where it lies, in its CRS; None for a layer of nothing.
        renderer: QGIS's ``rasterrenderer`` or ``renderer-v2``.
        opacity: 1 hides what lies below.
        shown: Whether it is drawn when the project is opened.
    """

    key: str
    name: str
    source: str
    layer: str | None
    crs: CRS
    bounds: Bounds | None
    renderer: xml.Element
    opacity: float = 1.0
    shown: bool = True


def class_layer(path: str | Path, *, shown: bool) -> tuple[MapLayer, Legend]:
    """A class raster in its colours, the layer below shining through, and its classes.

    Raises:
        SceneError: If it cannot be opened, has no classes or no place on the ground.
        LegendError: If its legend contradicts itself.
    """
    with open_raster(path) as dataset:
        if not is_class_raster(dataset):
            raise SceneError(
                f"{public_name(path)} is not a class raster",
                expected="one band of 8-bit codes with colours",
            )
        legend = read_legend(dataset)
        renderer = class_renderer(legend)
        return _raster("classes", path, dataset, renderer, opacity=_OPACITY, shown=shown), legend


def scene_layer(path: str | Path, bands: Sequence[int | str] | None = None) -> MapLayer:
    """A scene, 8-bit values as they are, others from their 2nd to their 98th percentile.

    Args:
        path: The scene.
        bands: Numbers from 1 or names of the bands drawn as red, green and blue, or of one drawn in
            grey; if None, those with these names, else the first three, else the first.

    Raises:
        SceneError: If it cannot be read or has no place on the ground.
        BandError: If a band is not there.
        OptionError: If neither one band nor three are asked for.
    """
    if bands is not None and len(bands) not in (1, 3):
        raise OptionError("a scene is drawn in colour or grey", expected="3 bands or 1", got=bands)
    with open_raster(path) as dataset, Scene(path, bands or _visible(path)) as scene:
        renderer = _scene_renderer(scene, _alpha_band(dataset))
        return _raster("scene", path, dataset, renderer)


def confidence_layer(path: str | Path) -> MapLayer:
    """A raster of confidence, black for 0 and white for 1; not shown unless ticked.

    Raises:
        SceneError: If it cannot be opened, has several bands or no place on the ground.
    """
    with open_raster(path) as dataset:
        if dataset.count != 1:
            raise SceneError(
                f"{public_name(path)} is no raster of confidence",
                expected="1 band",
                got=dataset.count,
            )
        scaled = dataset.dtypes[0] != "uint8" or dataset.scales[0] != 1
        renderer = grey_renderer(1, (0, 1 if scaled else 254))
        return _raster("confidence", path, dataset, renderer, shown=False)


def polygon_layers(path: str | Path, legend: Legend) -> tuple[tuple[MapLayer, ...], list[str]]:
    """The layers of polygons of a vector file in the colours of a legend.

    Args:
        path: A file whose polygons have a field ``class``, such as `rsseg.vectorise` writes.
        legend: The classes of the map they belong to.

    Returns:
        The layers, and the classes that the legend does not know: QGIS leaves them out.

    Raises:
        SceneError: If it cannot be opened, has no such polygons or no place on the ground.
        LegendError: If none of its classes is in the legend.
    """
    if not Path(path).exists():
        raise SceneError(f"there is no file {path}")
    try:
        return _polygon_layers(Path(path), legend)
    except DataSourceError as error:
        raise SceneError(
            f"{path} cannot be opened as polygons", expected="a GeoPackage or another vector file"
        ) from error


def _polygon_layers(path: Path, legend: Legend) -> tuple[tuple[MapLayer, ...], list[str]]:
    layers: list[MapLayer] = []
    found: set[str] = set()
    for name, kind in pyogrio.list_layers(path):
        if kind is None or not ("Polygon" in kind or kind == "Unknown"):
            continue
        info = pyogrio.read_info(path, layer=name, force_total_bounds=True)
        if _CLASS not in info["fields"]:
            continue
        if info["crs"] is None:
            raise SceneError(f"{path} has no place on the ground", expected="a CRS")
        there = _classes(path, name)
        found |= there
        known = tuple(each for each in legend if each.name in there)
        layers.append(
            MapLayer(
                key=f"polygons_{len(layers)}",
                name=f"polygons: {name}",
                source=str(path),
                layer=name,
                crs=CRS.from_user_input(info["crs"]),
                bounds=_bounds(info["total_bounds"]),
                renderer=polygon_renderer(Legend(known) if known else legend),
                opacity=_OPACITY,
            )
        )
    if not layers:
        raise SceneError(f"{path} has no polygons with a field '{_CLASS}'")
    unknown = sorted(found - set(legend.names))
    if unknown and len(unknown) == len(found):
        raise LegendError(
            f"{path} is of another map",
            expected=f"classes {', '.join(legend.names)}",
            got=", ".join(unknown),
        )
    return tuple(layers), unknown


def _bounds(told: Sequence[float] | None) -> Bounds | None:
    if told is None or not np.isfinite(told).all():
        return None
    west, south, east, north = map(float, told)
    return west, south, east, north


def _classes(path: Path, layer: str) -> set[str]:
    quoted = layer.replace('"', '""')
    sql = f'SELECT DISTINCT "{_CLASS}" FROM "{quoted}"'
    _, _, _, columns = pyogrio.raw.read(path, sql=sql, read_geometry=False)
    return {str(value) for value in columns[0] if value is not None}


def _raster(
    key: str,
    path: str | Path,
    dataset: DatasetReader,
    renderer: xml.Element,
    *,
    opacity: float = 1.0,
    shown: bool = True,
) -> MapLayer:
    grid, name = Grid.of(dataset), public_name(path)
    if not grid.georeferenced:
        raise SceneError(
            f"{name} has no place on the ground",
            expected="a CRS and a transform",
            remedy="warp it first, e.g. gdalwarp -r near" if dataset.gcps[0] else None,
        )
    corners = [(0, 0), (grid.width, 0), (0, grid.height), (grid.width, grid.height)]
    x, y = zip(*(grid.transform @ corner for corner in corners), strict=True)
    renderer.set("opacity", repr(opacity))
    return MapLayer(
        key=key,
        name=f"{key}: {Path(name).stem}",
        source=str(path) if Path(path).exists() else [*dataset.files, dataset.name][0],
        layer=None,
        crs=grid.crs,
        bounds=(min(x), min(y), max(x), max(y)),
        renderer=renderer,
        opacity=opacity,
        shown=shown,
    )


def _visible(path: str | Path) -> tuple[int | str, ...]:
    """The bands that show a scene as the eye would see it, as far as its file tells."""
    with Scene(path) as scene:
        colours = ("red", "green", "blue")
        if set(colours) <= set(scene.band_names):
            return colours
        return scene.bands[:3] if len(scene.bands) >= 3 else scene.bands[:1]


def _alpha_band(dataset: DatasetReader) -> int:
    """The band that says what is transparent, -1 if there is none.

    QGIS counts a mask of the whole dataset as one more band.
    """
    if ColorInterp.alpha in dataset.colorinterp:
        return int(dataset.colorinterp.index(ColorInterp.alpha)) + 1
    return int(dataset.count) + 1 if dataset.mask_flag_enums[0] == [MaskFlags.per_dataset] else -1


def _scene_renderer(scene: Scene, alpha: int) -> xml.Element:
    limits = _limits(scene)
    if len(scene.bands) == 1:
        return grey_renderer(scene.bands[0], limits[0], alpha=alpha)
    return colour_renderer(scene.bands, limits, alpha=alpha)


def _limits(scene: Scene) -> list[Limits]:
    """By band, the values that are black and fully bright."""
    if scene.dtype == np.uint8:
        return [(0, 255)] * len(scene.bands)
    pixels, valid = scene.overview(_OVERVIEW)
    if not valid.any():
        return [(0, 1)] * len(scene.bands)
    low, high = np.percentile(pixels[:, valid].astype(np.float64), _PERCENTILES, axis=1)
    return [(a, b if b > a else a + 1) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
