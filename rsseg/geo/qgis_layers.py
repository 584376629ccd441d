"""Rasters as layers of a QGIS project: where each lies, and how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as xml

from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from rsseg.errors import SceneError
from rsseg.geo.class_colours import coloured_legend, doubts
from rsseg.geo.code_raster import CodeRaster
from rsseg.geo.confidence import confidence_ends
from rsseg.geo.display import Limits, display_bands, display_limits
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.geo.qgis_styles import class_renderer, colour_renderer, grey_renderer
from rsseg.geo.remote import public_name
from rsseg.legend import Legend

Bounds = tuple[float, float, float, float]
"""West, south, east, north."""

OPACITY = 0.7
"""Of what lies over a scene."""


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


def class_layer(path: str | Path, *, shown: bool) -> tuple[MapLayer, Legend, tuple[str, ...]]:
    """A class raster in its colours, the layer below shining through; its classes, and notes.

    Raises:
        SceneError: If it cannot be opened, is no class raster or has no place on the ground.
        LegendError: If its legend contradicts itself, or a value is no code.
    """
    with CodeRaster(path) as codes:
        legend = coloured_legend(codes)
        notes = doubts(codes, legend.classes)
    with open_raster(path) as dataset:
        renderer = class_renderer(legend)
        layer = _raster("classes", path, dataset, renderer, opacity=OPACITY, shown=shown)
    return layer, legend, notes


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
    chosen = display_bands(path, bands)
    with open_raster(path) as dataset:
        renderer = _scene_renderer(chosen, display_limits(path, chosen), _alpha_band(dataset))
        return _raster("scene", path, dataset, renderer)


def confidence_layer(path: str | Path) -> MapLayer:
    """A raster of confidence, black for 0 and white for 1; not shown unless ticked.

    Raises:
        SceneError: If it cannot be opened, has several bands or no place on the ground.
    """
    with open_raster(path) as dataset:
        low, high = confidence_ends(dataset, public_name(path))
        scale, offset = dataset.scales[0], dataset.offsets[0]  # which QGIS applies by itself
        renderer = grey_renderer(1, (low * scale + offset, high * scale + offset))
        return _raster("confidence", path, dataset, renderer, shown=False)


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


def _alpha_band(dataset: DatasetReader) -> int:
    """The band that says what is transparent, -1 if there is none.

    QGIS counts a mask of the whole dataset as one more band.
    """
    if ColorInterp.alpha in dataset.colorinterp:
        return int(dataset.colorinterp.index(ColorInterp.alpha)) + 1
    return int(dataset.count) + 1 if dataset.mask_flag_enums[0] == [MaskFlags.per_dataset] else -1


def _scene_renderer(bands: Sequence[int], limits: Sequence[Limits], alpha: int) -> xml.Element:
    if len(bands) == 1:
        return grey_renderer(bands[0], limits[0], alpha=alpha)
    return colour_renderer(bands, limits, alpha=alpha)
