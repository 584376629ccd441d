"""How QGIS draws classes, polygons and scenes: its renderers as XML.

They are written as QGIS saves them, less what it fills in by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as xml

from rsseg.geo.display import Limits
from rsseg.legend import LandClass, Legend

QGIS = "3.22.0"
"""The version that styles and projects are written for; later ones read them too."""


def class_renderer(legend: Legend) -> xml.Element:
    """QGIS's ``rasterrenderer`` of a class raster: a colour and a label by code."""
    renderer = xml.Element("rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1")
    palette = xml.SubElement(renderer, "colorPalette")
    for known in legend:
        xml.SubElement(
            palette,
            "paletteEntry",
            value=str(known.code),
            label=known.name,
            color=known.hex,
            alpha="255",
        )
    return renderer


def polygon_renderer(legend: Legend) -> xml.Element:
    """QGIS's ``renderer-v2`` of a layer of polygons: a fill by ``class``, with thin outlines."""
    renderer = xml.Element(
        "renderer-v2", type="categorizedSymbol", attr="class", enableorderby="0", forceraster="0"
    )
    categories = xml.SubElement(renderer, "categories")
    symbols = xml.SubElement(renderer, "symbols")
    for index, known in enumerate(legend):
        symbol = str(index)
        category = {"value": known.name, "type": "string", "label": known.name, "render": "true"}
        xml.SubElement(categories, "category", category, symbol=symbol)
        fill = xml.SubElement(symbols, "symbol", name=symbol, type="fill", alpha="1")
        layer = xml.SubElement(fill, "layer", {"class": "SimpleFill"}, enabled="1", locked="0")
        layer.append(_options(_fill(known)))
    return renderer


def colour_renderer(
    bands: Sequence[int], limits: Sequence[Limits], *, alpha: int = -1
) -> xml.Element:
    """QGIS's ``rasterrenderer`` of three bands as red, green and blue.

    Args:
        bands: Numbers of the bands, from 1.
        limits: Values by band.
        alpha: The band that says what is transparent; -1 if there is none.
    """
    renderer = xml.Element("rasterrenderer", type="multibandcolor", alphaBand=str(alpha))
    for colour, band, ends in zip(("red", "green", "blue"), bands, limits, strict=True):
        renderer.set(f"{colour}Band", str(band))
        renderer.append(_stretch(f"{colour}ContrastEnhancement", ends))
    return renderer


def grey_renderer(band: int, limits: Limits, *, alpha: int = -1) -> xml.Element:
    """QGIS's ``rasterrenderer`` of one band in grey; see `colour_renderer`."""
    renderer = xml.Element(
        "rasterrenderer",
        type="singlebandgray",
        grayBand=str(band),
        gradient="BlackToWhite",
        alphaBand=str(alpha),
    )
    renderer.append(_stretch("contrastEnhancement", limits))
    return renderer


def _stretch(tag: str, limits: Limits) -> xml.Element:
    stretch = xml.Element(tag)
    for name, value in zip(("minValue", "maxValue"), limits, strict=True):
        xml.SubElement(stretch, name).text = repr(float(value))
    xml.SubElement(stretch, "algorithm").text = "StretchToMinimumMaximum"
    return stretch


def _fill(known: LandClass) -> dict[str, str]:
    """A fill in the colour of a class, its outline a darker shade, one pixel wide at any scale.

    The outline is half transparent, so that a map of small polygons, seen whole, is not dark.
    """
    darker = ",".join(str(value * 2 // 3) for value in known.colour)
    return {
        "style": "solid",
        "color": ",".join(map(str, known.colour)) + ",255",
        "outline_style": "solid",
        "outline_color": f"{darker},128",
        "outline_width": "0",
        "outline_width_unit": "MM",
        "joinstyle": "bevel",
    }


def _options(values: Mapping[str, str]) -> xml.Element:
    """QGIS's XML of a map of texts."""
    root = xml.Element("Option", type="Map")
    for name, value in values.items():
        xml.SubElement(root, "Option", name=name, value=value, type="QString")
    return root
