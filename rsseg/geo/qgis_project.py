"""A QGIS project of a map and what belongs to it, written without QGIS."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pyproj
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds

from rsseg.errors import GridMismatch, OptionError, OutputError
from rsseg.geo.qgis_layers import (
    Bounds,
    MapLayer,
    class_layer,
    confidence_layer,
    scene_layer,
)
from rsseg.geo.qgis_polygons import polygon_layers
from rsseg.geo.qgis_styles import QGIS
from rsseg.replacing import replacing
from rsseg.writable import require_writable

_MARGIN = 0.03


@dataclass(frozen=True)
class ProjectResult:
    """What was written: the layers by name, the uppermost first, and what the user should know."""

    out: str
    crs: str
    layers: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts."""
        return asdict(self) | {"layers": list(self.layers), "notes": list(self.notes)}


def write_project(
    raster: str | Path,
    out: str | Path,
    *,
    scene: str | Path | None = None,
    polygons: str | Path | None = None,
    confidence: str | Path | None = None,
    bands: Sequence[int | str] | None = None,
    overwrite: bool = False,
) -> ProjectResult:
    """Write a QGIS project of a class raster, in its CRS, that opens where the raster lies.

    From the top: polygons, classes, confidence, scene. Polygons, or without them the classes, let
    the scene shine through; the classes under polygons and the confidence wait to be ticked. Files
    are named relative to the project, so a folder of them can be moved; a URL is kept whole, with
    what gives access to it.

    Args:
        raster: The class raster; if it has no colours, its classes get some that differ.
        out: ``.qgz`` to write.
        scene: The scene it is a map of.
        polygons: Its polygons, with a field ``class``; every layer of polygons in the file.
        confidence: A raster of confidence, one band.
        bands: Numbers from 1 or names of the scene's bands drawn as red, green and blue, or of one
            drawn in grey; see `scene_layer`.
        overwrite: Whether to replace ``out`` if it is there.

    Raises:
        SceneError: If a file cannot be read, is of another kind or has no place on the ground.
        BandError: If a band is not there.
        GridMismatch: If a file lies somewhere else than the raster.
        LegendError: If the polygons are of other classes, or a value of the raster is no code.
        OptionError: If bands are given without a scene, or neither one nor three.
        OutputError: If the output is there already or cannot be written.
    """
    out = Path(out)
    require_writable(out, (".qgz",), overwrite=overwrite)
    if bands is not None and scene is None:
        raise OptionError("bands are chosen of a scene", remedy="name the scene too")
    classes, legend, notes = class_layer(raster, shown=polygons is None)
    above, unknown = ((), []) if polygons is None else polygon_layers(polygons, legend)
    below = [] if confidence is None else [confidence_layer(confidence)]
    below += [] if scene is None else [scene_layer(scene, bands)]
    layers = (*above, classes, *below)
    for layer in layers:
        _require_overlap(layer, classes)
    title = out.stem
    project = _project(layers, classes, title, out)
    try:
        with replacing(out) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
            entry = zipfile.ZipInfo(f"{title}.qgs")  # without a time, so that bytes repeat
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, project)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
    if unknown:
        names = ", ".join(unknown)
        notes += (f"polygons of {names} are not drawn: {raster} does not name such classes",)
    return ProjectResult(
        out=str(out),
        crs=classes.crs.to_string(),
        layers=tuple(layer.name for layer in layers),
        notes=notes,
    )


def _require_overlap(layer: MapLayer, classes: MapLayer) -> None:
    """Check that a layer lies, at least in part, where the classes do."""
    if layer.bounds is None or classes.bounds is None:
        return  # an empty layer lies nowhere
    try:
        west, south, east, north = transform_bounds(layer.crs, classes.crs, *layer.bounds)
    except RasterioError as error:
        raise GridMismatch(f"{layer.name} cannot be brought to {classes.crs}") from error
    left, bottom, right, top = classes.bounds
    beside = west <= east and (east < left or right < west)  # else it crosses the 180th meridian
    if beside or north < bottom or top < south:
        raise GridMismatch(f"{layer.name} and {classes.name} lie in different places")


def _project(layers: Sequence[MapLayer], classes: MapLayer, title: str, out: Path) -> str:
    root = xml.Element("qgis", version=QGIS, projectname=title)
    xml.SubElement(root, "title").text = title
    xml.SubElement(root, "projectCrs").append(_spatial_reference(classes.crs))
    tree = xml.SubElement(root, "layer-tree-group")
    drawn = xml.SubElement(root, "projectlayers")
    for layer in layers:
        source = _source(layer, out)
        xml.SubElement(
            tree,
            "layer-tree-layer",
            id=_identity(layer),
            name=layer.name,
            source=source,
            providerKey=_provider(layer),
            checked="Qt::Checked" if layer.shown else "Qt::Unchecked",
            expanded="1" if layer.shown else "0",
        )
        drawn.append(_map_layer(layer, source))
    root.append(_canvas(classes))
    root.append(_properties(classes.crs))
    xml.indent(root)
    text = xml.tostring(root, encoding="unicode")
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{text}"


def _map_layer(layer: MapLayer, source: str) -> xml.Element:
    raster = layer.layer is None
    root = xml.Element("maplayer", type="raster" if raster else "vector")
    if layer.bounds is not None:
        root.append(_extent(layer.bounds))
    for tag, text in (
        ("id", _identity(layer)),
        ("datasource", source),
        ("layername", layer.name),
        ("provider", _provider(layer)),
    ):
        xml.SubElement(root, tag).text = text
    xml.SubElement(root, "srs").append(_spatial_reference(layer.crs))
    if raster:
        xml.SubElement(root, "pipe").append(layer.renderer)
    else:
        root.set("geometry", "Polygon")
        root.append(layer.renderer)
        xml.SubElement(root, "layerOpacity").text = repr(layer.opacity)
    return root


def _identity(layer: MapLayer) -> str:
    """The layer's key, longer than ten letters: QGIS gives others a new one."""
    return f"rsseg_layer_{layer.key}"


def _provider(layer: MapLayer) -> str:
    return "gdal" if layer.layer is None else "ogr"


def _source(layer: MapLayer, out: Path) -> str:
    """The source as QGIS names it, a file relative to the project."""
    source = layer.source
    if Path(source).exists():
        path = os.path.abspath(source)
        try:
            path = os.path.relpath(path, os.path.abspath(out.parent))
        except ValueError:  # on another drive
            return Path(path).as_posix()
        source = Path(path).as_posix()
        source = source if source.startswith("../") else f"./{source}"
    return source if layer.layer is None else f"{source}|layername={layer.layer}"


def _canvas(classes: MapLayer) -> xml.Element:
    """What the map shows first: the extent of the classes, with a margin."""
    canvas = xml.Element("mapcanvas", name="theMapCanvas")
    assert classes.bounds is not None, "a raster lies somewhere"
    west, south, east, north = classes.bounds
    margin = _MARGIN * max(east - west, north - south)
    canvas.append(_extent((west - margin, south - margin, east + margin, north + margin)))
    xml.SubElement(canvas, "rotation").text = "0"
    xml.SubElement(canvas, "destinationsrs").append(_spatial_reference(classes.crs))
    return canvas


def _extent(bounds: Bounds) -> xml.Element:
    extent = xml.Element("extent")
    for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), bounds, strict=True):
        xml.SubElement(extent, tag).text = repr(value)
    return extent


def _spatial_reference(crs: CRS) -> xml.Element:
    root = xml.Element("spatialrefsys")
    xml.SubElement(root, "wkt").text = crs.to_wkt(version="WKT2_2019")
    authority = crs.to_authority()
    if authority is not None:
        xml.SubElement(root, "authid").text = ":".join(authority)
    return root


def _properties(crs: CRS) -> xml.Element:
    """Relative paths, and measuring on the ellipsoid in metres."""
    root = xml.Element("properties")
    for group, key, kind, text in (
        ("SpatialRefSys", "ProjectionsEnabled", "int", "1"),  # else projectCrs is not read
        ("Paths", "Absolute", "bool", "false"),
        ("Measure", "Ellipsoid", "QString", _ellipsoid(crs)),
        ("Measurement", "DistanceUnits", "QString", "meters"),
        ("Measurement", "AreaUnits", "QString", "m2"),
    ):
        parent = root.find(group)
        parent = xml.SubElement(root, group) if parent is None else parent
        xml.SubElement(parent, key, type=kind).text = text
    return root


def _ellipsoid(crs: CRS) -> str:
    """Its name in QGIS, or its half axes in metres."""
    ellipsoid = pyproj.CRS.from_wkt(crs.to_wkt()).ellipsoid
    if ellipsoid is None:
        return "NONE"
    known = ellipsoid.to_json_dict().get("id")
    if known:
        return f"{known['authority']}:{known['code']}"
    return f"PARAMETER:{ellipsoid.semi_major_metre}:{ellipsoid.semi_minor_metre}"
