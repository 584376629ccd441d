"""What GIS software reads beside a class map: names, colours, attribute table, QGIS styles.

rasterio has no way to write category names or attribute tables, so the files are written as GDAL
(``.aux.xml``) and QGIS (``.qml``) read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np
import numpy.typing as npt

from rsseg.errors import OutputError
from rsseg.geo.qgis_styles import QGIS, class_renderer, polygon_renderer
from rsseg.legend import NODATA, Legend
from rsseg.replacing import replacing

_COLUMNS = (
    ("Value", 0, 5),
    ("Class", 2, 2),
    ("Red", 0, 6),
    ("Green", 0, 7),
    ("Blue", 0, 8),
    ("Alpha", 0, 9),
    ("Count", 1, 1),
)
"""Name, GDAL field type (integer, real, string) and GDAL usage of each column of the table.

Counts are reals: GDAL's integers have 32 bits, and a country has more pixels.
"""


def write_sidecars(raster: str | Path, legend: Legend, counts: Mapping[int, int]) -> None:
    """Write ``RASTER.aux.xml`` and ``RASTER``'s ``.qml``.

    Args:
        raster: The finished class raster.
        legend: Its classes.
        counts: Pixels by file code.

    Raises:
        OutputError: If a file cannot be written.
    """
    auxiliary, style = sidecars(raster)
    _write(auxiliary, _auxiliary(legend, counts))
    _write(style, _style(legend))


def polygon_style(legend: Legend) -> str:
    """The QGIS style of a layer of polygons, which colours it by the field ``class``.

    It is what a ``.qml`` beside the layer holds, or the ``styleQML`` of a GeoPackage's table
    ``layer_styles``.

    Args:
        legend: The classes, in the order in which QGIS lists them.
    """
    root = xml.Element("qgis", version=QGIS, styleCategories="Symbology")
    root.append(polygon_renderer(legend))
    xml.SubElement(root, "layerGeometryType").text = "2"
    xml.indent(root)
    return "<!DOCTYPE qgis>\n" + xml.tostring(root, encoding="unicode")


def sidecars(raster: str | Path) -> tuple[Path, Path]:
    """The files that `write_sidecars` writes for a raster."""
    raster = Path(raster)
    return raster.with_name(raster.name + ".aux.xml"), raster.with_suffix(".qml")


def is_plain_style(path: Path) -> bool:
    """Whether a ``.qml`` is one that `write_sidecars` wrote, and not one saved from QGIS."""
    try:
        root = xml.parse(path).getroot()
    except (OSError, xml.ParseError):
        return False
    return [child.tag for child in root] == ["pipe"]


def _auxiliary(legend: Legend, counts: Mapping[int, int]) -> xml.Element:
    root = xml.Element("PAMDataset")
    band = xml.SubElement(root, "PAMRasterBand", band="1")
    names = xml.SubElement(band, "CategoryNames")
    for code in range(max(c.code for c in legend) + 1):
        known = legend.by_code(code)
        xml.SubElement(names, "Category").text = known.name if known else ""
    table = xml.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(_COLUMNS):
        field = xml.SubElement(table, "FieldDefn", index=str(index))
        for tag, value in (("Name", name), ("Type", kind), ("Usage", usage)):
            xml.SubElement(field, tag).text = str(value)
    for index, known in enumerate(legend):
        row = xml.SubElement(table, "Row", index=str(index))
        for value in (known.code, known.name, *known.colour, 255, counts.get(known.code, 0)):
            xml.SubElement(row, "F").text = str(value)
    _describe(band, np.array([counts.get(code, 0) for code in range(NODATA)], dtype=np.int64))
    return root


def _describe(band: xml.Element, counts: npt.NDArray[np.int64]) -> None:
    """Statistics of the valid pixels, so that no GIS reads them all for these."""
    if not counts.any():
        return
    codes = np.arange(NODATA)
    mean = np.average(codes, weights=counts)
    spread = np.sqrt(np.average((codes - mean) ** 2, weights=counts))
    found = np.flatnonzero(counts)
    metadata = xml.SubElement(band, "Metadata")
    for what, number in (
        ("MAXIMUM", found[-1]),
        ("MEAN", mean),
        ("MINIMUM", found[0]),
        ("STDDEV", spread),
    ):
        xml.SubElement(metadata, "MDI", key=f"STATISTICS_{what}").text = repr(number.item())


def _style(legend: Legend) -> xml.Element:
    root = xml.Element("qgis", version=QGIS, styleCategories="AllStyleCategories")
    xml.SubElement(root, "pipe").append(class_renderer(legend))
    return root


def _write(path: Path, root: xml.Element) -> None:
    xml.indent(root)
    try:
        with replacing(path) as unfinished:
            xml.ElementTree(root).write(unfinished, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
